package sandbox

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// defaultMaxCalls bounds the call log of a load test to some 30 MB.
const defaultMaxCalls = 100_000

// Config is everything a sandbox is told at the start. The zero value of each optional field is the real gateway's
// behaviour as far as it is public.
type Config struct {
	// PrivateKey signs Antom's answers: RSA, PKCS#8, as PEM or as bare base64 DER. Required with Clients.
	PrivateKey string
	// Clients are the merchants that Antom knows, Merchants those that eftPay knows. At least one of either.
	Clients   []Client
	Merchants []Merchant
	// Payments are known from the start; [Server.AddPayment] adds more.
	Payments []Payment
	// PaymentFunc stands in for payments that were not given; nil knows none. It is called under a lock: it has to be
	// quick, to answer the same for the same ID, and to leave the server alone. It may leave the ID empty; a payment that
	// [Payment.Validate] refuses counts as unknown.
	PaymentFunc func(paymentID string) (Payment, bool)

	// LedgerPath is the file the ledger is kept in, one JSON document a line, synced before an answer leaves. A ledger
	// that is there already is read first, and with it what the gateway remembers of earlier requests. Empty keeps the
	// ledger in memory.
	LedgerPath string
	// MaxCalls bounds the call log; later calls are served and counted, but not logged. 0 means 100 000.
	MaxCalls int
	// Latency passes between the processing of every call and its answer, as on a busy gateway. 0 means none.
	Latency time.Duration
	// Rules are asked from the start; [Server.AddRule] adds more.
	Rules []Rule

	// EftPay is what eftPay does where its pages are silent. The fields below it are Antom's.
	EftPay EftPayConfig

	// ForgetIdempotency makes every refund call a new refund, as if the gateway had forgotten the request ID. The real
	// gateway never does this inside its retention; it is here so that a client that resends unsafely is caught.
	ForgetIdempotency bool
	// UnknownIsNull answers an inquiry for an unknown refund with S and nulls instead of F REFUND_NOT_EXIST. The pages
	// leave open which of the two is right: https://docs.antom.com/ac/ams/ir
	UnknownIsNull bool
	// HideDeclined answers an inquiry for a declined refund as for an unknown one, instead of FAIL.
	HideDeclined bool
	// ISOResponseTime writes the response-time header as ISO 8601 instead of epoch milliseconds; both are seen.
	ISOResponseTime bool

	// Notify says where and how often final states of asynchronous refunds are announced.
	Notify Notify
}

// Client is a merchant of Antom.
type Client struct {
	// ID is the value of the client-id header.
	ID string
	// PublicKey verifies the merchant's signatures: RSA, SPKI, as PEM or as bare base64 DER.
	PublicKey string
	// Funds is what the merchant can refund from, in minor units by currency of the payment. A currency that is not
	// named has no limit.
	Funds map[string]int64
	// NotifyURL is the merchant's own address for notifications as set in the Dashboard; empty means [Notify.URL].
	NotifyURL string
}

// Notify configures notifyRefund, https://docs.antom.com/ac/ams/notify_refund. Notifications under way are not
// resumed after a restart.
type Notify struct {
	// URL is the address of merchants without one of their own, see [Client.NotifyURL]; one in the request wins. Empty
	// announces only refunds whose merchant or request names an address.
	URL string
	// Waits are the pauses before each redelivery, see [AntomRedelivery]. nil delivers once, like the real sandbox.
	Waits []time.Duration
	// HTTPClient delivers; nil means one with a timeout of 10 s.
	HTTPClient *http.Client
}

// AntomRedelivery is the documented redelivery schedule of production, each wait divided by divisor (at least 1): the
// first delivery is at once, then 2 min, 10 min, 10 min, 1 h, 2 h, 6 h and 15 h pass between the following ones, 24 h
// 22 min in all.
func AntomRedelivery(divisor int) []time.Duration {
	waits := []time.Duration{
		2 * time.Minute, 10 * time.Minute, 10 * time.Minute, time.Hour, 2 * time.Hour, 6 * time.Hour, 15 * time.Hour,
	}
	for i := range waits {
		waits[i] /= time.Duration(max(divisor, 1))
	}
	return waits
}

// Validate reports all faults of the configuration, joined.
func (c Config) Validate() error {
	_, _, err := c.check()
	return err
}

// check is Validate, with the parsed keys: the gateway's and the merchants' by client ID.
func (c Config) check() (*rsa.PrivateKey, map[string]*rsa.PublicKey, error) {
	own, clients, err := c.keys()
	errs := []error{err}
	if len(c.Clients) == 0 && len(c.Merchants) == 0 {
		errs = append(errs, errors.New("clients and merchants: at least one is needed"))
	}
	errs = append(errs, checkMerchants(c.Merchants), c.EftPay.Validate())
	for _, p := range c.Payments {
		errs = append(errs, p.Validate())
	}
	for _, r := range c.Rules {
		errs = append(errs, r.Validate())
	}
	if c.MaxCalls < 0 {
		errs = append(errs, fmt.Errorf("max calls: %d is negative", c.MaxCalls))
	}
	if c.Latency < 0 {
		errs = append(errs, fmt.Errorf("latency: %s is negative", c.Latency))
	}
	if slices.ContainsFunc(c.Notify.Waits, func(d time.Duration) bool { return d < 0 }) {
		errs = append(errs, errors.New("notify: a wait is negative"))
	}
	if !isNotifyURL(c.Notify.URL) {
		errs = append(errs, fmt.Errorf("notify: URL %q", c.Notify.URL))
	}
	return own, clients, errors.Join(errs...)
}

// keys parses the gateway's key and the merchants', and finds clients that are named twice or not at all.
func (c Config) keys() (*rsa.PrivateKey, map[string]*rsa.PublicKey, error) {
	var own *rsa.PrivateKey
	var errs []error
	if c.PrivateKey != "" || len(c.Clients) > 0 {
		key, err := parsePrivateKey(c.PrivateKey)
		if err != nil {
			errs = append(errs, fmt.Errorf("private key: %w", err))
		}
		own = key
	}
	clients := make(map[string]*rsa.PublicKey, len(c.Clients))
	for i, client := range c.Clients {
		if _, twice := clients[client.ID]; twice || client.ID == "" {
			errs = append(errs, fmt.Errorf("clients[%d]: ID %q is empty or taken", i, client.ID))
		}
		key, err := parsePublicKey(client.PublicKey)
		if err != nil {
			errs = append(errs, fmt.Errorf("clients[%d]: public key: %w", i, err))
		}
		if !isNotifyURL(client.NotifyURL) {
			errs = append(errs, fmt.Errorf("clients[%d]: notify URL %q", i, client.NotifyURL))
		}
		for currency, minor := range client.Funds {
			if minor < 0 || !isCurrency(currency) {
				errs = append(errs, fmt.Errorf("clients[%d]: funds of %d %q", i, minor, currency))
			}
		}
		clients[client.ID] = key
	}
	return own, clients, errors.Join(errs...)
}
