package antom

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"refundworker/gateway"
	"refundworker/refund"
	"refundworker/schemas"
)

// notifyRefund is the notifyType of a notification about a refund, https://docs.antom.com/ac/ams/notify_refund.
const notifyRefund = "REFUND_RESULT"

// NotificationAck is the body of the answer, HTTP 200, that ends Antom's deliveries of a notification: the fixed object of
// https://docs.antom.com/ac/ams/notify_refund. It need not be signed.
const NotificationAck = `{"result":{"resultCode":"SUCCESS","resultStatus":"S","resultMessage":"success"}}`

// errNotRefund is the fault of a verified notification about something else than a refund.
var errNotRefund = errors.New("notifyType is not " + notifyRefund)

// NotificationHeaders are the headers that the signature of a notification needs, by their names in small letters.
func NotificationHeaders() []string {
	return []string{strings.ToLower(headerClientID), strings.ToLower(headerRequestTime), strings.ToLower(headerSignature)}
}

// Notified judges a notification that Antom sent by itself when an asynchronous refund came to its end: POST with the
// headers of a request, signed over the path of our address with its query
// (https://docs.antom.com/ac/ams/notify_refund, comment on the path in the Java SDK). What it says is taken as the answer
// to an inquiry would be, and proves nothing without a signature that fits, our refundRequestId and our amount.
//
// It names no payment: the page's table has no paymentId.
func (c *Client) Notified(n schemas.Notification, req refund.Request) (refund.Result, error) {
	a, err := c.readNotification(n)
	if err != nil {
		return refund.Result{Code: schemas.CodeUnknownOutcome, Alarm: refund.AlarmUnverified, Detail: "notification not verified"}, err
	}
	if name := a.contradiction(req); name != "" {
		return mismatch(a, name), nil
	}
	res := found(a, req)
	switch {
	case res.Verdict == refund.Succeeded && a.status != statusSuccess:
		return refund.Result{Code: schemas.CodeUnknownOutcome, Alarm: refund.AlarmMismatch, Detail: "refundStatus and resultStatus disagree"}, nil
	case res.Verdict == refund.Declined:
		// The result's code says why; an inquiry tells only that it failed.
		if r, listed := c.tables.refunds[a.code]; listed && r.verdict == refund.Declined && r.fits(a.status) {
			res.Code = r.ours
		}
		res.RawCode = gateway.Clip(a.code, maxCode)
	}
	return res, nil
}

// VerifyNotification proves that a notification was signed by Antom for us, and says which request it is about and when
// it was sent: our refundRequestId is the request ID itself, see [Key]. Whether it fits the request is for
// [Client.Notified] to say. The time is zero where request-time is in no known form. An *[gateway.UnreadableError] means that it
// is Antom's, and about no refund of ours.
func (c *Client) VerifyNotification(n schemas.Notification) (requestID string, sent time.Time, err error) {
	a, err := c.readNotification(n)
	if err != nil {
		return "", time.Time{}, err
	}
	if !isID(a.refundRequestID, maxRequestID) {
		return "", time.Time{}, &gateway.UnreadableError{Err: errors.New("refundRequestId is not one of ours")}
	}
	return a.refundRequestID, parseRequestTime(n.Headers[strings.ToLower(headerRequestTime)]), nil
}

// parseRequestTime reads a request-time: milliseconds since the epoch, as the page and the Go and Java SDKs have it, or
// ISO 8601 with an offset, as the Python and PHP SDKs do (https://docs.antom.com/ac/ams/api_fund).
func parseRequestTime(text string) time.Time {
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.UnixMilli(ms)
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05Z0700"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at
		}
	}
	return time.Time{}
}

// readNotification verifies and decodes.
func (c *Client) readNotification(n schemas.Notification) (answer, error) {
	header := make(http.Header, len(n.Headers))
	for name, value := range n.Headers {
		header.Set(name, value)
	}
	if err := c.signer.Load().verifyAt(n.Path, headerRequestTime, header, n.Body); err != nil {
		return answer{}, fmt.Errorf("antom notification: %w", err)
	}
	obj, err := gateway.ParseObject(n.Body)
	if err != nil {
		return answer{}, fmt.Errorf("antom notification: %w", &gateway.UnreadableError{Err: err})
	}
	a, err := decodeAnswer(n.Body)
	if err != nil {
		return answer{}, fmt.Errorf("antom notification: %w", &gateway.UnreadableError{Err: err})
	}
	if kind, err := obj.Text("notifyType"); err != nil || kind != notifyRefund {
		return answer{}, fmt.Errorf("antom notification: %w", &gateway.UnreadableError{Err: errNotRefund})
	}
	return a, nil
}
