package antom

import (
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"refundworker/gateway"
	"refundworker/refund"
)

func TestASignatureIsReproducedByteForByte(t *testing.T) {
	t.Parallel()
	key, err := parsePrivateKey(vector(t, "antom_test_private_key.b64"))
	if err != nil {
		t.Fatal(err)
	}
	public, err := parsePublicKeys(vector(t, "antom_test_public_key.b64"))
	if err != nil {
		t.Fatal(err)
	}
	body := vector(t, "antom_body.json")
	if got := string(refundBody(testRequest())); got != string(body) {
		t.Errorf("body = %s, want %s", got, body)
	}
	const sum = "cdc18f332136f3192ff35d4f187898f88536ca4f1973d6fcdb1c4b53e3e8c718"
	if got := hex.EncodeToString(digest(ourPath, ourClientID, "1685599933871", body)); got != sum {
		t.Errorf("digest = %s, want %s", got, sum)
	}
	s := &signer{clientID: ourClientID, keyVersion: "1", keys: keys{private: key, public: public}}
	got, err := s.sign(ourPath, "1685599933871", body)
	if err != nil {
		t.Fatal(err)
	}
	want := "algorithm=RSA256,keyVersion=1,signature=" + string(vector(t, "antom_sig.urlenc"))
	if got != want {
		t.Errorf("header = %s\nwant %s", got, want)
	}
	header := http.Header{"Client-Id": {ourClientID}, "Response-Time": {"1685599933871"}, "Signature": {want}}
	if err := s.verify(ourPath, header, body); err != nil {
		t.Errorf("the vector does not verify: %v", err)
	}
}

// Every byte of what is signed, of the signature and of its frame: change one, and the answer proves nothing.
func TestAFlippedByteAnywhereIsRefused(t *testing.T) {
	t.Parallel()
	c := newClient(t, testConfig(t, "https://antom.example"))
	body := []byte(successBody)
	header := signedHeader(t, antomKeys()[0], ourPath, body)
	judge := func(h http.Header, b []byte) refund.Result {
		res, _ := c.judge(gateway.OpRefund, ourPath, gateway.Answer{Status: http.StatusOK, Header: h, Body: b}, testRequest(), c.signer.Load())
		return res
	}
	if res := judge(header, body); res.Verdict != refund.Succeeded {
		t.Fatalf("the untouched answer is %s: %s", res.Verdict, res.Detail)
	}
	for i := range body {
		bad := append([]byte(nil), body...)
		bad[i] ^= 1
		if res := judge(header, bad); res.Verdict != refund.Unknown || res.Alarm != refund.AlarmUnverified {
			t.Fatalf("body byte %d flipped: %s, alarm %q", i, res.Verdict, res.Alarm)
		}
	}
	original, err := parseSignature(header.Get("Signature"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Client-Id", "Response-Time", "Signature"} {
		value := header.Get(name)
		for i := range value {
			if name == "Signature" && i > strings.Index(value, ",") && i < strings.Index(value, ", signature") {
				continue // the key's number is not signed, and not used: every configured key is tried
			}
			for bit := range 8 {
				flipped := []byte(value)
				flipped[i] ^= 1 << bit
				if raw, err := parseSignature(string(flipped)); name == "Signature" && err == nil && string(raw) == string(original) {
					// Only what says the same may differ: %2B and %2b, a space or none.
					if !strings.EqualFold(string(flipped), value) && value[i] != ' ' {
						t.Fatalf("signature byte %d bit %d flipped is still the same signature", i, bit)
					}
					continue
				}
				h := header.Clone()
				h[name] = []string{string(flipped)}
				if res := judge(h, body); res.Verdict != refund.Unknown || res.Alarm != refund.AlarmUnverified {
					t.Fatalf("%s byte %d bit %d flipped: %s, alarm %q", name, i, bit, res.Verdict, res.Alarm)
				}
			}
		}
	}
}

func TestAnAnswerWithoutAFaultlessSignatureIsRefused(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, "https://antom.example")
	c := newClient(t, cfg)
	body := []byte(successBody)
	key, next := antomKeys()[0], antomKeys()[1]
	good := stamp(t, key, ourPath, ourClientID, answerTime, body)
	value := good[strings.Index(good, "signature=")+len("signature="):]
	plain, err := url.QueryUnescape(value)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		change func(h http.Header)
		reason string
	}{
		{"untouched", func(http.Header) {}, ""},
		{"no spaces", func(h http.Header) { h.Set("Signature", strings.ReplaceAll(good, " ", "")) }, ""},
		{"no key version", func(h http.Header) { h.Set("Signature", "algorithm=RSA256,signature="+value) }, ""},
		{"plain base64", func(h http.Header) { h.Set("Signature", "algorithm=RSA256,keyVersion=1,signature="+plain) }, ""},
		{"client-id missing", func(h http.Header) { h.Del("Client-Id") }, "client-id is missing"},
		{"client-id empty", func(h http.Header) { h.Set("Client-Id", "") }, "client-id is missing"},
		{"client-id of somebody else, signed", func(h http.Header) {
			h.Set("Client-Id", "OTHER")
			h.Set("Signature", stamp(t, key, ourPath, "OTHER", answerTime, body))
		}, "client-id is not ours"},
		{"client-id twice", func(h http.Header) { h.Add("Client-Id", ourClientID) }, "client-id is there more than once"},
		{"response-time missing", func(h http.Header) { h.Del("Response-Time") }, "response-time is missing"},
		{"response-time twice", func(h http.Header) { h.Add("Response-Time", answerTime) }, "response-time is there more than once"},
		{"another response-time", func(h http.Header) { h.Set("Response-Time", "1685599933998") }, "signature does not match"},
		{"signature missing", func(h http.Header) { h.Del("Signature") }, "signature is missing"},
		{"signature twice", func(h http.Header) { h.Add("Signature", good) }, "signature is there more than once"},
		{"algorithm missing", func(h http.Header) { h.Set("Signature", "keyVersion=1,signature="+value) }, "signature algorithm is not RSA256"},
		{"another algorithm", func(h http.Header) { h.Set("Signature", strings.Replace(good, "RSA256", "RSA512", 1)) }, "signature algorithm is not RSA256"},
		{"algorithm twice", func(h http.Header) { h.Set("Signature", good+",algorithm=RSA256") }, "signature header is not algorithm, keyVersion and signature"},
		{"signature value missing", func(h http.Header) { h.Set("Signature", "algorithm=RSA256,keyVersion=1,signature=") }, "signature header is not algorithm, keyVersion and signature"},
		{"only the value", func(h http.Header) { h.Set("Signature", value) }, "signature header is not algorithm, keyVersion and signature"},
		{"not base64", func(h http.Header) { h.Set("Signature", "algorithm=RSA256,signature=***") }, "signature is not base64"},
		{"broken percent", func(h http.Header) { h.Set("Signature", "algorithm=RSA256,signature=%2") }, "signature is not base64"},
		{"line break in it", func(h http.Header) { h.Set("Signature", good+"%0A") }, "signature is not base64"},
		{"signed for another path", func(h http.Header) {
			h.Set("Signature", stamp(t, key, "/ams/api/v1/payments/inquiryRefund", ourClientID, answerTime, body))
		}, "signature does not match"},
		{"signed by a key we do not know", func(h http.Header) {
			h.Set("Signature", stamp(t, next, ourPath, ourClientID, answerTime, body))
		}, "signature does not match"},
		{"signed with our own key", func(h http.Header) {
			own, err := parsePrivateKey([]byte(cfg.PrivateKey))
			if err != nil {
				t.Error(err)
				return
			}
			h.Set("Signature", stamp(t, own, ourPath, ourClientID, answerTime, body))
		}, "signature does not match"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			header := http.Header{"Client-Id": {ourClientID}, "Response-Time": {answerTime}, "Signature": {good}}
			tc.change(header)
			err := c.signer.Load().verify(ourPath, header, body)
			got := ""
			if err != nil {
				got = strings.TrimPrefix(err.Error(), "answer not verified: ")
			}
			if got != tc.reason {
				t.Errorf("reason = %q, want %q", got, tc.reason)
			}
		})
	}
}

func TestAnyOfTheConfiguredKeysVerifies(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, "https://antom.example")
	cfg.AntomPublicKeys = append(cfg.AntomPublicKeys, publicText(t, antomKeys()[1]))
	c := newClient(t, cfg)
	for i, key := range antomKeys() {
		if err := c.signer.Load().verify(ourPath, signedHeader(t, key, ourPath, []byte(successBody)), []byte(successBody)); err != nil {
			t.Errorf("key %d: %v", i, err)
		}
	}
}
