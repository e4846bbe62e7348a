package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"refundworker/gateway/sandbox"
	"refundworker/internal/config"
	"refundworker/internal/observe"
	"refundworker/internal/worker"
	"refundworker/schemas"
)

const (
	// Two accounts at Antom and one at eftPay.
	clientHK   = "SANDBOX_DEMO_HK"
	clientSG   = "SANDBOX_DEMO_SG"
	merchant   = "S0000001"
	stopWithin = 10 * time.Second
	// hurry divides Antom's pauses between the deliveries of a notification: 2 minutes become a second.
	hurry = 120
)

// stack is everything a worker needs, on this machine, and the worker.
type stack struct {
	kafka      *kfake.Cluster
	redis      *miniredis.Miniredis
	gateway    *sandbox.Server
	server     *http.Server
	gatewayURL string
	cfg        config.Config

	client     *kgo.Client
	stopWorker context.CancelFunc
	// worked gets the worker's end.
	worked chan error
}

func startStack(ctx context.Context, lines []line, level string, stderr io.Writer) (st *stack, err error) {
	st = &stack{}
	defer func() {
		if err != nil {
			err = errors.Join(err, st.stop())
		}
	}()
	if st.kafka, err = kfake.NewCluster(kfake.NumBrokers(1)); err != nil {
		return st, fmt.Errorf("start the embedded kafka: %w", err)
	}
	if st.redis, err = miniredis.Run(); err != nil {
		return st, fmt.Errorf("start the embedded redis: %w", err)
	}
	keys, err := sandbox.NewTestKeys()
	if err != nil {
		return st, err
	}
	secret := sandbox.NewTestSecret()
	// The worker has to know the gateway's address, and the gateway the worker's: nobody calls before both are there.
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return st, fmt.Errorf("listen for the sandbox gateway: %w", err)
	}
	st.gatewayURL = "http://" + listener.Addr().String()
	notifyURL, err := st.startWorker(ctx, keys, secret, level, stderr)
	if err != nil {
		return st, errors.Join(err, listener.Close())
	}
	if err := st.startGateway(listener, lines, keys, secret, notifyURL); err != nil { //nolint:contextcheck // the gateway lives until it is closed
		return st, errors.Join(err, listener.Close())
	}
	if st.client, err = kgo.NewClient(kgo.SeedBrokers(st.kafka.ListenAddrs()...), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil))); err != nil {
		return st, fmt.Errorf("connect to the embedded kafka: %w", err)
	}
	return st, nil
}

func (st *stack) kafkaAddr() string { return strings.Join(st.kafka.ListenAddrs(), ",") }

// startGateway serves both gateways. Antom's merchants have given it their addresses at notifyURL for notifications.
func (st *stack) startGateway(listener net.Listener, lines []line, keys sandbox.Keys, secret, notifyURL string) error {
	given, rule := payments(lines)
	var err error
	st.gateway, err = sandbox.New(sandbox.Config{
		PrivateKey: keys.GatewayPrivate,
		// 500 yen in the till: one of the lines asks for more.
		Clients: []sandbox.Client{
			{ID: clientHK, PublicKey: keys.MerchantPublic, Funds: map[string]int64{"JPY": 500}, NotifyURL: notifyURL + "/antom/hk-stores?from=sandbox"},
			{ID: clientSG, PublicKey: keys.MerchantPublic, NotifyURL: notifyURL + "/antom/sg-stores?from=sandbox"},
		},
		Merchants: []sandbox.Merchant{{Key: merchant, Secret: secret, Currency: "HKD"}},
		// The worst that eftPay may do with a repeated refund: move the money again.
		EftPay:   sandbox.EftPayConfig{Duplicate: sandbox.RefundAgain},
		Payments: given, PaymentFunc: rule, Rules: rules(lines),
		Notify: sandbox.Notify{Waits: sandbox.AntomRedelivery(hurry)},
	})
	if err != nil {
		return fmt.Errorf("start the sandbox gateway: %w", err)
	}
	gateways := http.NewServeMux()
	gateways.Handle("/ams/", st.gateway.Antom())
	gateways.Handle("/VMP/", st.gateway.EftPay())
	st.server = &http.Server{Handler: gateways, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = st.server.Serve(listener) }() // ends with st.server.Close
	return nil
}

// startWorker configures the worker as a person would, by a file and secrets, only that both are in memory. It returns
// where the worker listens for notifications.
func (st *stack) startWorker(ctx context.Context, keys sandbox.Keys, secret, level string, stderr io.Writer) (notifyURL string, err error) {
	if level == "off" {
		level, stderr = "error", io.Discard
	}
	files := map[string]string{
		"sandbox.yaml": fmt.Sprintf(`
kafka: {brokers: [%[1]q], partitions: 6, replication: 1, min_insync: 1}
redis: {addresses: [%[2]q]}
limits: {gateway_timeout: 2s, lease: 15s, horizon: 24h}
retry: {tiers: [1s, 2s, 10s, 1m]}
http: {listen: "127.0.0.1:0", notify_listen: "127.0.0.1:0"}
log: {level: %[3]q}
accounts:
  - {name: hk-stores, gateway: antom, base_url: %[4]q, client_id: %[5]s, private_key: "file:merchant.key", antom_public_key: "file:antom.key"}
  - {name: sg-stores, gateway: antom, base_url: %[4]q, client_id: %[6]s, private_key: "file:merchant.key", antom_public_key: "file:antom.key"}
  - {name: eftpay-hk, gateway: eftpay, base_url: %[7]q, user_confirm_key: %[8]s, secret: "file:eftpay.secret", currency: HKD}
`, st.kafkaAddr(), st.redis.Addr(), level, st.gatewayURL, clientHK, clientSG, st.gatewayURL+"/VMP", merchant),
		"eftpay.secret": secret,
		"merchant.key":  keys.MerchantPrivate,
		"antom.key":     keys.GatewayPublic,
	}
	st.cfg, err = config.Load(config.Flags{File: "sandbox.yaml"}, config.WithAccounts, config.Source{
		LookupEnvFunc: func(string) (string, bool) { return "", false },
		ReadFileFunc: func(name string) ([]byte, error) {
			text, ok := files[name]
			if !ok {
				return nil, fmt.Errorf("the sandbox has no file %q", name)
			}
			return []byte(text), nil
		},
	})
	if err != nil {
		return "", err
	}
	log, err := observe.Logger(stderr, st.cfg.Log.Level, "console")
	if err != nil {
		return "", err
	}
	if err := worker.Init(ctx, st.cfg, log, io.Discard); err != nil {
		return "", err
	}
	w, err := worker.New(st.cfg, "sandbox", log) //nolint:contextcheck // New connects to nothing, so it takes no context
	if err != nil {
		return "", err
	}
	working, stopWorker := context.WithCancel(context.WithoutCancel(ctx))
	st.stopWorker, st.worked = stopWorker, make(chan error, 1)
	starting, ended := context.WithCancelCause(ctx)
	go func() {
		err := w.Run(working)
		ended(err)
		st.worked <- err
	}()
	addr, err := w.NotifyAddr(starting)
	return "http://" + addr, err
}

// stop ends what was started, last in first out.
func (st *stack) stop() error {
	var err error
	if st.stopWorker != nil {
		st.stopWorker()
		select {
		case err = <-st.worked:
		case <-time.After(stopWithin):
			err = fmt.Errorf("the worker did not stop within %v", stopWithin)
		}
	}
	if st.client != nil {
		st.client.Close()
	}
	if st.server != nil {
		err = errors.Join(err, st.server.Close())
	}
	if st.gateway != nil {
		err = errors.Join(err, st.gateway.Close())
	}
	if st.redis != nil {
		st.redis.Close()
	}
	if st.kafka != nil {
		st.kafka.Close()
	}
	return err
}

// feed sends every line as often as it says and tells the book where each message went. The times of one line go to one
// partition, in order.
func (st *stack) feed(ctx context.Context, lines []line, book *book) error {
	for i := range lines {
		for range lines[i].Times {
			record := &kgo.Record{Topic: st.cfg.Kafka.TopicPrefix + ".commands", Key: lines[i].key(), Value: lines[i].value()}
			if err := st.client.ProduceSync(ctx, record).FirstErr(); err != nil {
				return fmt.Errorf("send line %d: %w", lines[i].number, err)
			}
			book.sent(&lines[i], schemas.Origin{Topic: record.Topic, Partition: int(record.Partition), Offset: record.Offset})
		}
	}
	return nil
}

// watch hands out the results from their beginning until ctx ends, then closes the channel.
func (st *stack) watch(ctx context.Context) <-chan *kgo.Record {
	events := make(chan *kgo.Record)
	st.client.AddConsumeTopics(st.cfg.Kafka.TopicPrefix + ".results")
	go func() {
		defer close(events)
		for {
			fetched := st.client.PollFetches(ctx)
			if ctx.Err() != nil || fetched.IsClientClosed() {
				return
			}
			for record := range fetched.RecordsAll() {
				select {
				case events <- record:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return events
}
