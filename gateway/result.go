package gateway

import (
	"net/http"
	"time"
	"unicode/utf8"

	"refundworker/refund"
	"refundworker/schemas"
)

// Failed is the result of a call that ended with an error of [HTTP.Post], and so without a whole answer.
func Failed(err error) refund.Result {
	if Verdict(err) == refund.NotSent {
		return refund.Result{Verdict: refund.NotSent, Code: schemas.CodeGatewayUnavailable, Detail: "nothing was sent"}
	}
	return refund.Result{Code: schemas.CodeUnknownOutcome, Detail: "sent, or maybe sent, and no whole answer"}
}

// BadStatus completes the result of an answer whose HTTP status is not 200; unproved is what its text gives without
// proof. 5xx is an outage and 429 a request to slow down; both pass without a person. The others point at a proxy or an
// address that is not the gateway's, and so does a text that raises an alarm of its own.
func BadStatus(ans Answer, unproved refund.Result) refund.Result {
	res := unproved
	res.RetryAfter = RetryAfter(ans.Header, time.Now())
	if res.Alarm == refund.AlarmUnverified {
		switch {
		case ans.Status == http.StatusTooManyRequests:
			res.Code, res.Alarm = schemas.CodeThrottled, refund.NoAlarm
		case ans.Status >= http.StatusInternalServerError:
			res.Alarm = refund.NoAlarm
		}
	}
	return res
}

// Clip cuts one of a gateway's texts to a number of characters.
func Clip(s string, limit int) string {
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return string([]rune(s)[:limit])
}
