package worker

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"

	"refundworker/gateway"
	"refundworker/gateway/sandbox"
	"refundworker/internal/config"
	"refundworker/internal/kafka"
	"refundworker/internal/reload"
)

// authority makes a certificate that is its own authority, and its key, as PEM.
func authority(t *testing.T, from, until time.Time) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(0xabc), Subject: pkix.Name{CommonName: "test"}, NotBefore: from, NotAfter: until,
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

// files are written to a folder of the test's own, whose name is returned.
func files(t *testing.T, texts map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range texts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// loaded is a configuration from the host's files, with DIR for their folder.
func loaded(t *testing.T, dir, yaml string) config.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "worker.yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(yaml, "DIR", dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	src := config.Host()
	src.LookupEnvFunc = func(name string) (string, bool) {
		if name == "PASSWORD" {
			return "s3cret", true
		}
		return "", false
	}
	cfg, err := config.Load(config.Flags{File: file}, config.WithoutAccounts, src)
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Accounts) > 0 {
		if cfg, err = config.Load(config.Flags{File: file}, config.WithAccounts, src); err != nil {
			t.Fatal(err)
		}
	}
	return cfg
}

func settingsOf(sources []reload.Source) string {
	var names []string
	for _, s := range sources {
		names = append(names, strings.TrimSuffix(s.Setting+" "+s.Account, " "))
	}
	return strings.Join(names, ", ")
}

func TestEveryFileOfTheConfigurationIsWatchedAndNothingElse(t *testing.T) {
	t.Parallel()
	keys, err := sandbox.NewTestKeys()
	if err != nil {
		t.Fatal(err)
	}
	cert, key := authority(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	dir := files(t, map[string]string{"ca": cert, "cert": cert, "key": key, "secret": "s3cret", "ours": keys.MerchantPrivate, "theirs": keys.GatewayPublic})
	const accounts = `
accounts:
  - {name: shop, gateway: antom, base_url: "http://127.0.0.1:1", client_id: C1, private_key: "file:DIR/ours", antom_public_key: ["file:DIR/theirs"]}
  - {name: till, gateway: eftpay, base_url: "http://127.0.0.1:1/VMP", user_confirm_key: S1, secret: "file:DIR/secret", currency: HKD}
`
	for name, tc := range map[string]struct{ yaml, want string }{
		"no file at all": {"kafka: {brokers: [\"127.0.0.1:1\"]}", ""},
		"all files": {
			"kafka: {tls: {ca_file: DIR/ca, cert_file: DIR/cert, key_file: DIR/key}, sasl: {username: u, password: \"file:DIR/secret\"}}\n" +
				"redis: {tls: {ca_file: DIR/ca}, password: \"file:DIR/secret\"}" + accounts,
			"kafka.tls, redis.tls, kafka.sasl.password, redis.password, accounts shop, accounts till",
		},
		"variables and the host's authorities": {
			"kafka: {tls: {ca_file: system}, sasl: {username: u, password: \"env:PASSWORD\"}}\nredis: {password: \"env:PASSWORD\"}", "",
		},
	} {
		cfg := loaded(t, dir, tc.yaml)
		creds, err := newCredentials(cfg, prometheus.NewRegistry())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all, err := NewAccounts(cfg, zerolog.Nop(), gateway.NewMetrics(prometheus.NewRegistry(), accountNames(cfg)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		sources := append(creds.sources, all.sources...)
		if got := settingsOf(sources); got != tc.want {
			t.Errorf("%s: watched are %q, want %q", name, got, tc.want)
		}
		for _, s := range sources {
			read, err := s.ReadFunc()
			if err != nil || strings.Join(read, "|") != strings.Join(s.InUse, "|") {
				t.Errorf("%s: %s is read differently the second time: %v", name, s.Setting, err)
			}
		}
	}
}

// A pipe gives its content once; opening it again would wait for ever.
func TestAPipeIsReadOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	wrote := make(chan error, 1)
	go func() { wrote <- os.WriteFile(pipe, []byte("s3cret"), 0o600) }()
	creds, err := newCredentials(loaded(t, dir, "redis: {password: \"file:DIR/pipe\"}"), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	if *creds.redisPassword.Load() != "s3cret" || len(creds.sources) != 0 {
		t.Errorf("password %q, watched %q", *creds.redisPassword.Load(), settingsOf(creds.sources))
	}
}

func TestNewCertificatesAreUsedWhenTheyAreWholeAndCountToday(t *testing.T) {
	t.Parallel()
	now := time.Now()
	oldCert, oldKey := authority(t, now.Add(-time.Hour), now.Add(time.Hour))
	cert, key := authority(t, now.Add(-time.Hour), now.Add(48*time.Hour))
	past, pastKey := authority(t, now.Add(-2*time.Hour), now.Add(-time.Hour))
	future, futureKey := authority(t, now.Add(time.Hour), now.Add(2*time.Hour))
	dir := files(t, map[string]string{"ca": oldCert, "cert": oldCert, "key": oldKey})
	for name, tc := range map[string]struct {
		files [3]string
		fault string
	}{
		"whole":                        {[3]string{cert, cert, key}, ""},
		"a key of another certificate": {[3]string{cert, cert, oldKey}, "cert_file: certificate and key_file are not a PEM pair"},
		"half a certificate":           {[3]string{cert, cert[:len(cert)/2], key}, "cert_file: certificate and key_file are not a PEM pair"},
		"half a bundle":                {[3]string{oldCert + cert[:len(cert)/2], cert, key}, "ends in the middle of a PEM block"},
		"no authority":                 {[3]string{"junk", cert, key}, "holds no PEM certificate"},
		"over":                         {[3]string{cert, past, pastKey}, "write one that counts now"},
		"to come":                      {[3]string{cert, future, futureKey}, "write one that counts now"},
	} {
		reg := prometheus.NewRegistry()
		creds, err := newCredentials(loaded(t, dir, "kafka: {tls: {ca_file: DIR/ca, cert_file: DIR/cert, key_file: DIR/key}}"), reg)
		if err != nil {
			t.Fatal(err)
		}
		var conn kafka.Config
		creds.secure(&conn)
		before, end := conn.TLSFunc(), now.Add(time.Hour)
		shown, err := creds.sources[0].UseFunc(tc.files[:])
		if tc.fault != "" {
			if err == nil || !strings.Contains(err.Error(), tc.fault) || strings.Contains(err.Error(), "BEGIN") {
				t.Errorf("%s: %v, want %q", name, err, tc.fault)
			}
			if conn.TLSFunc() != before {
				t.Errorf("%s: it is in use", name)
			}
		} else {
			end = now.Add(48 * time.Hour)
			pool := x509.NewCertPool()
			pool.AppendCertsFromPEM([]byte(cert))
			if after := conn.TLSFunc(); err != nil || !after.RootCAs.Equal(pool) || after.Certificates[0].Leaf.NotAfter.Unix() != end.Unix() {
				t.Errorf("%s: not in use, %v", name, err)
			}
			if !strings.Contains(shown, "serial abc until "+end.UTC().Format(time.RFC3339)) {
				t.Errorf("%s: shows %q", name, shown)
			}
		}
		want := fmt.Sprintf(`
# HELP refund_worker_certificate_expiry_timestamp_seconds When our client certificate ends, by setting, in seconds since 1970; 0 where there is none.
# TYPE refund_worker_certificate_expiry_timestamp_seconds gauge
refund_worker_certificate_expiry_timestamp_seconds{setting="kafka.tls"} %d
refund_worker_certificate_expiry_timestamp_seconds{setting="redis.tls"} 0
`, end.Unix())
		if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "refund_worker_certificate_expiry_timestamp_seconds"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNewPasswordsAreUsedForTheNextLogin(t *testing.T) {
	t.Parallel()
	dir := files(t, map[string]string{"kafka": "old-k", "redis": "old-r"})
	creds, err := newCredentials(loaded(t, dir, "kafka: {sasl: {username: u, mechanism: scram-sha-512, password: \"file:DIR/kafka\"}}\nredis: {password: \"file:DIR/redis\"}"), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	var conn kafka.Config
	creds.secure(&conn)
	before := conn.SASLFunc()
	// SCRAM forbids control characters; the text must not show in the fault.
	if _, err := creds.sources[0].UseFunc([]string{"bad\x01hunter2"}); err == nil || strings.Contains(err.Error(), "hunter2") || conn.SASLFunc() != before {
		t.Errorf("a password that SCRAM forbids: %v", err)
	}
	if _, err := creds.sources[0].UseFunc([]string{"new-k"}); err != nil || conn.SASLFunc() == before {
		t.Errorf("kafka: %v", err)
	}
	if _, err := creds.sources[1].UseFunc([]string{"new-r"}); err != nil || *creds.redisPassword.Load() != "new-r" {
		t.Errorf("redis: %v", err)
	}
}
