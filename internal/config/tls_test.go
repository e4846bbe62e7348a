package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// certificate makes an authority that is its own client: its certificate twice, and its key, all PEM.
func certificate(t *testing.T) (ca, cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return cert, cert, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

// built reads and parses in one go.
func built(section TLS) (*tls.Config, error) {
	files, err := section.Read()
	if err != nil {
		return nil, err
	}
	return section.Parse(files)
}

func TestNoTLSFilesMeanPlaintext(t *testing.T) {
	t.Parallel()
	conf, err := built(TLS{})
	if conf != nil || err != nil {
		t.Errorf("got %v, %v", conf, err)
	}
}

func TestTLSFilesBecomeAClientConfiguration(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca, cert, key := certificate(t)
	names := map[string]string{"ca.pem": ca, "cert.pem": cert, "key.pem": key}
	for name, text := range names {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	conf, err := built(TLS{CAFile: filepath.Join(dir, "ca.pem"), CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")})
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(ca))
	if conf.MinVersion != tls.VersionTLS12 || !conf.RootCAs.Equal(pool) || len(conf.Certificates) != 1 || conf.InsecureSkipVerify {
		t.Errorf("min version %x, certificates %d, insecure %t", conf.MinVersion, len(conf.Certificates), conf.InsecureSkipVerify)
	}
	conf, err = built(TLS{CAFile: "system"})
	if err != nil {
		t.Fatal(err)
	}
	if conf.RootCAs != nil || conf.MinVersion != tls.VersionTLS12 {
		t.Error("the word system does not mean the host's authorities")
	}
}

func TestTLSFilesThatDoNotFitAreRefused(t *testing.T) {
	t.Parallel()
	ca, cert, key := certificate(t)
	_, _, other := certificate(t)
	h := host{
		files: map[string]string{
			"ca": ca, "cert": cert, "key": key, "other": other, "junk": "junk",
			"half bundle": ca + ca[:len(ca)/2], "half chain": cert + cert[:len(cert)/2],
		},
		errs: map[string]error{"locked": os.ErrPermission},
	}
	tests := []struct {
		name string
		tls  TLS
		want FaultError
	}{
		{"a certificate without key", TLS{CAFile: "ca", CertFile: "cert"}, FaultError{Path: "key_file", What: "is missing beside cert_file", Fix: "name the certificate's private key"}},
		{"a key without certificate", TLS{CAFile: "ca", KeyFile: "key"}, FaultError{Path: "cert_file", What: "is missing beside key_file", Fix: "name the key's certificate"}},
		{"a pair without authorities", TLS{CertFile: "cert", KeyFile: "key"}, FaultError{Path: "ca_file", What: "is missing beside cert_file", Fix: "name the authorities' PEM file, or write system"}},
		{"authorities that are not there", TLS{CAFile: "gone"}, FaultError{Path: "ca_file", What: `the file "gone" does not exist`, Fix: "create it, or mend the path"}},
		{"authorities that are not PEM", TLS{CAFile: "junk"}, FaultError{Path: "ca_file", What: `the file "junk" holds no PEM certificate`, Fix: "name a PEM file of the authorities"}},
		{"a certificate that is not there", TLS{CAFile: "ca", CertFile: "gone", KeyFile: "key"}, FaultError{Path: "cert_file", What: `the file "gone" does not exist`, Fix: "create it, or mend the path"}},
		{"a key that may not be read", TLS{CAFile: "ca", CertFile: "cert", KeyFile: "locked"}, FaultError{Path: "key_file", What: `the file "locked" may not be read by this user`, Fix: "let the worker's user read it"}},
		{"a bundle whose last authority is cut off", TLS{CAFile: "half bundle"}, FaultError{Path: "ca_file", What: `the file "half bundle" ends in the middle of a PEM block`, Fix: "write it whole"}},
		{"a chain that is cut off", TLS{CAFile: "ca", CertFile: "half chain", KeyFile: "key"}, FaultError{Path: "cert_file", What: "certificate and key_file are not a PEM pair", Fix: "name the certificate and the private key that belong together"}},
		{"a key of another certificate", TLS{CAFile: "ca", CertFile: "cert", KeyFile: "other"}, FaultError{Path: "cert_file", What: "certificate and key_file are not a PEM pair", Fix: "name the certificate and the private key that belong together"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			files, fault := tt.tls.read(h.source())
			if fault == nil {
				_, fault = tt.tls.parse(files)
			}
			if fault == nil {
				t.Fatal("no fault")
			}
			if diff := cmp.Diff(tt.want, *fault); diff != "" {
				t.Errorf("fault differs (-want +got):\n%s", diff)
			}
		})
	}
	if _, err := built(TLS{CAFile: filepath.Join(t.TempDir(), "gone")}); err == nil {
		t.Error("a file that is not there was read")
	}
}
