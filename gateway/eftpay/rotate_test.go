package eftpay

import (
	"net/http"
	"strings"
	"testing"

	"refundworker/gateway"
	"refundworker/refund"
)

const nextSecret = "NEXTSECRET9876543210"

func signedWith(secret string) string {
	return refunded().with("sign", stampWith(secret, refunded(), false)).text()
}

// When eftPay begins to sign with a new secret is not documented: before or after it answers a call under way.
func TestAnAnswerToACallUnderWayIsVerifiedWithTheSecretOfBeforeAndOfNow(t *testing.T) {
	t.Parallel()
	for secret, want := range map[string]refund.Verdict{ourSecret: refund.Succeeded, nextSecret: refund.Succeeded, "ANOTHER": refund.Unknown} {
		t.Run(secret, func(t *testing.T) {
			t.Parallel()
			var c *Client
			f := newFake(t, http.StatusOK, signedWith(secret), func(http.Header) {
				if err := c.SetSecret(nextSecret); err != nil {
					t.Error(err)
				}
			})
			c = newClient(t, testConfig(f.url))
			if res, err := c.Refund(t.Context(), testRequest()); res.Verdict != want {
				t.Errorf("%s, %v", short(res), err)
			}
		})
	}
}

func TestCallsAfterAChangeUseTheNewSecretOnly(t *testing.T) {
	t.Parallel()
	for secret, want := range map[string]refund.Verdict{ourSecret: refund.Unknown, nextSecret: refund.Succeeded} {
		f := newFake(t, http.StatusOK, signedWith(secret), nil)
		c := newClient(t, testConfig(f.url))
		if err := c.SetSecret(nextSecret); err != nil {
			t.Fatal(err)
		}
		if res, err := c.Refund(t.Context(), testRequest()); res.Verdict != want {
			t.Errorf("answer signed with %s: %s, %v", secret, short(res), err)
		}
		_, _, sent := f.last()
		obj, err := gateway.ParseObject(sent)
		if err != nil {
			t.Fatal(err)
		}
		next := Secret(nextSecret)
		if _, err := (&signer{secret: &next}).verify(obj); err != nil {
			t.Errorf("the request is not signed with the new secret: %v", err)
		}
	}
}

func TestASecretThatCannotBeOneReplacesNothing(t *testing.T) {
	t.Parallel()
	c := newClient(t, testConfig("https://eftpay.example/VMP"))
	for name, secret := range map[string]Secret{"empty": "", "with a line break": "NEXT\nSECRET", "too long": Secret(strings.Repeat("x", 257))} {
		if err := c.SetSecret(secret); err == nil || strings.Contains(err.Error(), "NEXT") {
			t.Errorf("%s: %v", name, err)
		}
		if now := string(*c.signer.Load().secret); now != ourSecret {
			t.Errorf("%s: it is in use", name)
		}
	}
}
