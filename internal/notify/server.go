package notify

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/rs/zerolog"

	"refundworker/internal/serve"
	"refundworker/refund"
	"refundworker/schemas"
)

// The listener's limits. It may be reached by anybody, so each is as tight as a gateway's own message allows: a
// connection serves one request, and whoever is slow or many waits for others of their kind, not for a refund.
const (
	headerTimeout = 5 * time.Second
	// readTimeout bounds a whole request, head included.
	readTimeout = 10 * time.Second
	// publishTimeout bounds the wait for the broker. Antom does not say how long it waits for an answer.
	publishTimeout = 5 * time.Second
	// writeTimeout begins with the body and has room for reading it and for publishing.
	writeTimeout = 20 * time.Second
	// stopTimeout lets a publication that has begun end. The workers' consumers take longer to stop than this.
	stopTimeout    = 6 * time.Second
	maxHeaderBytes = 16 << 10
	// maxConns bounds requests too, and with them memory: each has a body of at most [schemas.MaxNotificationBytes].
	maxConns = 32
	// connRate bounds requests a second, and with them the processor's time: refusing one takes a quarter of a
	// millisecond. It is far beyond what an account's asynchronous refunds come to.
	connRate = 200
)

// ErrNotOurs is wrapped by the error of an [Endpoint.VerifyFunc] for what the gateway did send, and is about no refund
// of ours. It is acknowledged, because the gateway would send it again and again, and dropped.
var ErrNotOurs = errors.New("not about a refund of ours")

// Endpoint is the address of one account, /<gateway>/<account>, with any query.
type Endpoint struct {
	Gateway schemas.Gateway
	Account string
	// Headers are what the signal keeps: those that the signature is in or covers, by their names in small letters.
	Headers []string
	// VerifyFunc proves that the gateway sent a notification for this account, and says which request it is about and
	// when it was sent, zero where that cannot be told. An error that does not wrap [ErrNotOurs] means that it proves
	// nothing; its text holds nothing of what was sent.
	VerifyFunc func(schemas.Notification) (requestID string, sent time.Time, err error)
	// Acknowledgement is the body of the answer, JSON with status 200, that ends the gateway's deliveries.
	Acknowledgement string
}

type publisher interface {
	// Publish returns nil only when all in-sync replicas have the events.
	Publish(ctx context.Context, events ...refund.Event) error
}

// Config is where the listener is, and in whose name it writes.
type Config struct {
	// Listen is host:port; port 0 lets the system choose.
	Listen string
	// Source is the CloudEvents source of the signals.
	Source string
}

// New builds the listener for the given accounts. It listens only in [serve.Server.Run].
func New(cfg Config, endpoints []Endpoint, publisher publisher, log zerolog.Logger, metrics *Metrics) *serve.Server {
	server := &http.Server{
		Handler: newHandler(cfg.Source, endpoints, publisher, log, metrics), ReadHeaderTimeout: headerTimeout,
		ReadTimeout: readTimeout, WriteTimeout: writeTimeout, MaxHeaderBytes: maxHeaderBytes,
		// OPTIONS * would be answered before the handler otherwise.
		DisableGeneralOptionsHandler: true,
	}
	// Notifications are rare; an idle connection would only take the place of another.
	server.SetKeepAlivesEnabled(false)
	return serve.New(serve.Config{
		Name: "notifications", Listen: cfg.Listen, HTTP: server, MaxConns: maxConns, ConnRate: connRate, StopTimeout: stopTimeout,
	}, log)
}
