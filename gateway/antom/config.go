package antom

import (
	"context"
	"errors"
	"net"
	"net/url"
	"regexp"
	"time"

	"refundworker/gateway"
)

// Secret is a credential; see [gateway.Secret].
type Secret = gateway.Secret

// DefaultKeyVersion is the key version that is sent when none is configured, as the SDKs do.
const DefaultKeyVersion = "1"

// maxAgentToken keeps a head of a request small; Antom documents no limit.
const maxAgentToken = 1024

var (
	clientIDForm   = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,128}$`)
	keyVersionForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,32}$`)
	agentTokenForm = regexp.MustCompile(`^[\x21-\x7e]+$`)
)

// Config is one Antom account.
type Config struct {
	// Name is the account's name in logs and metrics. Required.
	Name string
	// BaseURL is scheme and host of the region the merchant is registered in; the client knows the path. Required.
	// https://docs.antom.com/ac/ams/api_fund lists
	//
	//	Asia                      https://open-sea-global.alipay.com (recommended), https://open-sea.alipay.com
	//	North America, not the US https://open-na-global.alipay.com (recommended), https://open-na.alipay.com
	//	US merchants              https://open.antglobal-us.com
	//	Europe                    https://open-de-global.alipay.com (recommended), https://open-eu.alipay.com (in-store only)
	BaseURL string
	// ClientID names the merchant. One that begins with SANDBOX_ uses the sandbox paths. Required.
	ClientID string
	// PrivateKey signs our requests: RSA of at least 2048 bits, PKCS#8 or PKCS#1, as PEM or as bare base64 DER, which
	// is the form Antom's dashboard and SDKs use. Required.
	PrivateKey Secret
	// AntomPublicKeys verify Antom's answers; any of them will do, so that a new key can be added before Antom changes
	// over. Each holds one or more RSA keys (SPKI), as PEM blocks or as one bare base64 DER. At least one.
	AntomPublicKeys []Secret
	// KeyVersion tells Antom which of our public keys to use, as its dashboard shows beside them. Empty means "1".
	KeyVersion string
	// AgentToken is sent in the agent-token header, which acquirers and agencies are given. Empty sends no such header.
	AgentToken Secret
	// InFlight is how many calls run at once; 0 means [gateway.DefaultInFlight].
	InFlight int
	// Timeout bounds one call; 0 means [gateway.DefaultTimeout]. Antom documents none; its Go SDK waits 15 s for the
	// head of an answer.
	Timeout time.Duration
	// CA, ClientCert and ClientKey are as in [gateway.HTTPConfig]; Antom itself needs none of them.
	CA         []byte
	ClientCert []byte
	ClientKey  Secret
	// Dial replaces the network, for tests on a virtual one; nil is TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Validate reports all faults of the account, joined. No error shows a key.
func (c Config) Validate() error {
	_, err := c.parse()
	return err
}

// parse reads the keys and reports all faults on the way.
func (c Config) parse() (keys, error) {
	var errs []error
	if c.Name == "" {
		errs = append(errs, errors.New("name: is empty; write what commands and logs call the account"))
	}
	if !clientIDForm.MatchString(c.ClientID) {
		errs = append(errs, errors.New("client id: is not 1 to 128 letters, digits, dots, dashes or underscores; write the one Antom gave you"))
	}
	if c.KeyVersion != "" && !keyVersionForm.MatchString(c.KeyVersion) {
		errs = append(errs, errors.New("key version: is not 1 to 32 letters, digits, dots, dashes or underscores; write the one Antom shows beside our key, such as 1"))
	}
	if len(c.AgentToken) > maxAgentToken || c.AgentToken != "" && !agentTokenForm.MatchString(string(c.AgentToken)) {
		errs = append(errs, errors.New("agent token: is not 1 to 1024 printable characters without spaces; write the one Antom gave you"))
	}
	k, err := parseKeys(c.PrivateKey, c.AntomPublicKeys)
	errs = append(errs, err)
	if u, err := url.Parse(c.BaseURL); err == nil && u.Path != "" {
		errs = append(errs, errors.New("base url: has a path; write scheme and host only, the client knows the path"))
	}
	errs = append(errs, c.httpConfig().Validate())
	return k, errors.Join(errs...)
}

func (c Config) httpConfig() gateway.HTTPConfig {
	return gateway.HTTPConfig{
		BaseURL: c.BaseURL, InFlight: c.InFlight, Timeout: c.Timeout,
		CA: c.CA, ClientCert: c.ClientCert, ClientKey: c.ClientKey, Dial: c.Dial,
	}
}
