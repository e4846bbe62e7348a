package antom

import (
	"errors"
	"strings"
	"testing"
	"time"

	"refundworker/gateway"
	"refundworker/refund"
	"refundworker/schemas"
)

const (
	notifyPath = "/hooks/antom?shop=7&x=a%20b"
	notified   = `"notifyType":"REFUND_RESULT",`
)

// notification is what a pretended Antom sends to notifyPath.
func notification(tb testing.TB, fields string, change func(*schemas.Notification)) schemas.Notification {
	tb.Helper()
	body := []byte("{" + fields + "}")
	n := schemas.Notification{
		Gateway: schemas.Antom, Account: "hk", Path: notifyPath, Body: body,
		Headers: map[string]string{
			"client-id": ourClientID, "request-time": answerTime,
			"signature": stamp(tb, antomKeys()[0], notifyPath, ourClientID, answerTime, body),
		},
	}
	if change != nil {
		change(&n)
	}
	return n
}

func TestANotificationProvesWhatItProves(t *testing.T) {
	t.Parallel()
	c := newClient(t, testConfig(t, "http://127.0.0.1:1"))
	done, fail := `"refundStatus":"SUCCESS",`, `"refundStatus":"FAIL",`
	for _, tc := range []verdictCase{
		{"success", notified + done + success + echo + withID + at, "succeeded REFUNDED id"},
		{"success without a time", notified + done + success + echo, "succeeded REFUNDED"},
		{"failure with its reason", notified + fail + result("F", "MERCHANT_BALANCE_NOT_ENOUGH") + echo, "declined BALANCE_NOT_ENOUGH"},
		{"failure with a reason that is not listed", notified + fail + result("F", "NEW_REASON") + echo, "declined REFUND_FAILED"},
		{"failure whose reason is our account's", notified + fail + result("F", "ACCESS_DENIED") + echo, "declined REFUND_FAILED"},
		{"a success that says it failed", notified + done + result("F", "PROCESS_FAIL") + echo, "unknown UNKNOWN_OUTCOME !mismatch"},
		{"still in progress", notified + `"refundStatus":"PROCESSING",` + success + echo, "pending IN_PROCESS"},
		{"no status", notified + success + `,"refundRequestId":"rf_0001"`, "absent "},
		{"a status that is not listed", notified + `"refundStatus":"DONE",` + success + echo, "unknown UNKNOWN_OUTCOME !unlisted-code"},
		{"another refund", notified + done + success + strings.Replace(echo, "rf_0001", "rf_0002", 1), mismatched},
		{"another amount", notified + done + success + strings.Replace(echo, "1001", "1002", 1), mismatched},
		{"another currency", notified + done + success + strings.Replace(echo, "HKD", "USD", 1), mismatched},
		{"no amount", notified + done + success + `,"refundRequestId":"rf_0001"`, "unknown UNKNOWN_OUTCOME !mismatch"},
	} {
		res, err := c.Notified(notification(t, tc.body, nil), testRequest())
		if got := short(res); got != tc.want || err != nil {
			t.Errorf("%s: %q, %v; want %q", tc.name, got, err, tc.want)
		}
	}
}

func TestANotificationThatIsNotAntomsOrNotOursIsRefused(t *testing.T) {
	t.Parallel()
	c := newClient(t, testConfig(t, "http://127.0.0.1:1"))
	good := notified + `"refundStatus":"SUCCESS",` + success + echo + at
	for name, change := range map[string]func(*schemas.Notification){
		"another path":       func(n *schemas.Notification) { n.Path = "/hooks/antom?shop=8&x=a%20b" },
		"path without query": func(n *schemas.Notification) { n.Path = "/hooks/antom" },
		"another client":     func(n *schemas.Notification) { n.Headers["client-id"] = "TEST_CLIENT_0002" },
		"another time":       func(n *schemas.Notification) { n.Headers["request-time"] = "1685599933998" },
		"no signature":       func(n *schemas.Notification) { delete(n.Headers, "signature") },
		"signed by another key": func(n *schemas.Notification) {
			n.Headers["signature"] = stamp(t, antomKeys()[1], notifyPath, ourClientID, answerTime, n.Body)
		},
		"signed as an answer": func(n *schemas.Notification) {
			n.Headers["response-time"] = n.Headers["request-time"]
			delete(n.Headers, "request-time")
		},
	} {
		n := notification(t, good, change)
		res, err := c.Notified(n, testRequest())
		if _, unverified := errors.AsType[*gateway.UnverifiedError](err); !unverified || short(res) != "unknown UNKNOWN_OUTCOME !unverified" {
			t.Errorf("%s: %q, %v", name, short(res), err)
		}
		if id, _, err := c.VerifyNotification(n); err == nil {
			t.Errorf("%s: verified as about %q", name, id)
		}
	}
	for i := range len(good) + 2 {
		n := notification(t, good, nil)
		n.Body[i] ^= 1
		if res, err := c.Notified(n, testRequest()); err == nil || res.Verdict != refund.Unknown {
			t.Fatalf("byte %d flipped: %q, %v", i, short(res), err)
		}
	}
}

func TestAVerifiedNotificationSaysWhichRequestItIsAbout(t *testing.T) {
	t.Parallel()
	c := newClient(t, testConfig(t, "http://127.0.0.1:1"))
	for body, want := range map[string]string{
		notified + `"refundStatus":"SUCCESS",` + success + echo: "rf_0001",
		notified + success: "",
		notified + success + `,"refundRequestId":"not one of ours!"`: "",
		`"notifyType":"PAYMENT_RESULT",` + success + echo:            "",
		success + echo:                                                     "",
		notified + `"refundRequestId":"rf_0001"`:                           "",
		notified + success + echo + `,"refundrequestid":"rf_0002"`:         "",
		notified + success + `,"refundRequestId":["rf_0001"]`:              "",
		notified + `"result":{"resultStatus":"X"},"refundRequestId":"r_1"`: "",
	} {
		id, sent, err := c.VerifyNotification(notification(t, body, nil))
		if id != want || (err == nil) != (want != "") || (want != "") != sent.Equal(time.UnixMilli(1685599933999)) {
			t.Errorf("%s: %q, %v, %v", body, id, sent, err)
		}
		// All of these are Antom's.
		if _, unreadable := errors.AsType[*gateway.UnreadableError](err); err != nil && !unreadable {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestTheTimeOfANotificationIsReadInEveryFormThatIsSeen(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"1685599933999":                 "2023-06-01T06:12:13.999Z",
		"2023-06-01T14:12:13+08:00":     "2023-06-01T06:12:13Z",
		"2023-06-01T14:12:13.999+08:00": "2023-06-01T06:12:13.999Z",
		"2023-06-01T14:12:13+0800":      "2023-06-01T06:12:13Z",
		"2023-06-01T06:12:13Z":          "2023-06-01T06:12:13Z",
		"2023-06-01 06:12:13":           "0001-01-01T00:00:00Z",
		"yesterday":                     "0001-01-01T00:00:00Z",
		"":                              "0001-01-01T00:00:00Z",
	} {
		if got := parseRequestTime(text).UTC().Format(time.RFC3339Nano); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
