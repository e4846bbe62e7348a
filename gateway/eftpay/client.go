package eftpay

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"refundworker/gateway"
	"refundworker/refund"
	"refundworker/schemas"
)

// servicePath takes all services of the qrcode scene; the field service tells them apart.
// https://vmp.eftpay.com.cn/vmp-docs/en/api-reference/BaseInfo.html
const servicePath = "/Servlet/JSAPIService.do"

// errNoClaimTime refuses to send a refund whose time could not go stale.
var errNoClaimTime = errors.New("the request has no claim time")

// RequestError says that a request was not sent because it breaks a limit; its text is that of Check.
type RequestError struct{ Fault string }

// Error is the fault.
func (e *RequestError) Error() string { return e.Fault }

// Client speaks to one eftPay account. Safe for concurrent use.
type Client struct {
	name           string
	userConfirmKey string
	currency       string
	http           *gateway.HTTP
	// signer is replaced as a whole by SetSecret.
	signer  atomic.Pointer[signer]
	tables  tables
	wallets map[string]wallet
	log     zerolog.Logger
	metrics *gateway.Metrics
}

var _ refund.Client = (*Client)(nil)

// New builds the client of an account. It opens no connection. The error joins every fault of the configuration.
func New(cfg Config, log zerolog.Logger, metrics *gateway.Metrics) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	transport, err := gateway.NewHTTP(cfg.httpConfig(), cfg.Name, metrics)
	if err != nil {
		return nil, err
	}
	c := &Client{
		name: cfg.Name, userConfirmKey: cfg.UserConfirmKey, currency: cfg.Currency, http: transport,
		tables: newTables(cfg.NotFoundStatus), wallets: newWallets(), log: log, metrics: metrics,
	}
	c.signer.Store(&signer{secret: &cfg.Secret})
	return c, nil
}

// Close closes the connections that no call is using.
func (c *Client) Close() { c.http.Close() }

// SetSecret replaces the secret code, under the rules of [Config]; with an error nothing is replaced. Calls that begin
// later are signed with it. The answer to a call under way may be signed with the secret of the call or with the new
// one: when eftPay changes over is not documented, and nobody else knows either of them.
func (c *Client) SetSecret(secret Secret) error {
	if err := checkSecret(secret); err != nil {
		return err
	}
	c.signer.Store(&signer{secret: &secret})
	return nil
}

// Refund asks for a refund, once. eftPay does not say what a second call with the same refund_no does, so whoever calls
// again has to know that the first moved nothing. A request that Check refuses, or without ClaimedAt, is not sent.
// RawCode is the trade_status of an answer that has one, else its return_status.
func (c *Client) Refund(ctx context.Context, req refund.Request) (refund.Result, error) {
	if text := c.Check(req); text != "" {
		return c.notSent(gateway.OpRefund, req, &RequestError{Fault: text})
	}
	if req.ClaimedAt.IsZero() {
		return c.notSent(gateway.OpRefund, req, errNoClaimTime)
	}
	return c.call(ctx, gateway.OpRefund, c.refundFields(req), req)
}

// Inquire asks what became of a refund. It moves nothing and may be repeated. RawCode is as for Refund.
func (c *Client) Inquire(ctx context.Context, req refund.Request) (refund.Result, error) {
	if text := checkAddress(req); text != "" {
		return c.notSent(gateway.OpInquire, req, &RequestError{Fault: text})
	}
	return c.call(ctx, gateway.OpInquire, c.queryFields(req, time.Now()), req)
}

// notSent is the result of a request that cannot be put as one of eftPay's.
func (c *Client) notSent(op gateway.Operation, req refund.Request, err error) (refund.Result, error) {
	res := refund.Result{Verdict: refund.NotSent, Code: schemas.CodeGatewayUnavailable, Detail: "no request of eftPay's form, so not sent"}
	c.metrics.Call(c.name, op, res, 0)
	return res, wrap(op, req, err)
}

func (c *Client) call(ctx context.Context, op gateway.Operation, fields []field, req refund.Request) (refund.Result, error) {
	started := time.Now()
	signer := c.signer.Load()
	res, err := c.exchange(ctx, op, signer.body(fields), req, signer)
	c.metrics.Call(c.name, op, res, time.Since(started))
	return res, wrap(op, req, err)
}

func wrap(op gateway.Operation, req refund.Request, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("eftpay %s %s: %w", op, req.RequestID, err)
}

// exchange sends a body and judges the answer. began is what the body was signed with.
func (c *Client) exchange(ctx context.Context, op gateway.Operation, body []byte, req refund.Request, began *signer) (refund.Result, error) {
	header := http.Header{
		// "application/json, UTF-8": https://vmp.eftpay.com.cn/vmp-docs/en/api-reference/BaseInfo.html
		"Content-Type": {"application/json; charset=UTF-8"},
		"User-Agent":   {"refund-worker"},
	}
	ans, err := c.http.Post(ctx, servicePath, header, body)
	if err != nil {
		return gateway.Failed(err), err
	}
	return c.judge(op, ans, req, began)
}

// judge is the one way from an answer to a verdict. Only the last lines can come to anything but Unknown.
func (c *Client) judge(op gateway.Operation, ans gateway.Answer, req refund.Request, began *signer) (refund.Result, error) {
	obj, err := gateway.ParseObject(ans.Body)
	var form empties
	if err == nil {
		form, err = c.verify(began, obj)
	} else {
		err = &gateway.UnreadableError{Err: err}
	}
	// Which way of signing empty fields eftPay has is contested; this line tells.
	c.log.Debug().Str("account", c.name).Str("operation", string(op)).Str("request_id", req.RequestID).
		Int("http_status", ans.Status).Int("answer_bytes", len(ans.Body)).Str("empty_fields", string(form)).Msg("eftpay answered")
	if ans.Status != http.StatusOK {
		// "HTTP 200 only says that the request was taken" (https://vmp.eftpay.com.cn/vmp-docs/en/api-reference/BaseInfo.html);
		// no page speaks of other statuses, which proxies send before and after the work is done.
		return gateway.BadStatus(ans, c.unproved(obj, "http status "+strconv.Itoa(ans.Status))), &gateway.StatusError{Status: ans.Status}
	}
	if err != nil {
		reason := "not readable"
		if e, ok := errors.AsType[*gateway.UnverifiedError](err); ok {
			reason = e.Reason
		}
		return c.unproved(obj, reason), err
	}
	a, err := decodeAnswer(obj)
	if err != nil {
		return c.unproved(nil, "signed answer not readable"), &gateway.UnreadableError{Err: err}
	}
	if op == gateway.OpRefund {
		return c.tables.refund(a, req), nil
	}
	return c.tables.inquiry(a, req), nil
}

// verify tries the secret that the call began with and, where it was replaced meanwhile, that of now.
func (c *Client) verify(began *signer, obj gateway.Object) (empties, error) {
	form, err := began.verify(obj)
	if now := c.signer.Load(); err != nil && now != began {
		return now.verify(obj)
	}
	return form, err
}

// unproved is the verdict of an answer without proof. If it says that our account, service or clock is wrong, which
// eftPay says unsigned, that is reason for an alarm and for a pause, never for a failure. Nothing else of it is kept.
// obj is nil where the answer could not be read.
func (c *Client) unproved(obj gateway.Object, reason string) refund.Result {
	res := refund.Result{Code: schemas.CodeUnknownOutcome, Alarm: refund.AlarmUnverified, Detail: reason}
	code, err := obj.Text("return_status")
	if err != nil {
		return res
	}
	if r, _ := c.tables.answer(code); r.unsigned {
		res.Code, res.Alarm, res.RawCode = r.ours, r.alarm, r.code
		res.Detail = reason + "; the unproved text says return_status " + r.code
	}
	return res
}
