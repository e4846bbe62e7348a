package eftpay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"time"

	"refundworker/gateway"
	"refundworker/schemas"
)

// Secret is a credential; see [gateway.Secret].
type Secret = gateway.Secret

// decimals is how many the account's currency must have: amounts are written with two.
// https://vmp.eftpay.com.cn/vmp-docs/en/api-reference/scene/qrcode/Refund.html
const decimals = 2

var (
	// "user_confirm_key: String(12)", https://vmp.eftpay.com.cn/vmp-docs/en/api-reference/scene/qrcode/Refund.html
	userConfirmKeyForm = regexp.MustCompile(`^[A-Za-z0-9]{1,12}$`)
	secretForm         = regexp.MustCompile(`^[\x21-\x7e]{1,256}$`)
	notFoundForm       = regexp.MustCompile(`^[A-Za-z0-9]{1,16}$`)
)

// Config is one eftPay account.
type Config struct {
	// Name is the account's name in logs and metrics. Required.
	Name string
	// BaseURL is scheme, host and the path before /Servlet, without a trailing slash. Required. The test system is
	// https://vmp.eftpay.com.cn/VMP; eftPay hands the production address over with the account
	// (https://vmp.eftpay.com.cn/vmp-docs/en/api-reference/BaseInfo.html).
	BaseURL string
	// UserConfirmKey names the merchant: 1 to 12 letters and digits. It is sent in the clear. Required.
	UserConfirmKey string
	// Secret is the merchant's secret code, which signs requests and answers alike. Required.
	Secret Secret
	// Currency is the account's one currency, an ISO 4217 code with two decimals: requests carry none. Required.
	Currency string
	// NotFoundStatus lists the return_status values with which eftPay, by its own word to the operator, says that a
	// query found no such refund. Only signed answers are looked at, so no negative value can be among them. Empty
	// means that no answer proves absence.
	NotFoundStatus []string
	// InFlight is how many calls run at once; 0 means [gateway.DefaultInFlight].
	InFlight int
	// Timeout bounds one call; 0 means [gateway.DefaultTimeout]. eftPay documents none; a tester's tool waits 30 s
	// (RSM-Backend, VMPHelper/Util.py).
	Timeout time.Duration
	// CA, ClientCert and ClientKey are as in [gateway.HTTPConfig]; eftPay itself needs none of them.
	CA         []byte
	ClientCert []byte
	ClientKey  Secret
	// Dial replaces the network, for tests on a virtual one; nil is TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Validate reports all faults of the account, joined. No error shows the secret, or the key it is easily mixed up with.
func (c Config) Validate() error {
	var errs []error
	if c.Name == "" {
		errs = append(errs, errors.New("name: is empty; write what commands and logs call the account"))
	}
	if !userConfirmKeyForm.MatchString(c.UserConfirmKey) {
		errs = append(errs, errors.New("user confirm key: is not 1 to 12 letters and digits; write the one eftPay gave you"))
	}
	errs = append(errs, checkSecret(c.Secret))
	if n, err := (schemas.Money{Currency: c.Currency}).Exponent(); err != nil || n != decimals {
		errs = append(errs, fmt.Errorf("currency: %q is not a currency with two decimals; write its ISO 4217 code, such as HKD", c.Currency))
	}
	for i, status := range c.NotFoundStatus {
		switch {
		case !notFoundForm.MatchString(status):
			errs = append(errs, fmt.Errorf("not found status[%d]: %q is not a signed return_status; write 1 to 16 letters and digits, negative ones are never signed", i, status))
		case status == statusTaken || status == statusClock:
			errs = append(errs, fmt.Errorf("not found status[%d]: %q has another meaning; take it out", i, status))
		}
	}
	return errors.Join(append(errs, c.httpConfig().Validate())...)
}

func checkSecret(secret Secret) error {
	if !secretForm.MatchString(string(secret)) {
		return errors.New("secret: is not 1 to 256 printable characters without spaces; write the secret code eftPay gave you")
	}
	return nil
}

func (c Config) httpConfig() gateway.HTTPConfig {
	return gateway.HTTPConfig{
		BaseURL: c.BaseURL, InFlight: c.InFlight, Timeout: c.Timeout,
		CA: c.CA, ClientCert: c.ClientCert, ClientKey: c.ClientKey, Dial: c.Dial,
	}
}
