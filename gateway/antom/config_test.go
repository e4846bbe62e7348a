package antom

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"refundworker/gateway"
)

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func TestKeysAreReadInEveryFormTheyComeIn(t *testing.T) {
	t.Parallel()
	bare := string(vector(t, "antom_test_private_key.b64"))
	pkcs8, err := base64.StdEncoding.DecodeString(bare)
	if err != nil {
		t.Fatal(err)
	}
	want, err := parsePrivateKey([]byte(bare))
	if err != nil {
		t.Fatal(err)
	}
	pkcs1 := x509.MarshalPKCS1PrivateKey(want)
	for name, text := range map[string]string{
		"PKCS#8 PEM": block("PRIVATE KEY", pkcs8), "PKCS#1 PEM": block("RSA PRIVATE KEY", pkcs1),
		"PKCS#1 bare": base64.StdEncoding.EncodeToString(pkcs1), "bare in lines": "\n" + bare[:64] + "\r\n" + bare[64:] + "\n",
	} {
		if key, err := parsePrivateKey([]byte(text)); err != nil || !key.Equal(want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	publicBare := string(vector(t, "antom_test_public_key.b64"))
	spki, err := base64.StdEncoding.DecodeString(publicBare)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"bare": publicBare, "PEM": block("PUBLIC KEY", spki)} {
		if keys, err := parsePublicKeys([]byte(text)); err != nil || len(keys) != 1 || !keys[0].Equal(&want.PublicKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if keys, err := parsePublicKeys([]byte(block("PUBLIC KEY", spki) + "\n" + block("PUBLIC KEY", spki))); err != nil || len(keys) != 2 {
		t.Errorf("two blocks: %d keys, %v", len(keys), err)
	}
}

func TestKeysThatCannotBeUsedAreRefusedWithoutShowingThem(t *testing.T) {
	t.Parallel()
	short, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // the point of the test
	if err != nil {
		t.Fatal(err)
	}
	shortPublic, err := x509.MarshalPKIXPublicKey(&short.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curvePrivate, err := x509.MarshalPKCS8PrivateKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	curvePublic, err := x509.MarshalPKIXPublicKey(&curve.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	bare := string(vector(t, "antom_test_private_key.b64"))
	pkcs8, err := base64.StdEncoding.DecodeString(bare)
	if err != nil {
		t.Fatal(err)
	}
	private := func(b []byte) error { _, err := parsePrivateKey(b); return err }
	public := func(b []byte) error { _, err := parsePublicKeys(b); return err }
	for _, tc := range []struct {
		name, text, says string
		parse            func([]byte) error
	}{
		{"empty", " \n", "empty", private},
		{"no base64", "!" + bare, "neither PEM nor base64", private},
		{"base64 of nothing", "AAAA", "neither PKCS#8 nor PKCS#1", private},
		{"elliptic", block("PRIVATE KEY", curvePrivate), "neither PKCS#8 nor PKCS#1", private},
		{"encrypted", block("ENCRYPTED PRIVATE KEY", pkcs8[:100]), "unencrypted", private},
		{"short", block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(short)), "1024 bits", private},
		{"two", block("PRIVATE KEY", pkcs8) + block("PRIVATE KEY", pkcs8), "2 PEM blocks", private},
		{"damaged PEM", "-----BEGIN PRIVATE KEY-----\n" + bare, "damaged", private},
		{"empty public", "", "empty", public},
		{"elliptic public", block("PUBLIC KEY", curvePublic), "no RSA public key", public},
		{"private for public", bare, "no RSA public key", public},
		{"short public", base64.StdEncoding.EncodeToString(shortPublic), "1024 bits", public},
	} {
		err := tc.parse([]byte(tc.text))
		if !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v, want ErrKey about %q", tc.name, err, tc.says)
		}
		if err != nil && strings.Contains(err.Error(), bare[20:40]) {
			t.Errorf("%s: the error shows the key", tc.name)
		}
	}
}

func TestValidateJoinsAllFaults(t *testing.T) {
	t.Parallel()
	err := Config{
		BaseURL: "http://antom.example/ams", ClientID: "a b", KeyVersion: ";", AgentToken: "a b", InFlight: -1,
		PrivateKey: "x!", AntomPublicKeys: []Secret{"x!"},
	}.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"name:", "client id:", "key version:", "agent token:", "private key:", "antom public keys[0]:", "base url: has a path",
		"base url: is http to a host", "in flight:",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not name %q:\n%v", want, err)
		}
	}
	good := testConfig(t, "https://antom.example")
	if err := good.Validate(); err != nil {
		t.Errorf("a good configuration: %v", err)
	}
	none := good
	none.AntomPublicKeys = nil
	if err := none.Validate(); err == nil || !strings.Contains(err.Error(), "antom public keys: there is none") {
		t.Errorf("no public key: %v", err)
	}
	own := good
	own.AntomPublicKeys = []Secret{Secret(vector(t, "antom_test_public_key.b64"))}
	if err := own.Validate(); err == nil || !strings.Contains(err.Error(), "our own private key") {
		t.Errorf("our own public key: %v", err)
	}
	long := good
	long.AgentToken = Secret(strings.Repeat("x", maxAgentToken+1))
	if err := long.Validate(); err == nil {
		t.Error("an agent token without limit was taken")
	}
	if _, err := New(none, zerolog.Nop(), gateway.NewMetrics(prometheus.NewRegistry(), nil)); err == nil {
		t.Error("New took a configuration with a fault")
	}
}

func TestAPrintedConfigurationOrClientShowsNoSecret(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, "https://antom.example")
	cfg.AgentToken = "agent-hunter2"
	c := newClient(t, cfg)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		for _, v := range []any{cfg, &cfg, c, *c.signer.Load()} {
			text := fmt.Sprintf(verb, v)
			for _, secret := range []string{"hunter2", fmt.Sprintf("%x", "hunter2"), string(cfg.PrivateKey)[100:140], c.signer.Load().private.D.String()[:20]} {
				if strings.Contains(text, secret) {
					t.Errorf("%s of %T shows %q", verb, v, secret)
				}
			}
		}
	}
}
