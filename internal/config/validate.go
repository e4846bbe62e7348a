package config

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"refundworker/schemas"
)

// Bounds of the durations: what lies outside is a slip of the unit, not a wish.
const (
	minGatewayTimeout, maxGatewayTimeout = time.Second, 5 * time.Minute
	maxLease                             = time.Hour
	minDrain                             = 100 * time.Millisecond
	// maxDrain leaves room for a heartbeat and the last commit inside the session.
	maxDrain                       = SessionTimeout - time.Second
	minSettling, maxSettling       = time.Second, time.Hour
	minHorizon, maxHorizon         = time.Minute, 720 * time.Hour
	minOutcomeTTL, maxTombstoneTTL = time.Hour, 87600 * time.Hour
	maxTier                        = 24 * time.Hour
	minLook                        = time.Second
)

const (
	maxInFlight  = 1 << 16
	maxTiers     = 16
	maxTopicName = 249 // Kafka's own limit.
	// longestSuffix is the longest that is ever appended to the topic prefix.
	longestSuffix = ".commands.backfill"
	maxGroup      = 200
)

var (
	kafkaName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)
	keyPrefix = regexp.MustCompile(`^[A-Za-z0-9._-]{1,32}$`)
	plainName = regexp.MustCompile(`^[!-~]*$`)
)

// Validate checks every rule that needs no file and no variable, and joins all [*FaultError]s: limits of single settings,
// names, and the nesting of the timeouts.
func (c Config) Validate(scope Scope) error {
	var all faults
	c.rules(scope, &all)
	return all.join()
}

func (c Config) rules(scope Scope, all *faults) {
	c.Kafka.rules(all)
	c.Redis.rules(all)
	c.Limits.rules(all)
	c.Dedupe.rules(all)
	c.Retry.rules(c.Limits.Horizon, all)
	c.HTTP.rules(all)
	oneOf(all, "log.level", c.Log.Level, "trace", "debug", "info", "warn", "error")
	oneOf(all, "log.format", c.Log.Format, "json", "console")
	c.Trace.rules(all)
	if scope == WithAccounts && len(c.Accounts) == 0 {
		all.add("accounts", "there is no account", "add at least one to the file that --config names")
	}
	notifies := func(a Account) bool { return a.Gateway == schemas.Antom }
	if c.HTTP.NotifyListen != "" && len(c.Accounts) > 0 && !slices.ContainsFunc(c.Accounts, notifies) {
		all.add("http.notify_listen", "no account is of a gateway that sends notifications, which only antom does", "take it out")
	}
	first := make(map[string]int, len(c.Accounts))
	for i, account := range c.Accounts {
		account.rules(accountPath(i)+".", all)
		if j, taken := first[account.Name]; taken && account.Name != "" {
			all.add(accountPath(i)+".name", show(account.Name)+" is the name of "+accountPath(j)+" too", "give each account its own name")
		} else {
			first[account.Name] = i
		}
	}
}

func (k Kafka) rules(all *faults) {
	addresses(all, "kafka.brokers", k.Brokers)
	if !kafkaName.MatchString(k.Group) || len(k.Group) > maxGroup {
		all.add("kafka.group", show(k.Group)+" is not a group name", fmt.Sprintf("write 1 to %d of A-Z a-z 0-9 . _ -", maxGroup))
	}
	if longest := maxTopicName - len(longestSuffix); !kafkaName.MatchString(k.TopicPrefix) || len(k.TopicPrefix) > longest {
		all.add("kafka.topic_prefix", show(k.TopicPrefix)+" is not a topic prefix",
			fmt.Sprintf("write 1 to %d of A-Z a-z 0-9 . _ -, so that no topic name is longer than %d", longest, maxTopicName))
	}
	between(all, "kafka.partitions", k.Partitions, 1, 1000)
	between(all, "kafka.replication", k.Replication, 1, 16)
	if k.MinInsync < 1 || k.MinInsync > k.Replication {
		all.add("kafka.min_insync", fmt.Sprintf("%d is not between 1 and replication, which is %d", k.MinInsync, k.Replication),
			"lower it, or raise kafka.replication")
	}
	tlsRules(all, "kafka.tls", k.TLS)
	k.SASL.rules(all)
}

func (s SASL) rules(all *faults) {
	switch s.Mechanism {
	case mechanismPlain, mechanismScramSHA256, mechanismScramSHA512:
	default:
		fault := s.unknownMechanism()
		all.add("kafka.sasl.mechanism", fault.What, fault.Fix)
		return
	}
	switch {
	case s.Username == "" && !s.Password.IsZero():
		all.add("kafka.sasl.username", "is missing beside the password", "write the name to log in with, or take the password out")
	case s.Username != "" && s.Password.IsZero():
		all.add("kafka.sasl.password", "is missing beside the username", "write file:/path or env:NAME")
	default:
		if _, err := s.Build(); err != nil {
			all.add("kafka.sasl.password", "username or password holds characters that SCRAM forbids", "use letters, digits and signs")
		}
	}
}

func (r Redis) rules(all *faults) {
	addresses(all, "redis.addresses", r.Addresses)
	if !plainName.MatchString(r.MasterName) {
		all.add("redis.master_name", show(r.MasterName)+" is not a name", "write letters, digits and signs, without spaces")
	}
	if r.Username != "" && r.Password.IsZero() {
		all.add("redis.password", "is missing beside the username", "write file:/path or env:NAME")
	}
	if r.SentinelUsername != "" && r.SentinelPassword.IsZero() {
		all.add("redis.sentinel_password", "is missing beside the username", "write file:/path or env:NAME")
	}
	if r.MasterName == "" && !r.SentinelPassword.IsZero() {
		all.add("redis.master_name", "is missing beside sentinel_password", "write the name the Sentinels know the primary by, or take the login out")
	}
	if !keyPrefix.MatchString(r.KeyPrefix) {
		all.add("redis.key_prefix", show(r.KeyPrefix)+" is not a key prefix", "write 1 to 32 of A-Z a-z 0-9 . _ -")
	}
	tlsRules(all, "redis.tls", r.TLS)
}

func (l Limits) rules(all *faults) {
	between(all, "limits.in_flight", l.InFlight, 1, maxInFlight)
	within(all, "limits.gateway_timeout", l.GatewayTimeout, minGatewayTimeout, maxGatewayTimeout)
	if shortest := 2*l.GatewayTimeout + SettleAllowance; l.Lease <= shortest || l.Lease > maxLease {
		all.add("limits.lease",
			fmt.Sprintf("%s is not between %s, which is gateway_timeout twice and %s for settling, and %s",
				l.Lease, shortest, SettleAllowance, maxLease),
			fmt.Sprintf("write more than %s, or lower limits.gateway_timeout", shortest))
	}
	if l.Drain < minDrain || l.Drain > maxDrain {
		all.add("limits.drain", fmt.Sprintf("%s is not between %s and %s, which the Kafka session timeout of %s allows", l.Drain, minDrain, maxDrain, SessionTimeout),
			fmt.Sprintf("write at least %s and at most %s", minDrain, maxDrain))
	}
	within(all, "limits.settling", l.Settling, minSettling, maxSettling)
	within(all, "limits.horizon", l.Horizon, minHorizon, maxHorizon)
}

func (d Dedupe) rules(all *faults) {
	if d.OutcomeTTL < minOutcomeTTL {
		all.add("dedupe.outcome_ttl", fmt.Sprintf("%s is shorter than %s", d.OutcomeTTL, minOutcomeTTL), fmt.Sprintf("write at least %s", minOutcomeTTL))
	}
	if d.TombstoneTTL <= d.OutcomeTTL || d.TombstoneTTL > maxTombstoneTTL {
		all.add("dedupe.tombstone_ttl", fmt.Sprintf("%s is not between outcome_ttl, which is %s, and %s", d.TombstoneTTL, d.OutcomeTTL, maxTombstoneTTL),
			"write more than dedupe.outcome_ttl, so that old request IDs stay known")
	}
}

func (r Retry) rules(horizon time.Duration, all *faults) {
	within(all, "retry.lapse_after", r.LapseAfter, minLook, maxTier)
	within(all, "retry.review_interval", r.ReviewInterval, minLook, maxHorizon)
	if len(r.Tiers) == 0 || len(r.Tiers) > maxTiers {
		all.add("retry.tiers", fmt.Sprintf("there are %d tiers", len(r.Tiers)), fmt.Sprintf("write 1 to %d", maxTiers))
		return
	}
	for i, tier := range r.Tiers {
		path := "retry.tiers[" + strconv.Itoa(i) + "]"
		switch {
		case tier < time.Second || tier > maxTier || tier%time.Second != 0:
			all.add(path, fmt.Sprintf("%s is not a whole number of seconds between 1s and %s", tier, maxTier), "write a delay such as 10s or 1h")
		case i > 0 && tier <= r.Tiers[i-1]:
			all.add(path, fmt.Sprintf("%s does not come after %s", tier, r.Tiers[i-1]), "sort the tiers and keep each once")
		}
	}
	if longest := slices.Max(r.Tiers); horizon <= longest {
		all.add("limits.horizon", fmt.Sprintf("%s is not longer than the longest retry tier, which is %s", horizon, longest),
			"raise it, or take the tier out")
	}
}

func (h HTTP) rules(all *faults) {
	if !hostPort(h.Listen, 0) {
		all.add("http.listen", show(h.Listen)+" is not host:port", "write an address such as 127.0.0.1:9090")
	}
	if h.NotifyListen == "" {
		return
	}
	if !hostPort(h.NotifyListen, 0) {
		all.add("http.notify_listen", show(h.NotifyListen)+" is not host:port", "write an address such as 127.0.0.1:9091")
		return
	}
	if collide(h.Listen, h.NotifyListen) {
		all.add("http.notify_listen", show(h.NotifyListen)+" is taken by http.listen, which is "+show(h.Listen), "give each its own port")
	}
}

// collide says that two addresses cannot both be listened on. Port 0 is a different one each time.
func collide(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	everywhere := []string{"", "0.0.0.0", "::"}
	return hostA == hostB || slices.Contains(everywhere, hostA) || slices.Contains(everywhere, hostB)
}

func tlsRules(all *faults, section string, t TLS) {
	if fault := t.pairs(); fault != nil {
		all.add(section+"."+fault.Path, fault.What, fault.Fix)
	}
}

func between(all *faults, path string, n, least, most int) {
	if n < least || n > most {
		all.add(path, fmt.Sprintf("%d is not between %d and %d", n, least, most), "write a number in between")
	}
}

func within(all *faults, path string, d, least, most time.Duration) {
	if d < least || d > most {
		all.add(path, fmt.Sprintf("%s is not between %s and %s", d, least, most), "write a duration in between")
	}
}

func oneOf(all *faults, path, text string, known ...string) {
	if !slices.Contains(known, text) {
		all.add(path, show(text)+" is not known", "write one of "+strings.Join(known, ", "))
	}
}

// addresses checks a list of servers: at least one, each host:port, none twice.
func addresses(all *faults, path string, list []string) {
	if len(list) == 0 {
		all.add(path, "there is no address", "write at least one host:port")
	}
	for i, address := range list {
		item := path + "[" + strconv.Itoa(i) + "]"
		switch {
		case !hostPort(address, 1) || strings.HasPrefix(address, ":"):
			all.add(item, show(address)+" is not host:port", "write a host name or IP address, a colon and a port of 1 to 65535")
		case slices.Contains(list[:i], address):
			all.add(item, show(address)+" is there twice", "keep it once")
		}
	}
}

// hostPort says that text is a host, possibly empty, and a numeric port from leastPort on.
func hostPort(text string, leastPort int) bool {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || int(n) < leastPort || (len(port) > 1 && port[0] == '0') {
		return false
	}
	if strings.Contains(host, ":") {
		return net.ParseIP(host) != nil
	}
	return host == "" || isHost(host)
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$`)

func isHost(host string) bool { return len(host) <= 253 && hostName.MatchString(host) }

// isLoopback says that a URL's host never leaves the machine.
func isLoopback(u *url.URL) bool {
	host := u.Hostname()
	return strings.EqualFold(host, "localhost") || net.ParseIP(host).IsLoopback()
}
