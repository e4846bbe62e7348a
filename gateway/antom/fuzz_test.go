package antom

import (
	"net/http"
	"strings"
	"testing"

	"refundworker/gateway"
	"refundworker/refund"
)

// A signed answer of any shape never panics, and is final only with its proof in it.
func FuzzVerdict(f *testing.F) {
	for _, seed := range []string{
		successBody, foundBody, errorBody("ORDER_NOT_EXIST"), errorBody("REFUND_NOT_EXIST"), errorBody("REPEAT_REQ_INCONSISTENT"),
		strings.Replace(successBody, "rf_0001", "rf_0002", 1), strings.Replace(successBody, "1001", "1e3", 1),
		strings.Replace(foundBody, `"refundStatus":"SUCCESS"`, `"refundStatus":"FAIL"`, 1), `{"result":{"resultStatus":"S"},"result":null}`, "", "[", "\xff",
	} {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	tb := newTables()
	f.Fuzz(func(t *testing.T, body []byte, knowsID bool) {
		a, err := decodeAnswer(body)
		if err != nil {
			return
		}
		req := testRequest()
		if knowsID {
			req.GatewayRefundID = refundIDText
		}
		text := string(body)
		for _, res := range []refund.Result{tb.refund(a, req), tb.inquiry(a, req)} {
			switch res.Verdict {
			case refund.Succeeded:
				if a.status != "S" || a.code != "SUCCESS" || a.refundRequestID != req.GatewayKey || a.amount == nil || *a.amount != req.Amount {
					t.Fatalf("succeeded without proof: %s", text)
				}
			case refund.Declined:
				if a.refundRequestID != "" && a.refundRequestID != req.GatewayKey || a.hasAmount && (a.amount == nil || *a.amount != req.Amount) {
					t.Fatalf("declined about something else: %s", text)
				}
				if a.status == "U" || a.status == "S" && a.refundStatus != "FAIL" {
					t.Fatalf("declined without a failure: %s", text)
				}
			case refund.Absent:
				if knowsID || a.status == "U" || a.refundID != "" || a.hasAmount || a.refundStatus != "" {
					t.Fatalf("absent, though there is a record: %s", text)
				}
			case refund.NotSent:
				t.Fatalf("an answer proves that nothing was sent: %s", text)
			case refund.Unknown, refund.Pending:
			}
			if res.Review && res.Verdict != refund.Unknown {
				t.Fatalf("%s and a review: %s", res.Verdict, text)
			}
			if (res.Refunded != nil || res.Settlement != nil) && res.Verdict != refund.Succeeded {
				t.Fatalf("money without success: %s", text)
			}
		}
	})
}

// A signature header of any shape never panics, and none of another text verifies an answer as signed.
func FuzzSignatureHeader(f *testing.F) {
	body := []byte(successBody)
	good := stamp(f, antomKeys()[0], ourPath, ourClientID, answerTime, body)
	c := newClient(f, testConfig(f, "https://antom.example"))
	want, err := parseSignature(good)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{good, "", ",", "=", "algorithm=RSA256", "algorithm=RSA256,signature=%zz", "signature=,signature=", "algorithm=RSA256,signature=AAAA"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		raw, err := parseSignature(text)
		if err == nil && len(raw) == 0 {
			t.Fatalf("%q is an empty signature", text)
		}
		header := http.Header{"Client-Id": {ourClientID}, "Response-Time": {answerTime}, "Signature": {text}}
		res, _ := c.judge(gateway.OpRefund, ourPath, gateway.Answer{Status: http.StatusOK, Header: header, Body: body}, testRequest(), c.signer.Load())
		if res.Verdict == refund.Succeeded && string(raw) != string(want) || res.Verdict != refund.Succeeded && res.Verdict != refund.Unknown {
			t.Fatalf("%q gives %s", text, res.Verdict)
		}
	})
}
