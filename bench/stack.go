package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"refundworker/gateway/sandbox"
	"refundworker/internal/realtest"
)

const (
	partitions = 6
	clientID   = "BENCH_CLIENT"
	merchant   = "B0000001"
)

// stack is what every subject works with: a broker, a Redis and a gateway, each a process of its own.
type stack struct {
	dir string

	broker    string
	brokerPID int
	redis     *realtest.Redis
	client    *redis.Client
	gateway   *child
	// gatewayURL is where subjects call, control where the bench does.
	gatewayURL, control string
	keys                sandbox.Keys
	secret              string
	kind                string
	stops               []func() error
}

func newStack(ctx context.Context, dir, broker string) (s *stack, err error) {
	s = &stack{dir: dir, secret: sandbox.NewTestSecret(), kind: broker}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	if s.keys, err = sandbox.NewTestKeys(); err != nil {
		return s, err
	}
	if err := s.startBroker(ctx); err != nil {
		return s, err
	}
	// As the worker's operators are told to run it.
	s.redis, err = realtest.RunRedis(ctx, dir, realtest.RedisOptions{Args: []string{"--appendfsync", "everysec"}})
	if err != nil {
		return s, err
	}
	s.stops = append(s.stops, s.redis.Kill)
	s.client = redis.NewClient(&redis.Options{Addr: s.redis.Addr, DisableIdentity: true})
	s.stops = append(s.stops, s.client.Close)

	gateway, words, err := startServer(filepath.Join(dir, "gateway"), "-eftpay-secret", s.secret,
		"-antom-private", s.keys.GatewayPrivate, "-antom-public", s.keys.MerchantPublic)
	if err != nil {
		return s, err
	}
	s.gateway, s.gatewayURL, s.control = gateway, "http://"+words[0], "http://"+words[1]
	s.stops = append(s.stops, gateway.stop)
	return s, nil
}

func (s *stack) startBroker(ctx context.Context) error {
	if s.kind == "embedded" {
		broker, words, err := startServer(filepath.Join(s.dir, "embedded"))
		if err != nil {
			return err
		}
		s.broker, s.brokerPID = words[0], broker.pid()
		s.stops = append(s.stops, broker.stop)
		return nil
	}
	kafka, err := realtest.RunKafka(ctx, realtest.KafkaOptions{Optimised: true})
	if err != nil {
		return err
	}
	s.broker, s.brokerPID = kafka.Addr, kafka.PID()
	s.stops = append(s.stops, kafka.Kill)
	return nil
}

func (s *stack) stop() error {
	var errs []error
	for _, stop := range slices.Backward(s.stops) {
		errs = append(errs, stop())
	}
	s.stops = nil
	return errors.Join(errs...)
}

// behaviour and statistics are the gateway's, over its control.
type behaviour struct {
	Latency      time.Duration `json:"latency"`
	SlowPermille uint32        `json:"slow_permille"`
	Slow         time.Duration `json:"slow"`
	BlackHole    string        `json:"black_hole"`
}

type statistics struct {
	Calls       int64 `json:"calls"`
	Repeated    int64 `json:"repeated"`
	Overlaps    int64 `json:"overlaps"`
	WrongOrder  int64 `json:"wrong_order"`
	Connections int64 `json:"connections"`
	Most        int64 `json:"most"`
	First       int64 `json:"first"`
	Last        int64 `json:"last"`
}

func (s *stack) behave(ctx context.Context, b behaviour) error {
	body, err := json.Marshal(b)
	if err != nil {
		return err
	}
	return s.controlled(ctx, http.MethodPost, body, nil)
}

func (s *stack) statistics(ctx context.Context) (st statistics, err error) {
	err = s.controlled(ctx, http.MethodGet, nil, &st)
	return st, err
}

func (s *stack) controlled(ctx context.Context, method string, body []byte, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, s.control, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask the gateway: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if into == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// prepare empties Redis and makes the topics of a prefix, and the worker's configuration.
func (s *stack) prepare(ctx context.Context, prefix string, inFlight int) (config string, err error) {
	if err := s.client.FlushAll(ctx).Err(); err != nil {
		return "", fmt.Errorf("empty redis: %w", err)
	}
	for name, text := range map[string]string{
		"merchant.key": s.keys.MerchantPrivate, "antom.key": s.keys.GatewayPublic, "eftpay.secret": s.secret,
		"worker.yaml": fmt.Sprintf(`
kafka: {brokers: [%[1]q], group: %[2]q, topic_prefix: %[2]q, partitions: %[3]d, replication: 1, min_insync: 1}
redis: {addresses: [%[4]q]}
limits: {in_flight: %[5]d}
log: {level: warn}
http: {listen: "127.0.0.1:0"}
accounts:
  - name: antom-hk
    gateway: antom
    base_url: %[6]q
    client_id: %[7]s
    private_key: file:%[8]s/merchant.key
    antom_public_key: file:%[8]s/antom.key
  - name: eftpay-hk
    gateway: eftpay
    base_url: %[6]s/VMP
    user_confirm_key: %[9]s
    secret: file:%[8]s/eftpay.secret
    currency: HKD
    inquire_first: false
`, s.broker, prefix, partitions, s.redis.Addr, inFlight, s.gatewayURL, clientID, s.dir, merchant),
	} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	config = filepath.Join(s.dir, "worker.yaml")
	cmd := exec.CommandContext(ctx, filepath.Join(s.dir, "worker"), "init", "-c", config) //nolint:gosec // our own program
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("worker init: %w\n%s", err, out)
	}
	return config, nil
}
