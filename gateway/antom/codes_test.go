package antom

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"refundworker/refund"
	"refundworker/schemas"
)

// pinned is the expected meaning of each code, typed a second time: status, verdict, code, alarm, review.
func pinnedRefunds() map[string]string {
	return map[string]string{
		"SUCCESS": "S fields",

		"CURRENCY_NOT_SUPPORT":           "F declined CURRENCY_NOT_SUPPORTED",
		"MERCHANT_BALANCE_NOT_ENOUGH":    "F declined BALANCE_NOT_ENOUGH",
		"MULTIPLE_REFUNDS_NOT_SUPPORTED": "F declined MULTIPLE_REFUNDS_NOT_SUPPORTED",
		"ORDER_IS_CANCELED":              "F declined PAYMENT_CANCELLED",
		"ORDER_NOT_EXIST":                "F declined PAYMENT_NOT_FOUND",
		"ORDER_STATUS_INVALID":           "F declined PAYMENT_NOT_REFUNDABLE",
		"PARAM_ILLEGAL":                  "F declined INVALID_REQUEST",
		"PARTIAL_REFUND_NOT_SUPPORTED":   "F declined PARTIAL_REFUND_NOT_SUPPORTED",
		"PAYMENT_METHOD_NOT_SUPPORTED":   "F declined PAYMENT_NOT_REFUNDABLE",
		"PROCESS_FAIL":                   "F declined REFUND_FAILED",
		"REFUND_AMOUNT_EXCEED":           "F declined AMOUNT_EXCEEDED",
		"REFUND_WINDOW_EXCEED":           "F declined WINDOW_EXCEEDED",

		"REPEAT_REQ_INCONSISTENT":      "* unknown NEEDS_REVIEW mismatch review",
		"REFUND_IN_PROCESS":            "* pending IN_PROCESS",
		"PAYMENT_IN_PROCESS":           "* pending IN_PROCESS",
		"UNKNOWN_EXCEPTION":            "* unknown UNKNOWN_OUTCOME",
		"REQUEST_TRAFFIC_EXCEED_LIMIT": "* unknown THROTTLED",

		"ACCESS_DENIED":             "* unknown ACCOUNT_REJECTED configuration",
		"CLIENT_INVALID":            "* unknown ACCOUNT_REJECTED configuration unsigned",
		"INVALID_ACCESS_TOKEN":      "* unknown ACCOUNT_REJECTED configuration",
		"INVALID_API":               "* unknown ACCOUNT_REJECTED configuration",
		"INVALID_CLIENT":            "* unknown ACCOUNT_REJECTED configuration unsigned",
		"INVALID_SIGNATURE":         "* unknown ACCOUNT_REJECTED configuration unsigned",
		"KEY_NOT_FOUND":             "* unknown ACCOUNT_REJECTED configuration unsigned",
		"MEDIA_TYPE_NOT_ACCEPTABLE": "* unknown ACCOUNT_REJECTED configuration",
		"METHOD_NOT_SUPPORTED":      "* unknown ACCOUNT_REJECTED configuration",
		"NO_INTERFACE_DEF":          "* unknown ACCOUNT_REJECTED configuration",
	}
}

func pinnedInquiries() map[string]string {
	pinned := map[string]string{
		"SUCCESS":          "S fields",
		"REFUND_NOT_EXIST": "F absent",
		"PARAM_ILLEGAL":    "F unknown UNKNOWN_OUTCOME",
		"PROCESS_FAIL":     "F unknown UNKNOWN_OUTCOME",
	}
	for _, code := range []string{
		"REFUND_IN_PROCESS", "PAYMENT_IN_PROCESS", "UNKNOWN_EXCEPTION", "REQUEST_TRAFFIC_EXCEED_LIMIT", "ACCESS_DENIED", "CLIENT_INVALID",
		"INVALID_ACCESS_TOKEN", "INVALID_API", "INVALID_CLIENT", "INVALID_SIGNATURE", "KEY_NOT_FOUND", "MEDIA_TYPE_NOT_ACCEPTABLE",
		"METHOD_NOT_SUPPORTED", "NO_INTERFACE_DEF",
	} {
		pinned[code] = pinnedRefunds()[code]
	}
	return pinned
}

func describe(r row) string {
	status := r.status
	if status == "" {
		status = "*"
	}
	if r.fields {
		return status + " fields"
	}
	parts := []string{status, r.verdict.String(), string(r.ours), string(r.alarm)}
	if r.review {
		parts = append(parts, "review")
	}
	if r.unsigned {
		parts = append(parts, "unsigned")
	}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), " ")
}

func TestTheTablesSayWhatTheySaidWhenTheyWereChecked(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		rows   []row
		pinned map[string]string
	}{
		"refund": {refundRows(), pinnedRefunds()}, "inquiry": {inquiryRows(), pinnedInquiries()},
	} {
		got := make(map[string]string)
		for _, r := range tc.rows {
			if _, twice := got[r.code]; twice {
				t.Errorf("%s: %s has two rows", name, r.code)
			}
			got[r.code] = describe(r)
		}
		if diff := cmp.Diff(tc.pinned, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Every row with every status, through decoding: only the row's own status gives its verdict, and nothing but a listed
// F declines.
func TestEveryRowIsTakenWithItsStatusOnly(t *testing.T) {
	t.Parallel()
	tb := newTables()
	for _, status := range []string{"S", "F", "U"} {
		for name, op := range map[string]struct {
			rows  []row
			judge func(answer, refund.Request) refund.Result
		}{
			"refund": {refundRows(), tb.refund}, "inquiry": {inquiryRows(), tb.inquiry},
		} {
			for _, r := range op.rows {
				if r.fields && status == "S" {
					continue // tested by their fields
				}
				a, err := decodeAnswer(fmt.Appendf(nil, `{"result":{"resultStatus":%q,"resultCode":%q,"resultMessage":"m"}}`, status, r.code))
				if err != nil {
					t.Fatal(err)
				}
				want := refund.Result{
					RawCode: r.code, RawMessage: "m", Verdict: r.verdict, Code: r.ours, Alarm: r.alarm, Review: r.review,
				}
				if r.status != "" && r.status != status {
					want.Verdict, want.Code, want.Review, want.Alarm = refund.Unknown, schemas.CodeUnknownOutcome, false, refund.NoAlarm
					if status != "U" {
						want.Alarm, want.Detail = refund.AlarmUnlisted, "result code is not listed with resultStatus "+status
					}
				}
				if diff := cmp.Diff(want, op.judge(a, testRequest())); diff != "" {
					t.Errorf("%s %s %s (-want +got):\n%s", name, status, r.code, diff)
				}
			}
		}
	}
}
