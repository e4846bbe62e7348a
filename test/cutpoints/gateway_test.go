package cutpoints

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"refundworker/gateway"
	"refundworker/gateway/antom"
	"refundworker/gateway/eftpay"
	"refundworker/gateway/sandbox"
	"refundworker/refund"
	"refundworker/schemas"
)

const (
	antomID     = "SANDBOX_1"
	eftpayKey   = "S0000001"
	notifyPath  = "/antom/main"
	accountName = "main"
)

// network is what lies between clients and gateway: connections in memory, which synctest sees through.
type network struct {
	handler http.Handler
	server  *http.Server
	conns   chan net.Conn
	closed  chan struct{}

	mu sync.Mutex
	// refusals is how many dials are refused from now on.
	refusals int
	// arrival is called when the next request has arrived, before it is served; then it is forgotten.
	arrival func()
	// serving counts the requests that are being served, or held.
	serving int
	served  sync.WaitGroup
}

func newNetwork(handler http.Handler) *network {
	n := &network{handler: handler, conns: make(chan net.Conn), closed: make(chan struct{})}
	n.server = &http.Server{
		Handler: n, ReadHeaderTimeout: time.Minute,
		ErrorLog: log.New(io.Discard, "", 0),
	}
	return n
}

var errRefused = errors.New("connection refused")

func (n *network) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	n.mu.Lock()
	refuse := n.refusals > 0
	if refuse {
		n.refusals--
	}
	n.mu.Unlock()
	if refuse {
		return nil, errRefused
	}
	client, server := net.Pipe()
	select {
	case n.conns <- server:
		return client, nil
	case <-n.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Accept, Close and Addr make it a net.Listener.
func (n *network) Accept() (net.Conn, error) {
	select {
	case c := <-n.conns:
		return c, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

func (n *network) Close() error {
	close(n.closed)
	return nil
}

func (n *network) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

func (n *network) onArrival(do func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.arrival = do
}

func (n *network) count(more int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.serving += more
	n.served.Add(more)
}

func (n *network) isIdle() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.serving == 0
}

func (n *network) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	n.mu.Lock()
	arrival := n.arrival
	n.arrival = nil
	n.mu.Unlock()
	n.count(1)
	defer n.count(-1)
	if arrival != nil {
		arrival()
	}
	n.handler.ServeHTTP(w, r)
}

// RoundTrip takes the sandbox's notifications, as the worker's listener would: it makes signals of them.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	n := schemas.Notification{
		Gateway: schemas.Antom, Account: accountName, Path: r.URL.RequestURI(), Headers: make(map[string]string), Body: body,
	}
	for _, name := range antom.NotificationHeaders() {
		n.Headers[name] = r.Header.Get(name)
	}
	id, _, err := w.antom.VerifyNotification(n)
	if err != nil {
		w.t.Errorf("a notification is not verified: %v", err)
	}
	w.notified(schemas.Signal{
		RequestID: id, Kind: schemas.SignalNotification, Notification: &n, OccurredAt: schemas.Time{Time: time.Now()},
	})
	ack := `{"result":{"resultStatus":"S","resultCode":"SUCCESS","resultMessage":"success"}}`
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(ack)), Request: r}, nil
}

// connect opens the sandbox and one client of the scenario's gateway.
func (w *world) connect(keys sandbox.Keys) {
	w.t.Helper()
	sale := w.scenario.sale
	sale.ID, sale.Minor, sale.Currency = paymentID, original, "HKD"
	server, err := sandbox.New(sandbox.Config{
		PrivateKey: keys.GatewayPrivate,
		Clients:    []sandbox.Client{{ID: antomID, PublicKey: keys.MerchantPublic}},
		Merchants:  []sandbox.Merchant{{Key: eftpayKey, Secret: "TESTSECRET0123456789", Currency: "HKD"}},
		Payments:   []sandbox.Payment{sale},
		EftPay:     sandbox.EftPayConfig{Duplicate: w.gateway.duplicate},
		Notify:     sandbox.Notify{URL: w.scenario.notifyURL(), HTTPClient: &http.Client{Transport: w}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.sandbox = server
	metrics := gateway.NewMetrics(prometheus.NewRegistry(), []string{accountName})
	if w.gateway.name == schemas.Antom {
		w.network = newNetwork(server.Antom())
		w.antom, err = antom.New(antom.Config{
			Name: accountName, BaseURL: "http://127.0.0.1", ClientID: antomID, PrivateKey: antom.Secret(keys.MerchantPrivate),
			AntomPublicKeys: []antom.Secret{antom.Secret(keys.GatewayPublic)}, Timeout: gatewayTimeout, Dial: w.network.dial,
		}, zerolog.Nop(), metrics)
	} else {
		w.network = newNetwork(server.EftPay())
		w.eftpay, err = eftpay.New(eftpay.Config{
			Name: accountName, BaseURL: "http://127.0.0.1/VMP", UserConfirmKey: eftpayKey, Secret: "TESTSECRET0123456789",
			Currency: "HKD", NotFoundStatus: w.scenario.notFound, Timeout: gatewayTimeout, Dial: w.network.dial,
		}, zerolog.Nop(), metrics)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.lanes.Go(func() {
		if err := w.network.server.Serve(w.network); !errors.Is(err, http.ErrServerClosed) {
			w.t.Errorf("serve: %v", err)
		}
	})
	w.network.refusals = w.scenario.refusals
	key := w.gateway.key(first)
	if len(w.scenario.refunds) > 0 {
		err = errors.Join(err, server.Script(sandbox.Refund, key, w.scenario.refunds...))
	}
	if len(w.scenario.inquiries) > 0 {
		err = errors.Join(err, server.Script(sandbox.Inquiry, key, w.scenario.inquiries...))
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// hangUp ends clients, gateway and the network between them.
func (w *world) hangUp() {
	if w.antom != nil {
		w.antom.Close()
	}
	if w.eftpay != nil {
		w.eftpay.Close()
	}
	w.network.served.Wait()
	if err := errors.Join(w.network.server.Close(), w.sandbox.Close()); err != nil {
		w.t.Errorf("close: %v", err)
	}
}

// accounts is the one account of a process.
type accounts struct{ *process }

// Account is as internal/worker makes it.
func (a accounts) Account(gw schemas.Gateway, name string) (refund.Account, error) {
	if gw != a.w.gateway.name || name != "" && name != accountName {
		return refund.Account{}, fmt.Errorf("%s %q: %w", gw, name, refund.ErrUnknownAccount)
	}
	acct := refund.Account{Name: accountName, Gateway: gw, KeyFunc: a.w.gateway.key}
	if gw == schemas.Antom {
		acct.Client, acct.ResendWindow, acct.NotifiedFunc = calls{a.process, a.w.antom}, 12*time.Hour, a.w.antom.Notified
	} else {
		acct.Client, acct.InquireFirst = calls{a.process, a.w.eftpay}, true
	}
	return acct, nil
}

// calls is the way of a process to the gateway.
type calls struct {
	*process
	refund.Client
}

func (c calls) Refund(ctx context.Context, req refund.Request) (refund.Result, error) {
	return c.call(ctx, "refund", c.Client.Refund, req)
}

func (c calls) Inquire(ctx context.Context, req refund.Request) (refund.Result, error) {
	return c.call(ctx, "inquire", c.Client.Inquire, req)
}

func (c calls) call(
	ctx context.Context, name string, do func(context.Context, refund.Request) (refund.Result, error), req refund.Request,
) (refund.Result, error) {
	switch c.reach(ctx, "send "+name, before, inFlight, held, frozen) {
	case inFlight:
		c.w.network.onArrival(func() { c.kill(ctx) })
	case held:
		c.w.network.onArrival(func() {
			c.kill(ctx)
			_ = pauseUntil(context.WithoutCancel(ctx), time.Now().Add(standstill)) // nothing ends this context
		})
	case before, after, apart, frozen:
	}
	res, err := do(ctx, req)
	// The frozen one has its answer in hand and does not know yet.
	c.step(ctx, "answer "+name, func() {})
	return res, err
}
