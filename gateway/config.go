package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
)

// The defaults of HTTPConfig.
const (
	DefaultInFlight       = 64
	DefaultTimeout        = 15 * time.Second
	DefaultConnectTimeout = 10 * time.Second
	DefaultIdleTimeout    = 45 * time.Second
	DefaultMaxAnswer      = 64 << 10
)

// HTTPConfig describes the way to one account of one gateway. There is no proxy setting, and the proxy variables of
// the environment are not looked at: a payment gateway is reached directly or not at all.
type HTTPConfig struct {
	// BaseURL is scheme, host and, where the gateway has one, path, without a trailing slash. https, or http to a
	// loopback address. Required.
	BaseURL string
	// InFlight is how many calls run at once, and how many connections are kept for them: a call never opens a
	// connection that it could have waited for. 0 means 64.
	InFlight int
	// Timeout bounds one call: waiting for a connection, connecting, writing, and reading the whole answer.
	// 0 means 15 s.
	Timeout time.Duration
	// ConnectTimeout bounds a dial with its TLS handshake. A dial outlives the call that asked for it, because a later
	// call can use its connection. 0 means 10 s.
	ConnectTimeout time.Duration
	// IdleTimeout closes a connection that was not used for so long; keep it under the gateway's own, or requests run
	// into connections that are just being closed. 0 means 45 s.
	IdleTimeout time.Duration
	// MaxAnswer is the longest body that is read, in bytes; a longer one proves nothing. 0 means 64 KiB.
	MaxAnswer int64
	// CA holds PEM certificates of the only authorities that are trusted. Empty means the system's.
	CA []byte
	// ClientCert and ClientKey are a PEM certificate and its key for servers that ask for one. Both or neither.
	ClientCert []byte
	ClientKey  Secret
	// Dial replaces the network, for tests on a virtual one; nil is TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// withDefaults fills the fields whose zero value means a default.
func (c HTTPConfig) withDefaults() HTTPConfig {
	if c.InFlight == 0 {
		c.InFlight = DefaultInFlight
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = DefaultConnectTimeout
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = DefaultIdleTimeout
	}
	if c.MaxAnswer == 0 {
		c.MaxAnswer = DefaultMaxAnswer
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{KeepAlive: keepAlive}).DialContext
	}
	return c
}

// Validate reports all faults of the configuration, joined. No error shows a key, or an address that may hold a
// password.
func (c HTTPConfig) Validate() error {
	errs := []error{checkBaseURL(c.BaseURL)}
	if c.InFlight < 0 {
		errs = append(errs, fmt.Errorf("in flight: %d is negative; write how many calls may run at once", c.InFlight))
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"timeout", c.Timeout}, {"connect timeout", c.ConnectTimeout}, {"idle timeout", c.IdleTimeout}} {
		if d.value < 0 {
			errs = append(errs, fmt.Errorf("%s: %s is negative; write a duration such as 15s", d.name, d.value))
		}
	}
	if c.MaxAnswer < 0 {
		errs = append(errs, fmt.Errorf("max answer: %d is negative; write a number of bytes", c.MaxAnswer))
	}
	_, err := c.tlsConfig()
	return errors.Join(append(errs, err)...)
}

// tlsConfig builds the TLS side. NextProtos names HTTP/1.1 alone: what was written can be counted there, while HTTP/2
// would share one connection, and its fate, among all calls.
func (c HTTPConfig) tlsConfig() (*tls.Config, error) {
	cfg := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{"http/1.1"},
		ClientSessionCache: tls.NewLRUClientSessionCache(1),
	}
	var errs []error
	if len(c.CA) > 0 {
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(c.CA) {
			errs = append(errs, errors.New("ca: holds no certificate; write PEM blocks of type CERTIFICATE"))
		}
	}
	switch {
	case (len(c.ClientCert) > 0) != (c.ClientKey != ""):
		errs = append(errs, errors.New("client certificate: certificate and key go together; write both or neither"))
	case len(c.ClientCert) > 0:
		pair, err := tls.X509KeyPair(c.ClientCert, []byte(c.ClientKey))
		if err != nil {
			errs = append(errs, fmt.Errorf("client certificate: %w; write a PEM certificate and its PEM key", err))
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, errors.Join(errs...)
}

// checkBaseURL refuses every address that would send credentials in the clear or to a place that was not meant.
func checkBaseURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Hostname() == "" || u.Opaque != "":
		return errors.New("base url: is not an address with a host; write one such as https://host or https://host:8443")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(raw, "#"):
		return errors.New("base url: has a user, a query or a fragment; write scheme, host and path only")
	case u.Scheme != "https" && u.Scheme != "http":
		return errors.New("base url: is neither https nor http; write an https address")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return errors.New("base url: is http to a host that is not this machine; write https")
	case strings.HasSuffix(u.Path, "/"):
		return errors.New("base url: ends in a slash; take it out")
	}
	return nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
