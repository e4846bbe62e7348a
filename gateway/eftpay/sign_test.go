package eftpay

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"refundworker/gateway"
	"refundworker/refund"
)

func testSigner() *signer {
	secret := Secret(ourSecret)
	return &signer{secret: &secret}
}

// The vector was made apart from this code: sha256sum over secret and text gives the same.
func TestASignatureIsTheOneOfTheRecipe(t *testing.T) {
	t.Parallel()
	got := testSigner().sign([]field{
		{"service", "service.alipay.qrcode.Refund"},
		{"user_confirm_key", "S0003469"},
		{"transaction_amount", "10.01"},
		{"out_trade_no", "20190823191819"},
		{"paytype", "Alipay"},
		{"buyertype", "others"},
		{"payment_type", "ALIPAYHK"},
		{"refund_no", "RF20260101000001"},
		{"time", "20260101120000"},
	})
	if want := "24e28c88288c648e1ec63e7f2f4ba46ee1b170a46423060ee13393f88e8914cb"; got != want {
		t.Errorf("sign = %s, want %s", got, want)
	}
}

func TestNamesAreSortedByBytesAndValuesAreNotEscaped(t *testing.T) {
	t.Parallel()
	in := []field{{"payType", "退款 %&+\""}, {"pay_type", "1"}, {"paytype", "2"}, {"Z", "3"}}
	want := stampOf(fields{"payType": "退款 %&+\"", "pay_type": "1", "paytype": "2", "Z": "3"}, false)
	if got := testSigner().sign(in); got != want {
		t.Errorf("sign = %s, want %s", got, want)
	}
	order := []string{in[0].name, in[1].name, in[2].name, in[3].name}
	if diff := cmp.Diff([]string{"Z", "payType", "pay_type", "paytype"}, order); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestAnAnswerVerifiesInBothWaysOfSigningEmptyFields(t *testing.T) {
	t.Parallel()
	empty := refunded().with("return_char", "", "refund_trade_no", nil, "new_field", "x", "new_number", 7, "new_switch", true)
	for _, tc := range []struct {
		name   string
		fields fields
		keep   bool
		want   empties
	}{
		{"no empty field", refunded(), true, emptiesSkipped},
		{"empty fields skipped", empty, false, emptiesSkipped},
		{"empty fields kept", empty, true, emptiesKept},
	} {
		obj, err := gateway.ParseObject([]byte(tc.fields.with("sign", stampOf(tc.fields, tc.keep)).text()))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := testSigner().verify(obj); err != nil || got != tc.want {
			t.Errorf("%s: %q, %v, want %q", tc.name, got, err, tc.want)
		}
	}
}

func TestAnAnswerWithoutAFaultlessSignatureIsRefused(t *testing.T) {
	t.Parallel()
	good := stampOf(refunded(), false)
	resigned := func(f fields) fields { return f.with("sign", stampOf(f, false)) }
	for _, tc := range []struct {
		name, reason string
		fields       fields
	}{
		{"untouched", "", refunded().with("sign", good)},
		{"sign missing", "sign is missing", refunded()},
		{"sign empty", "sign is missing", refunded().with("sign", "")},
		{"sign null", "sign is missing", refunded().with("sign", nil)},
		{"sign a number", "sign is missing", refunded().with("sign", 24)},
		{"sign in capitals", "sign does not match", refunded().with("sign", strings.ToUpper(good))},
		{"sign with a space", "sign does not match", refunded().with("sign", good+" ")},
		{"sign cut", "sign does not match", refunded().with("sign", good[:63])},
		{"a value changed", "sign does not match", refunded().with("trade_status", "TRADE_FAIL", "sign", good)},
		{"a field added", "sign does not match", refunded().with("zzz", "1", "sign", good)},
		{"a field taken out", "sign does not match", refunded().with("currency", "-", "sign", good)},
		{"a field emptied", "sign does not match", refunded().with("currency", "", "sign", good)},
		{"an object among the fields", "a field is an object or a list", resigned(refunded().with("x", map[string]any{}))},
		{"a list among the fields", "a field is an object or a list", resigned(refunded().with("x", []any{}))},
		{"a field within a value", "the signed text can be read in two ways", resigned(refunded().with("return_char", "x&trade_status=TRADE_REFUND"))},
		{"a field within a value, further in", "the signed text can be read in two ways", resigned(refunded().with("return_char", "a&b&c=d"))},
		{"an equals sign in a name", "the signed text can be read in two ways", resigned(refunded().with("a=b", "c"))},
		{"an ampersand in a name", "the signed text can be read in two ways", resigned(refunded().with("a&b", "c"))},
		{"an ampersand that begins no field", "", resigned(refunded().with("return_char", "you=me & them"))},
	} {
		obj, err := gateway.ParseObject([]byte(tc.fields.text()))
		if err != nil {
			t.Fatal(err)
		}
		_, err = testSigner().verify(obj)
		got := ""
		if e, ok := errors.AsType[*gateway.UnverifiedError](err); ok {
			got = e.Reason
		}
		if got != tc.reason || (err != nil) != (tc.reason != "") {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.reason)
		}
	}
}

// Two fields that were signed as they are cannot be passed on as one, nor one as two.
func TestASignedTextIsNotCutInAnotherWay(t *testing.T) {
	t.Parallel()
	merged := fields{"currency": "HKD&out_trade_no=" + sale}
	apart := fields{"currency": "HKD", "out_trade_no": sale}
	if stampOf(merged, false) != stampOf(apart, false) {
		t.Fatal("the two do not have one signature; the test tests nothing")
	}
	obj, err := gateway.ParseObject([]byte(merged.signed()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := testSigner().verify(obj); err == nil {
		t.Error("the merged fields were verified")
	}
}

func judged(c *Client, op gateway.Operation, body string) refund.Result {
	res, _ := c.judge(op, gateway.Answer{Status: http.StatusOK, Header: http.Header{}, Body: []byte(body)}, testRequest(), c.signer.Load())
	return res
}

// Every byte of a signed answer: change one, and the answer proves nothing.
func TestAFlippedByteAnywhereProvesNothing(t *testing.T) {
	t.Parallel()
	c := newClient(t, testConfig("https://eftpay.example/VMP"))
	for _, tc := range []struct {
		op   gateway.Operation
		body string
		want refund.Verdict
	}{
		{gateway.OpRefund, refunded().signed(), refund.Succeeded},
		{gateway.OpInquire, refunded().signed(), refund.Succeeded},
		{gateway.OpRefund, refunded().with("trade_status", "TRADE_FAIL").signed(), refund.Declined},
		{gateway.OpInquire, failing("77").signed(), refund.Absent},
		{gateway.OpInquire, failing("51").signed(), refund.Unknown},
	} {
		if got := judged(c, tc.op, tc.body); got.Verdict != tc.want {
			t.Fatalf("the untouched answer is %s: %s", got.Verdict, got.Detail)
		}
		for i := range tc.body {
			for bit := range 8 {
				bad := []byte(tc.body)
				bad[i] ^= 1 << bit
				if res := judged(c, tc.op, string(bad)); res.Verdict != refund.Unknown || res.ShowsNone || res.Review || res.Alarm == refund.NoAlarm {
					t.Fatalf("byte %d bit %d flipped: %s\n%s", i, bit, short(res), bad)
				}
			}
		}
	}
}

// What a peer could do with a signature it has seen, without the secret: a plain hash can be carried on behind its own
// padding. The padding is no UTF-8, written raw, and another text, written as escapes.
func TestASignatureCannotBeCarriedOn(t *testing.T) {
	t.Parallel()
	body := refunded().signed()
	c := newClient(t, testConfig("https://eftpay.example/VMP"))
	last := `"user_confirm_key":"` + ourKey
	for _, padding := range []string{"\x80\x00\x00", `\u0080\u0000\u0000`, `\ud800`} {
		bad := strings.Replace(body, last, last+padding+"&z=1", 1)
		if bad == body {
			t.Fatal("nothing was appended")
		}
		if res := judged(c, gateway.OpRefund, bad); res.Verdict != refund.Unknown || res.Alarm != refund.AlarmUnverified {
			t.Errorf("%q: %s", padding, short(res))
		}
	}
	if _, err := gateway.ParseObject([]byte(strings.Replace(body, last, last+"\x80", 1))); !errors.Is(err, gateway.ErrAmbiguous) {
		t.Errorf("raw padding: %v", err)
	}
}

// A mirror that sends our own request back has a good signature, and no return_status.
func TestOurOwnRequestIsNoAnswer(t *testing.T) {
	t.Parallel()
	c := newClient(t, testConfig("https://eftpay.example/VMP"))
	body := c.signer.Load().body(c.refundFields(testRequest()))
	obj, err := gateway.ParseObject(body)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.signer.Load().verify(obj); err != nil {
		t.Fatalf("our own signature does not verify: %v", err)
	}
	for _, op := range []gateway.Operation{gateway.OpRefund, gateway.OpInquire} {
		if got := short(judged(c, op, string(body))); got != "unknown UNKNOWN_OUTCOME !unverified" {
			t.Errorf("%s: %s", op, got)
		}
	}
}

func TestAnotherSecretVerifiesNothing(t *testing.T) {
	t.Parallel()
	cfg := testConfig("https://eftpay.example/VMP")
	cfg.Secret = ourSecret + "x"
	if got := short(judged(newClient(t, cfg), gateway.OpRefund, refunded().signed())); got != "unknown UNKNOWN_OUTCOME !unverified" {
		t.Error(got)
	}
	if slices.Contains([]string{stampOf(refunded(), false)}, testSigner().sign(nil)) {
		t.Error("the signature does not depend on the fields")
	}
}
