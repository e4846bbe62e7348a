package worker

import (
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"refundworker/consumer"
	"refundworker/gateway"
	"refundworker/gateway/antom"
	"refundworker/gateway/eftpay"
	"refundworker/internal/config"
	"refundworker/internal/reload"
	"refundworker/refund"
	"refundworker/schemas"
)

// antomResendWindow is how long after its first sight a refund may be sent to Antom again under the same
// refundRequestId. Antom documents that a repeat is replayed, but not for how long it remembers
// (https://docs.antom.com/ac/ams/idempotency); its own advice for unknown outcomes spans 82 minutes
// (https://docs.antom.com/ac/questions/refund_question). 12 hours is ours; past it only inquiries are made.
const antomResendWindow = 12 * time.Hour

// Accounts is every configured account, by gateway and name.
type Accounts struct {
	byGateway map[schemas.Gateway]map[string]refund.Account
	limits    map[refund.AccountID]consumer.Limits
	// sources are the files of their keys.
	sources []reload.Source
}

// NewAccounts builds a client for every account. The error joins every fault and names the account.
func NewAccounts(cfg config.Config, log zerolog.Logger, metrics *gateway.Metrics) (*Accounts, error) {
	all := &Accounts{
		byGateway: make(map[schemas.Gateway]map[string]refund.Account), limits: make(map[refund.AccountID]consumer.Limits),
	}
	var errs []error
	for i, a := range cfg.Accounts {
		acct, keys, err := newAccount(cfg, a, log, metrics)
		if err != nil {
			errs = append(errs, fmt.Errorf("accounts[%d] %s: %w", i, a.Name, err))
			continue
		}
		if all.byGateway[a.Gateway] == nil {
			all.byGateway[a.Gateway] = make(map[string]refund.Account)
		}
		all.byGateway[a.Gateway][a.Name] = acct
		all.limits[acct.ID()] = consumer.Limits{InFlight: a.InFlight, Rate: a.Rate}
		all.sources = append(all.sources, keys...)
	}
	return all, errors.Join(errs...)
}

// newAccount returns the files of the account's keys beside it.
func newAccount(cfg config.Config, a config.Account, log zerolog.Logger, metrics *gateway.Metrics) (refund.Account, []reload.Source, error) {
	switch a.Gateway {
	case schemas.Antom:
		client, err := antom.New(antomConfig(cfg, a), log, metrics)
		if err != nil {
			return refund.Account{}, nil, err
		}
		keys := secretSource(accountKeys, a.Name, func(read []string) (string, error) {
			err := client.SetKeys(antom.Secret(read[0]), antomSecrets(read[1:]))
			return client.Keys(), err
		}, append([]config.Secret{a.PrivateKey}, a.AntomPublicKey...)...)
		return refund.Account{
			Name: a.Name, Gateway: a.Gateway, Client: client, KeyFunc: antom.Key,
			ResendWindow: antomResendWindow, NotifiedFunc: client.Notified,
		}, keys, nil
	case schemas.EftPay:
		if a.ResendAfterAbsent {
			return refund.Account{}, nil, errors.New("resend_after_absent: this build never sends to eftPay twice; remove the setting")
		}
		client, err := eftpay.New(eftpayConfig(cfg, a), log, metrics)
		if err != nil {
			return refund.Account{}, nil, err
		}
		keys := secretSource(accountKeys, a.Name, func(read []string) (string, error) {
			return "", client.SetSecret(eftpay.Secret(read[0]))
		}, a.Secret)
		return refund.Account{
			Name: a.Name, Gateway: a.Gateway, Client: client, KeyFunc: eftpay.Key,
			InquireFirst: a.InquireFirst,
		}, keys, nil
	}
	return refund.Account{}, nil, fmt.Errorf("gateway %q: not known", a.Gateway)
}

func antomConfig(cfg config.Config, a config.Account) antom.Config {
	public := make([]string, len(a.AntomPublicKey))
	for i, key := range a.AntomPublicKey {
		public[i] = key.Reveal()
	}
	return antom.Config{
		Name: a.Name, BaseURL: a.BaseURL, ClientID: a.ClientID, PrivateKey: antom.Secret(a.PrivateKey.Reveal()),
		AntomPublicKeys: antomSecrets(public), KeyVersion: a.KeyVersion, InFlight: a.InFlight, Timeout: cfg.Limits.GatewayTimeout,
	}
}

func antomSecrets(texts []string) []antom.Secret {
	secrets := make([]antom.Secret, len(texts))
	for i, text := range texts {
		secrets[i] = antom.Secret(text)
	}
	return secrets
}

func eftpayConfig(cfg config.Config, a config.Account) eftpay.Config {
	return eftpay.Config{
		Name: a.Name, BaseURL: a.BaseURL, UserConfirmKey: a.UserConfirmKey, Secret: eftpay.Secret(a.Secret.Reveal()),
		Currency: a.Currency, NotFoundStatus: a.NotFoundStatus, InFlight: a.InFlight, Timeout: cfg.Limits.GatewayTimeout,
	}
}

// Account finds the named account of a gateway; an empty name is the gateway's only one.
func (a *Accounts) Account(gw schemas.Gateway, name string) (refund.Account, error) {
	of := a.byGateway[gw]
	if name != "" {
		if acct, ok := of[name]; ok {
			return acct, nil
		}
		return refund.Account{}, fmt.Errorf("gateway %s has no account %q: %w", gw, name, refund.ErrUnknownAccount)
	}
	if len(of) != 1 {
		return refund.Account{}, fmt.Errorf("gateway %s has %d accounts and the command names none: %w", gw, len(of), refund.ErrUnknownAccount)
	}
	for _, acct := range of {
		return acct, nil
	}
	return refund.Account{}, refund.ErrUnknownAccount
}
