package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// maxAck bounds what is read of the merchant's acknowledgement.
const maxAck = 64 << 10

// announce is told of asynchronous refunds that have a notify address. An unfinished one is looked at again after its
// delay; a final one is delivered until the merchant acknowledges it or the schedule ends.
func (s *Server) announce(entry Entry, notifyURL string, delay time.Duration) {
	s.spawn(func(ctx context.Context) {
		if entry.State == Processing {
			if s.wait(ctx, delay) == nil {
				s.antom.finishDue(time.Now())
			}
			return
		}
		// Nobody may hear of an entry that a crash could still take away.
		if s.ledger.flush(entry.Seq) != nil {
			return
		}
		for i := 0; ; i++ {
			if s.deliver(ctx, entry, notifyURL) == nil || i >= len(s.cfg.Notify.Waits) ||
				s.wait(ctx, s.cfg.Notify.Waits[i]) != nil {
				return
			}
		}
	})
}

// deliver sends the notification once, https://docs.antom.com/ac/ams/notify_refund. It is signed over the path and the
// query of the merchant's address. nil means that it was acknowledged.
func (s *Server) deliver(ctx context.Context, entry Entry, notifyURL string) error {
	target, err := url.Parse(notifyURL)
	if err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	body := notification(entry).encode()
	at := strconv.FormatInt(time.Now().UnixMilli(), 10)
	signature, err := sign(s.credentials.Load().key, http.MethodPost, target.RequestURI(), entry.ClientID, at, body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	req.Header.Set("Content-Type", jsonType)
	req.Header.Set("client-id", entry.ClientID)
	req.Header.Set("request-time", at)
	req.Header.Set("signature", signature)
	s.sent.Add(1)
	resp, err := s.notifier.Do(req)
	if err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAck))
	if err != nil {
		return fmt.Errorf("read acknowledgement: %w", err)
	}
	var ack struct {
		Result wireResult `json:"result"`
	}
	if err := json.Unmarshal(raw, &ack); err != nil {
		return fmt.Errorf("read acknowledgement: %w", err)
	}
	if resp.StatusCode != http.StatusOK || ack.Result.ResultStatus != statusS || ack.Result.ResultCode != codeSuccess {
		return fmt.Errorf("acknowledgement: HTTP %d, %s %s", resp.StatusCode, ack.Result.ResultStatus, ack.Result.ResultCode)
	}
	s.acknowledged.Add(1)
	return nil
}

// Deliveries counts notifications.
type Deliveries struct {
	// Sent are deliveries, each repeat of a notification included.
	Sent int64
	// Acknowledged are those that the merchant answered as Antom wants it.
	Acknowledged int64
}

// Deliveries says how many notifications were sent so far, and how many of them acknowledged.
func (s *Server) Deliveries() Deliveries { return Deliveries{s.sent.Load(), s.acknowledged.Load()} }

// notification has no paymentId; the page's table has none.
func notification(entry Entry) object {
	res := result{statusS, codeSuccess}
	if entry.State == Failed {
		res = result{statusF, entry.Code}
	}
	body := object{}.with("notifyType", "REFUND_RESULT")
	body = append(body, resultObject(res)...).
		with(fieldRefundStatus, entry.State).
		with(fieldRequestID, entry.RequestID).
		with(fieldRefundID, entry.RefundID).
		with(fieldRefundAmount, amountOf(entry.Minor, entry.Currency))
	if entry.State == Succeeded {
		body = body.with(fieldRefundTime, isoTime(entry.Time))
	}
	return body.withSettlement(entry)
}
