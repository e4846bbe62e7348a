package eftpay

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"refundworker/gateway"
)

func TestValidateJoinsAllFaults(t *testing.T) {
	t.Parallel()
	err := Config{
		BaseURL: "http://eftpay.example/VMP/", UserConfirmKey: "hunter2hunter2", Secret: "hunter2 ", Currency: "JPY", InFlight: -1,
		NotFoundStatus: []string{"77", "-13", "00", "12", ""}, ClientCert: []byte("x"),
	}.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"name:", "user confirm key:", "secret:", `currency: "JPY"`, `not found status[1]: "-13"`, `not found status[2]: "00" has another meaning`,
		`not found status[3]: "12" has another meaning`, `not found status[4]: ""`, "base url: is http to a host", "in flight:", "client certificate:",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not name %q:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "status[0]") {
		t.Errorf("error shows too much:\n%v", err)
	}
}

func TestEveryFaultAloneIsFound(t *testing.T) {
	t.Parallel()
	good := testConfig("https://vmp.eftpay.com.cn/VMP")
	if err := good.Validate(); err != nil {
		t.Fatalf("a good configuration: %v", err)
	}
	for name, tc := range map[string]struct {
		spoil func(c *Config)
		want  string
	}{
		"no name":             {func(c *Config) { c.Name = "" }, "name:"},
		"no key":              {func(c *Config) { c.UserConfirmKey = "" }, "user confirm key:"},
		"a long key":          {func(c *Config) { c.UserConfirmKey = "S000346900001" }, "user confirm key:"},
		"a key with a dash":   {func(c *Config) { c.UserConfirmKey = "S-1" }, "user confirm key:"},
		"no secret":           {func(c *Config) { c.Secret = "" }, "secret:"},
		"a secret in lines":   {func(c *Config) { c.Secret = "a\nb" }, "secret:"},
		"a secret of a book":  {func(c *Config) { c.Secret = Secret(strings.Repeat("x", 257)) }, "secret:"},
		"no currency":         {func(c *Config) { c.Currency = "" }, "currency:"},
		"three decimals":      {func(c *Config) { c.Currency = "KWD" }, "currency:"},
		"no such currency":    {func(c *Config) { c.Currency = "XQQ" }, "currency:"},
		"small letters":       {func(c *Config) { c.Currency = "hkd" }, "currency:"},
		"a long status":       {func(c *Config) { c.NotFoundStatus = []string{strings.Repeat("1", 17)} }, "not found status[0]:"},
		"an address of a dog": {func(c *Config) { c.BaseURL = "dog" }, "base url:"},
		"an endless path":     {func(c *Config) { c.BaseURL += "/" }, "base url:"},
	} {
		bad := good
		tc.spoil(&bad)
		err := bad.Validate()
		if err == nil || !strings.HasPrefix(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one fault about %q", name, err, tc.want)
		}
		if _, err := New(bad, zerolog.Nop(), gateway.NewMetrics(prometheus.NewRegistry(), nil)); err == nil {
			t.Errorf("%s: New took it", name)
		}
	}
}

func TestAPrintedConfigurationOrClientShowsNoSecret(t *testing.T) {
	t.Parallel()
	cfg := testConfig("https://eftpay.example/VMP")
	cfg.Secret = "hunter2"
	c := newClient(t, cfg)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		for _, v := range []any{cfg, &cfg, c, c.signer.Load(), *c.signer.Load()} {
			if text := fmt.Sprintf(verb, v); strings.Contains(text, "hunter2") || strings.Contains(text, fmt.Sprintf("%x", "hunter2")) {
				t.Errorf("%s of %T shows the secret", verb, v)
			}
		}
	}
}
