package config

import (
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"refundworker/schemas"
)

const (
	maxRate = 100000
	// maxUserConfirmKey is eftPay's own limit:
	// https://vmp.eftpay.com.cn/vmp-docs/en/api-reference/scene/qrcode/Refund.html
	maxUserConfirmKey = 12
	// eftPayDecimals is what eftPay's amounts have: "≤ 2 decimals" on the same page.
	eftPayDecimals = 2
)

var (
	accountName    = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	clientID       = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,128}$`)
	keyVersion     = regexp.MustCompile(`^[A-Za-z0-9._-]{1,32}$`)
	userConfirmKey = regexp.MustCompile(`^[A-Za-z0-9]+$`)
	// basePath is one or more plain segments: nothing that a client or a proxy could read in two ways.
	basePath = regexp.MustCompile(`^(/[A-Za-z0-9_-]+)*$`)
	// notFoundStatus has no minus: eftPay signs only answers whose return_status is "00" or more, and an unsigned one
	// proves nothing. https://vmp.eftpay.com.cn/vmp-docs/en/api-reference/scene/qrcode/Query.html
	notFoundStatus = regexp.MustCompile(`^[A-Za-z0-9]{1,16}$`)
)

const foreignSetting = "is a setting of the other gateway's accounts"

func (a Account) rules(prefix string, all *faults) {
	if !accountName.MatchString(a.Name) {
		all.add(prefix+"name", show(a.Name)+" is not an account name", "write 1 to 64 of a-z 0-9 . _ - and begin with a letter or digit")
	}
	if a.InFlight < 0 || a.InFlight > maxInFlight {
		all.add(prefix+"in_flight", fmt.Sprintf("%d is not between 0 and %d", a.InFlight, maxInFlight), "write a number in between; 0 means limits.in_flight")
	}
	if !(a.Rate >= 0 && a.Rate <= maxRate) {
		all.add(prefix+"rate", fmt.Sprintf("%g is not between 0 and %d", a.Rate, maxRate), "write calls per second; 0 means no limit")
	}
	switch a.Gateway {
	case schemas.Antom:
		a.foreign(prefix, all)
		a.antomRules(prefix, all)
	case schemas.EftPay:
		a.foreign(prefix, all)
		a.eftPayRules(prefix, all)
	default:
		// Which settings it needs cannot be said then.
		all.add(prefix+"gateway", show(string(a.Gateway))+" is not a known gateway", "write antom or eftpay")
	}
}

// foreign refuses what only the other gateway has: it would do nothing, and whoever wrote it believes it does.
func (a Account) foreign(prefix string, all *faults) {
	for _, s := range settings(reflect.ValueOf(&a).Elem(), prefix) {
		if s.isForeign(a.Gateway) && !s.target.IsZero() {
			all.add(s.path, foreignSetting, "take it out")
		}
	}
}

func (a Account) antomRules(prefix string, all *faults) {
	webAddress(all, prefix+"base_url", a.BaseURL, false)
	if !clientID.MatchString(a.ClientID) {
		all.add(prefix+"client_id", show(a.ClientID)+" is not a client ID", "write the one Antom gave you")
	}
	required(prefix+"private_key", all, a.PrivateKey)
	required(prefix+"antom_public_key", all, a.AntomPublicKey...)
	if !keyVersion.MatchString(a.KeyVersion) {
		all.add(prefix+"key_version", show(a.KeyVersion)+" is not a key version", "write the one Antom shows beside our key, such as 1")
	}
}

func (a Account) eftPayRules(prefix string, all *faults) {
	webAddress(all, prefix+"base_url", a.BaseURL, true)
	if !userConfirmKey.MatchString(a.UserConfirmKey) || len(a.UserConfirmKey) > maxUserConfirmKey {
		// Not shown: it is easily mixed up with the secret.
		all.add(prefix+"user_confirm_key", "is not a user_confirm_key", fmt.Sprintf("write the one eftPay gave you, 1 to %d letters and digits", maxUserConfirmKey))
	}
	required(prefix+"secret", all, a.Secret)
	if decimals, err := (schemas.Money{Currency: a.Currency}).Exponent(); err != nil || decimals != eftPayDecimals {
		all.add(prefix+"currency", show(a.Currency)+" is not a currency with two decimals", "write its ISO 4217 code, such as HKD")
	}
	for i, status := range a.NotFoundStatus {
		if !notFoundStatus.MatchString(status) {
			all.add(prefix+"not_found_status["+strconv.Itoa(i)+"]", show(status)+" is not a signed return_status", "write 1 to 16 letters and digits; negative codes are never signed")
		}
	}
}

// required refuses a setting without a reference, or with an empty one among several.
func required(path string, all *faults, list ...Secret) {
	if len(list) == 0 {
		list = make([]Secret, 1)
	}
	for _, secret := range list {
		if secret.IsZero() {
			all.add(path, "is missing", "write file:/path or env:NAME")
			return
		}
	}
}

// webAddress refuses every address that would send credentials in the clear or to a place that was not meant. The address
// is not shown: it may hold a password.
func webAddress(all *faults, path, text string, mayHavePath bool) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "" || !isURLHost(u):
		all.add(path, "is not an https address", "write one such as https://host or https://host:8443")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(text, "#"):
		all.add(path, "has a user, a query or a fragment", "write scheme, host and path only")
	case u.Scheme != "https" && u.Scheme != "http":
		all.add(path, "is neither https nor http", "write an https address")
	case u.Scheme == "http" && !isLoopback(u):
		all.add(path, "is http to a host that is not this machine", "write https; http is for loopback addresses only")
	case strings.HasSuffix(u.Path, "/"):
		all.add(path, "ends in a slash", "take the slash out")
	case u.Path != "" && !mayHavePath:
		all.add(path, "has a path", "write scheme and host only; the client knows the path")
	case u.RawPath != "" || !basePath.MatchString(u.Path):
		all.add(path, "has a path that is not plain", "write segments of A-Z a-z 0-9 _ - such as /VMP")
	}
}

// isURLHost checks what url.Parse lets through: an empty or impossible host, a port out of range.
func isURLHost(u *url.URL) bool {
	if u.Hostname() == "" {
		return false
	}
	if u.Port() == "" {
		return !strings.HasSuffix(u.Host, ":") && hostPort(u.Host+":443", 1)
	}
	return hostPort(u.Host, 1)
}
