package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"refundworker/gateway"
	"refundworker/gateway/antom"
	"refundworker/internal/config"
	"refundworker/internal/notify"
	"refundworker/internal/serve"
	"refundworker/producer"
	"refundworker/schemas"
)

var errNotListening = errors.New("http.notify_listen is not set: there is no listener for notifications")

// antomNotifier is what the listener needs of an Antom account's client.
type antomNotifier interface {
	VerifyNotification(schemas.Notification) (requestID string, sent time.Time, err error)
}

var _ antomNotifier = (*antom.Client)(nil)

// listenerOf builds the listener for notifications; nil where none is configured.
func listenerOf(cfg config.Config, accounts *Accounts, out *producer.Producer, log zerolog.Logger, reg prometheus.Registerer) (*serve.Server, error) {
	if cfg.HTTP.NotifyListen == "" {
		return nil, nil
	}
	var endpoints []notify.Endpoint
	for name, account := range accounts.byGateway[schemas.Antom] {
		client, ok := account.Client.(antomNotifier)
		if !ok {
			return nil, fmt.Errorf("http.notify_listen: the client of account %s cannot verify notifications", name)
		}
		endpoints = append(endpoints, notify.Endpoint{
			Gateway: schemas.Antom, Account: name, Headers: antom.NotificationHeaders(),
			VerifyFunc: verifyAntom(client), Acknowledgement: antom.NotificationAck,
		})
	}
	conf := notify.Config{Listen: cfg.HTTP.NotifyListen, Source: source}
	return notify.New(conf, endpoints, out, log, notify.NewMetrics(reg)), nil
}

// verifyAntom tells what Antom signed and is none of ours from what it did not sign.
func verifyAntom(client antomNotifier) func(schemas.Notification) (string, time.Time, error) {
	return func(n schemas.Notification) (string, time.Time, error) {
		requestID, sent, err := client.VerifyNotification(n)
		if _, unreadable := errors.AsType[*gateway.UnreadableError](err); unreadable {
			err = fmt.Errorf("%w: %w", notify.ErrNotOurs, err)
		}
		return requestID, sent, err
	}
}

// NotifyAddr waits until notifications are listened for and returns the address, with the port the system chose for port
// 0. It fails with the cause of ctx, and where http.notify_listen is not set.
func (w *Worker) NotifyAddr(ctx context.Context) (string, error) {
	if w.notify == nil {
		return "", errNotListening
	}
	return w.notify.Addr(ctx)
}
