package subject

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// Options are what every subject is told.
type Options struct {
	Broker, Topic, Results, Redis, Gateway string
	Partitions, InFlight                   int
}

// Main parses the options and runs the subject until SIGTERM.
func Main(run func(context.Context, Options) error) {
	var o Options
	flag.StringVar(&o.Broker, "broker", "", "host:port")
	flag.StringVar(&o.Topic, "topic", "", "topic of commands")
	flag.StringVar(&o.Results, "results", "", "topic of outcomes")
	flag.StringVar(&o.Redis, "redis", "", "host:port")
	flag.StringVar(&o.Gateway, "gateway", "", "URL")
	flag.IntVar(&o.Partitions, "partitions", 0, "partitions of the topic of commands")
	flag.IntVar(&o.InFlight, "in-flight", 0, "calls at once")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil && ctx.Err() == nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Command is the part of a command that a refund needs.
type Command struct {
	RequestID string `json:"requestId"`
	PaymentID string `json:"paymentId"`
	Amount    struct {
		Value    string `json:"value"`
		Currency string `json:"currency"`
	} `json:"amount"`
}

// Outcome is about as large as the worker's.
type Outcome struct {
	RequestID       string `json:"requestId"`
	PaymentID       string `json:"paymentId"`
	Status          string `json:"status"`
	Code            string `json:"code"`
	Gateway         string `json:"gateway"`
	GatewayRefundID string `json:"gatewayRefundId"`
	Amount          string `json:"amount"`
	Currency        string `json:"currency"`
	OccurredAt      string `json:"occurredAt"`
}

// Succeeded is the outcome of a command whose call went well.
func Succeeded(c Command) ([]byte, error) {
	return json.Marshal(Outcome{
		RequestID: c.RequestID, PaymentID: c.PaymentID, Status: "success", Code: "REFUNDED", Gateway: "plain",
		GatewayRefundID: "T" + c.RequestID, Amount: c.Amount.Value, Currency: c.Amount.Currency,
		OccurredAt: time.Now().UTC().Format(time.RFC3339Nano),
	})
}

// Gateway calls the plain gateway over as many kept connections as there are calls at once.
type Gateway struct {
	url string
	// transport is used without a client: redirects, cookies and a timer per call would cost the ceiling some percent.
	transport *http.Transport
}

// NewGateway opens no connection yet.
func NewGateway(o Options) *Gateway {
	return &Gateway{url: o.Gateway + "/plain", transport: &http.Transport{
		MaxConnsPerHost: o.InFlight, MaxIdleConnsPerHost: o.InFlight, DisableCompression: true,
	}}
}

var errRefused = errors.New("the gateway did not say 200")

// Refund makes the call.
func (g *Gateway) Refund(ctx context.Context, c Command) error {
	var body bytes.Buffer
	body.WriteString(`{"request":"` + c.RequestID + `","payment":"` + c.PaymentID + `","amount":"` + c.Amount.Value +
		`","currency":"` + c.Amount.Currency + `"}`)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.url, &body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := g.transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: %s", errRefused, strconv.Itoa(resp.StatusCode))
	}
	return nil
}

// Redis is a pool with buffers that fit small values.
func Redis(o Options) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: o.Redis, PoolSize: o.InFlight, ReadBufferSize: 4 << 10, WriteBufferSize: 4 << 10, DisableIdentity: true})
}
