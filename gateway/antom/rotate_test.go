package antom

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"refundworker/gateway"
	"refundworker/refund"
)

func privateText(tb testing.TB, key *rsa.PrivateKey) Secret {
	tb.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	return Secret(base64.StdEncoding.EncodeToString(der))
}

// Antom may sign the answer to a call that was under way before or after its own change.
func TestAnAnswerToACallUnderWayIsVerifiedWithTheKeysOfBeforeAndOfNow(t *testing.T) {
	t.Parallel()
	for name, by := range map[string]*rsa.PrivateKey{"signed with the key of before": antomKeys()[0], "signed with the key of now": antomKeys()[1]} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var c *Client
			cfg := testConfig(t, "")
			f := newFake(t, http.StatusOK, successBody, func(answer, _ http.Header) {
				if err := c.SetKeys(cfg.PrivateKey, []Secret{publicText(t, antomKeys()[1])}); err != nil {
					t.Error(err)
				}
				answer.Set("Signature", stamp(t, by, ourPath, ourClientID, answerTime, []byte(successBody)))
			})
			cfg.BaseURL = f.url
			c = newClient(t, cfg)
			if res, err := c.Refund(t.Context(), testRequest()); res.Verdict != refund.Succeeded {
				t.Errorf("%s, %v", short(res), err)
			}
		})
	}
}

func TestCallsAfterAChangeUseTheNewKeysOnly(t *testing.T) {
	t.Parallel()
	by := antomKeys()[0]
	f := newFake(t, http.StatusOK, successBody, func(answer, _ http.Header) {
		answer.Set("Signature", stamp(t, by, ourPath, ourClientID, answerTime, []byte(successBody)))
	})
	c := newClient(t, testConfig(t, f.url))
	// Any other pair will do as our own next one.
	ours := antomKeys()[0]
	if err := c.SetKeys(privateText(t, ours), []Secret{publicText(t, antomKeys()[1])}); err != nil {
		t.Fatal(err)
	}
	if res, err := c.Refund(t.Context(), testRequest()); res.Verdict != refund.Unknown || !isUnverified(err) {
		t.Errorf("answer signed with a key that was taken out: %s, %v", short(res), err)
	}
	by = antomKeys()[1]
	if res, err := c.Refund(t.Context(), testRequest()); res.Verdict != refund.Succeeded {
		t.Errorf("answer signed with the new key: %s, %v", short(res), err)
	}
	_, header, body := f.last()
	raw, err := parseSignature(header.Get("Signature"))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "POST %s\n%s.%s.%s", ourPath, ourClientID, header.Get("Request-Time"), body))
	if err := rsa.VerifyPKCS1v15(&ours.PublicKey, crypto.SHA256, sum[:], raw); err != nil {
		t.Errorf("the request is not signed with our new key: %v", err)
	}
	if !strings.Contains(header.Get("Signature"), "keyVersion=7") {
		t.Errorf("the key version has changed: %s", header.Get("Signature"))
	}
}

func isUnverified(err error) bool {
	_, ok := errors.AsType[*gateway.UnverifiedError](err)
	return ok
}

func TestKeysThatCannotBeUsedReplaceNothing(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, "https://antom.example")
	ours, theirs := privateText(t, antomKeys()[0]), publicText(t, antomKeys()[1])
	weak, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // the point of the test
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		private Secret
		public  []Secret
		want    string
	}{
		"half a private key":       {ours[:len(ours)/2], []Secret{theirs}, "private key: "},
		"an empty private key":     {"", []Secret{theirs}, "private key: "},
		"a short private key":      {privateText(t, weak), []Secret{theirs}, "private key: unusable key: RSA of 1024 bits"},
		"no public key":            {ours, nil, "antom public keys: there is none"},
		"half a public key":        {ours, []Secret{theirs, theirs[:40]}, "antom public keys[1]: "},
		"our own public half":      {ours, []Secret{publicText(t, antomKeys()[0])}, "is the public half of our own private key"},
		"the halves the other way": {theirs, []Secret{ours}, "private key: "},
	} {
		c := newClient(t, cfg)
		before := c.Keys()
		if err := c.SetKeys(tc.private, tc.public); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
		if c.Keys() != before {
			t.Errorf("%s: the keys have changed", name)
		}
	}
}

// An operator compares what is logged with what openssl says of the key that was handed over.
func TestKeysAreNamedByTheHashThatOpensslGives(t *testing.T) {
	t.Parallel()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not on PATH")
	}
	cfg := testConfig(t, "https://antom.example")
	der, err := base64.StdEncoding.DecodeString(string(cfg.AntomPublicKeys[0]))
	if err != nil {
		t.Fatal(err)
	}
	hash := exec.CommandContext(t.Context(), openssl, "dgst", "-sha256", "-r")
	hash.Stdin = strings.NewReader(string(der))
	out, err := hash.Output()
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, cfg)
	if _, theirs, _ := strings.Cut(c.Keys(), "antom's "); theirs == "" || theirs != string(out[:16]) {
		t.Errorf("Keys says %q, openssl %q", c.Keys(), out)
	}
}
