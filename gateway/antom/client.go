package antom

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"refundworker/gateway"
	"refundworker/refund"
	"refundworker/schemas"
)

// The paths, https://docs.antom.com/ac/ams/api_fund. The sandbox has its own, taken by client IDs that begin with
// SANDBOX_; it is the sandbox path that is signed then (https://docs.antom.com/ac/autodebitpay/inquire_refund and
// defaultAlipayClient.go of the Go SDK).
const (
	productionAPI   = "/ams/api"
	sandboxAPI      = "/ams/sandbox/api"
	sandboxClientID = "SANDBOX_"
	refundPath      = "/v1/payments/refund"
	inquiryPath     = "/v1/payments/inquiryRefund"
)

// Client speaks to one Antom account. Safe for concurrent use.
type Client struct {
	name string
	api  string
	http *gateway.HTTP
	// signer is replaced as a whole by SetKeys.
	signer  atomic.Pointer[signer]
	tables  tables
	log     zerolog.Logger
	metrics *gateway.Metrics
	// agentToken is a pointer for the reason given at [Secret]; nil where there is none.
	agentToken *Secret
}

var _ refund.Client = (*Client)(nil)

// New builds the client of an account. It opens no connection. The error joins every fault of the configuration.
func New(cfg Config, log zerolog.Logger, metrics *gateway.Metrics) (*Client, error) {
	keys, err := cfg.parse()
	if err != nil {
		return nil, err
	}
	transport, err := gateway.NewHTTP(cfg.httpConfig(), cfg.Name, metrics)
	if err != nil {
		return nil, err
	}
	c := &Client{
		name: cfg.Name, api: productionAPI, http: transport, tables: newTables(), log: log, metrics: metrics,
	}
	c.signer.Store(&signer{clientID: cfg.ClientID, keyVersion: cmp.Or(cfg.KeyVersion, DefaultKeyVersion), keys: keys})
	if strings.HasPrefix(cfg.ClientID, sandboxClientID) {
		c.api = sandboxAPI
	}
	if cfg.AgentToken != "" {
		c.agentToken = &cfg.AgentToken
	}
	return c, nil
}

// Close closes the connections that no call is using.
func (c *Client) Close() { c.http.Close() }

// SetKeys replaces our private key and Antom's public keys, all of them, under the rules of [Config]; with an error
// nothing is replaced. Calls that begin later use the new keys. Calls under way end with the keys that they began with
// or the new ones, whichever verify the answer: Antom may have signed it before or after its own change.
func (c *Client) SetKeys(private Secret, public []Secret) error {
	keys, err := parseKeys(private, public)
	if err != nil {
		return err
	}
	now := c.signer.Load()
	c.signer.Store(&signer{clientID: now.clientID, keyVersion: now.keyVersion, keys: keys})
	return nil
}

// Keys names the keys in use without giving any away: the beginning of the SHA-256 of each public key's DER, of our own
// pair's first.
func (c *Client) Keys() string { return c.signer.Load().fingerprints() }

// Refund asks for a refund, and asks again when it is called again: the body is the same, and Antom replays a final
// answer or carries on with an unfinished one (https://docs.antom.com/ac/ams/idempotency).
func (c *Client) Refund(ctx context.Context, req refund.Request) (refund.Result, error) {
	return c.call(ctx, gateway.OpRefund, c.api+refundPath, refundBody(req), req)
}

// Inquire asks what became of a refund. RawCode of a refund that was found is its refundStatus.
func (c *Client) Inquire(ctx context.Context, req refund.Request) (refund.Result, error) {
	return c.call(ctx, gateway.OpInquire, c.api+inquiryPath, inquiryBody(req), req)
}

func (c *Client) call(ctx context.Context, op gateway.Operation, path string, body []byte, req refund.Request) (refund.Result, error) {
	started := time.Now()
	res, err := c.exchange(ctx, op, path, body, req)
	c.metrics.Call(c.name, op, res, time.Since(started))
	if err != nil {
		err = fmt.Errorf("antom %s %s: %w", op, req.RequestID, err)
	}
	return res, err
}

// exchange sends a body and judges the answer.
func (c *Client) exchange(ctx context.Context, op gateway.Operation, path string, body []byte, req refund.Request) (refund.Result, error) {
	// Milliseconds since the epoch, as on the page and in the Go and Java SDKs: https://docs.antom.com/ac/ams/api_fund
	at := strconv.FormatInt(time.Now().UnixMilli(), 10)
	signer := c.signer.Load()
	signature, err := signer.sign(path, at, body)
	if err != nil {
		return refund.Result{Verdict: refund.NotSent, Code: schemas.CodeGatewayUnavailable, Detail: "not signed, so not sent"}, err
	}
	header := http.Header{
		"Content-Type":    {"application/json; charset=UTF-8"},
		"User-Agent":      {"refund-worker"},
		headerClientID:    {signer.clientID},
		headerRequestTime: {at},
		headerSignature:   {signature},
	}
	if c.agentToken != nil {
		header.Set(headerAgentToken, string(*c.agentToken))
	}
	ans, err := c.http.Post(ctx, path, header, body)
	if err != nil {
		return gateway.Failed(err), err
	}
	// Of an answer that proves nothing, only this is left to look at.
	c.log.Debug().Str("account", c.name).Str("operation", string(op)).Str("request_id", req.RequestID).
		Int("http_status", ans.Status).Int("answer_bytes", len(ans.Body)).Msg("antom answered")
	return c.judge(op, path, ans, req, signer)
}

// judge is the one way from an answer to a verdict. Only the last lines can come to anything but Unknown. began is what
// the call was signed with.
func (c *Client) judge(op gateway.Operation, path string, ans gateway.Answer, req refund.Request, began *signer) (refund.Result, error) {
	if ans.Status != http.StatusOK {
		// No page speaks of other statuses; proxies send them, before and after the work is done.
		return gateway.BadStatus(ans, c.unproved(ans, "http status "+strconv.Itoa(ans.Status))), &gateway.StatusError{Status: ans.Status}
	}
	if err := c.verify(began, path, ans); err != nil {
		reason := "not verified"
		if e, ok := errors.AsType[*gateway.UnverifiedError](err); ok {
			reason = e.Reason
		}
		return c.unproved(ans, reason), err
	}
	a, err := decodeAnswer(ans.Body)
	if err != nil {
		return refund.Result{
			Code: schemas.CodeUnknownOutcome, Alarm: refund.AlarmUnverified, Detail: "signed answer not readable",
		}, &gateway.UnreadableError{Err: err}
	}
	res := c.tables.inquiry(a, req)
	if op == gateway.OpRefund {
		res = c.tables.refund(a, req)
	}
	if res.Code == schemas.CodeThrottled {
		res.RetryAfter = gateway.RetryAfter(ans.Header, time.Now())
	}
	return res, nil
}

// verify tries the keys that the call began with and, where they were replaced meanwhile, those of now.
func (c *Client) verify(began *signer, path string, ans gateway.Answer) error {
	err := began.verify(path, ans.Header, ans.Body)
	if now := c.signer.Load(); err != nil && now != began {
		return now.verify(path, ans.Header, ans.Body)
	}
	return err
}

// unproved is the verdict of an answer without proof. If it says that our client ID, key or signature is wrong, which
// Antom says unsigned, that is reason for an alarm and for a pause, never for a failure. Nothing else of it is kept.
func (c *Client) unproved(ans gateway.Answer, reason string) refund.Result {
	res := refund.Result{Code: schemas.CodeUnknownOutcome, Alarm: refund.AlarmUnverified, Detail: reason}
	a, err := decodeAnswer(ans.Body)
	if err != nil {
		return res
	}
	if r := c.tables.refunds[a.code]; r.unsigned {
		res.Code, res.Alarm, res.RawCode = r.ours, r.alarm, r.code
		res.Detail = reason + "; the unsigned text says " + r.code
	}
	return res
}
