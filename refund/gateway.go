package refund

import (
	"context"
	"errors"
	"time"

	"refundworker/schemas"
)

// Request is what reaches a gateway. Everything in it is frozen: built again from the same command it is the same, so
// that a resend carries the identical body.
type Request struct {
	RequestID string
	// GatewayKey is the gateway's idempotency key: a pure function of RequestID, never of the attempt.
	GatewayKey        string
	PaymentID         string
	Amount            schemas.Money
	Reason            string
	ReferenceRefundID string
	EftPay            *schemas.EftPayFields
	// GatewayRefundID is the gateway's own ID of the refund once known; inquiries prefer it.
	GatewayRefundID string

	// The rest belongs to this pass and is not part of what is frozen.

	// ClaimedAt is the store's clock at the claim. A gateway that checks the time of a message is given this one, so that
	// a write that was held up fails the gateway's own check.
	ClaimedAt time.Time
	// OthersKnown: another refund of the payment is known, so that an answer which does not name ours may speak of it.
	OthersKnown bool
}

// Client speaks to one account of one gateway. Refund and Inquire always return a usable Result; the error says what
// we could not do (dial, read, verify) and never changes the verdict: a Result with an error is Unknown or NotSent.
//
// The context's deadline is absolute for the pass; implementations look at it again right before the first byte is
// written, and write nothing after it.
type Client interface {
	// Check returns a text when the request breaks a documented limit of the gateway, before anything is sent;
	// "" when it is fine.
	Check(Request) string
	Refund(context.Context, Request) (Result, error)
	Inquire(context.Context, Request) (Result, error)
}

// Account is a configured account with the rules of its gateway.
type Account struct {
	Name    string
	Gateway schemas.Gateway
	Client  Client
	// KeyFunc maps a request ID to the gateway's idempotency key.
	KeyFunc func(requestID string) string
	// ResendWindow is how long after the first sight of a command the gateway's own contract makes an identical
	// resend safe. 0: never; an unknown outcome is then only inquired.
	ResendWindow time.Duration
	// InquireFirst asks for an inquiry before every first send.
	InquireFirst bool
	// NotifiedFunc judges a notification that the gateway sent by itself, as if it were the answer to an inquiry: what it
	// proves about the request, once its signature was verified. nil: the gateway sends none, or none is believed.
	NotifiedFunc func(schemas.Notification, Request) (Result, error)
}

// ID names the account.
func (a Account) ID() AccountID { return AccountID{Gateway: a.Gateway, Name: a.Name} }

// ErrUnknownAccount is returned by an account lookup that finds none, or finds several where the command names none.
var ErrUnknownAccount = errors.New("unknown account")

type accounts interface {
	// Account finds the named account of a gateway; an empty name is the gateway's only account.
	Account(gateway schemas.Gateway, name string) (Account, error)
}
