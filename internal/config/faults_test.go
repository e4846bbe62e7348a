package config

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// antomLines and eftPayLines are accounts without a fault; a test takes lines away or adds some.
const (
	antomLines = `accounts:
  - name: hk
    gateway: antom
    base_url: https://open-sea-global.alipay.com
    client_id: CLIENT
    private_key: env:PRIVATE
    antom_public_key: env:PUBLIC
`
	eftPayLines = `accounts:
  - name: eft
    gateway: eftpay
    base_url: https://vmp.eftpay.com.cn/VMP
    user_confirm_key: S0000000
    secret: env:PRIVATE
    currency: HKD
`
)

// with replaces a line of an account, found by its key.
func with(account, key, line string) string {
	lines := strings.Split(account, "\n")
	for i, old := range lines {
		if strings.HasPrefix(strings.TrimLeft(old, " -"), key+":") {
			indent := old[:len(old)-len(strings.TrimLeft(old, " -"))]
			lines[i] = indent + line
			return strings.Join(lines, "\n")
		}
	}
	return account + "    " + line + "\n"
}

func antomWith(key, line string) string  { return with(antomLines, key, line) }
func eftPayWith(key, line string) string { return with(eftPayLines, key, line) }

func TestEveryFaultOfTheFileIsOneLineThatSaysWhatWhereAndWhatToDo(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 300)
	tests := []struct {
		name, file string
		want       []string
	}{
		// The file as a whole.
		{"not YAML", "kafka: [a\n", []string{"w.yaml:1:8: the file is not YAML: sequence end token ']' not found; mend the syntax there"}},
		{"not UTF-8", "kafka: \xff\n", []string{"w.yaml: the file is not UTF-8 text; save it as UTF-8"}},
		{"a list at the top", "- 1\n", []string{"w.yaml:1:1: the file is not a mapping; begin with a section, such as kafka:"}},
		{"a text at the top", "kafka\n", []string{"w.yaml:1:1: the file is not a mapping; begin with a section, such as kafka:"}},
		{"two documents", "log: {level: info}\n---\nlog: {level: debug}\n", []string{"w.yaml:3:4: a second YAML document begins; keep one document in the file"}},

		// Keys.
		{"an unknown section", "kafke: {}\n", []string{"kafke (w.yaml:1:1): the key is unknown; write one of kafka, redis, limits, dedupe, retry, http, log, trace, accounts"}},
		{"an unknown key", "log:\n  levle: info\n", []string{"log.levle (w.yaml:2:3): the key is unknown; write one of level, format"}},
		{"an unknown key of a nested section", "kafka: {tls: {ca: x}}\n", []string{"kafka.tls.ca (w.yaml:1:15): the key is unknown; write one of ca_file, cert_file, key_file"}},
		{"an unknown key with a line break", "\"a\\nb\": 1\n", []string{`"a\nb" (w.yaml:1:1): the key is unknown; write one of kafka, redis, limits, dedupe, retry, http, log, trace, accounts`}},
		{"a key that is not a text", "{a: 1}: 2\n", []string{"w.yaml:1:7: the file is not YAML: found an invalid key for this map; mend the syntax there"}},
		{"a key with a question mark", "log:\n  ? level\n  : info\n", []string{"log (w.yaml:2:3): a key is not a plain text; write one of level, format; merge keys are not read"}},
		{"a merge key", "<<: {log: {level: info}}\n", []string{"w.yaml:1:1: a key is not a plain text; write one of kafka, redis, limits, dedupe, retry, http, log, trace, accounts; merge keys are not read"}},
		{"a duplicate key", "log:\n  level: info\n  level: debug\n", []string{"log.level (w.yaml:3:3): the key stands here a second time; keep one; the first is at w.yaml:2:3"}},
		{"a duplicate section", "log: {level: info}\nlog: {format: json}\n", []string{"log (w.yaml:2:1): the key stands here a second time; keep one; the first is at w.yaml:1:1"}},

		// Kinds of values.
		{"a section that is a text", "log: info\n", []string{"log (w.yaml:1:1): the value is not a mapping; indent its settings below it"}},
		{"a setting without a value", "log:\n  level:\n", []string{"log.level (w.yaml:2:3): the value is not one plain text or number; write a value, or take the key out; anchors, aliases and tags are not read"}},
		{"a setting that is a list", "log: {level: [info]}\n", []string{"log.level (w.yaml:1:7): the value is not one plain text or number; write a value, or take the key out; anchors, aliases and tags are not read"}},
		{"a setting that is an anchor", "log: {level: &l info}\n", []string{"log.level (w.yaml:1:7): the value is not one plain text or number; write a value, or take the key out; anchors, aliases and tags are not read"}},
		{"a list of mappings", "retry: {tiers: [{a: 1}]}\n", []string{"retry.tiers (w.yaml:1:9): the value is not a list of plain texts; write a value, or take the key out; anchors, aliases and tags are not read"}},
		{"accounts that are a mapping", "accounts: {a: 1}\n", []string{"accounts (w.yaml:1:1): the value is not a list; begin each entry with a dash"}},
		{"an account that is a text", "accounts:\n  - hk\n", []string{"accounts[0] (w.yaml:2:5): the entry is not a mapping; write its settings below the dash"}},
		{"a number that is a word", "limits: {in_flight: many}\n", []string{`limits.in_flight (w.yaml:1:10): "many" is not a whole number; write digits, such as 256`}},
		{"a number with a fraction", "limits: {in_flight: 1.5}\n", []string{`limits.in_flight (w.yaml:1:10): "1.5" is not a whole number; write digits, such as 256`}},
		{"a duration without unit", "limits: {drain: 2}\n", []string{`limits.drain (w.yaml:1:10): "2" is not a duration; write a number with its unit, such as 15s, 10m or 24h`}},
		{"a tier without unit", "retry: {tiers: [10s, 60]}\n", []string{`retry.tiers (w.yaml:1:9): "60" is not a duration; write a number with its unit, such as 15s, 10m or 24h`}},
		{"a rate that is a word", antomWith("rate", "rate: fast"), []string{`accounts[0].rate (w.yaml:8:5): "fast" is not a number; write digits, such as 50 or 0.5`}},
		{"a rate that is no number", antomWith("rate", "rate: .nan"), []string{`accounts[0].rate (w.yaml:8:5): ".nan" is not a number; write digits, such as 50 or 0.5`}},
		{"a rate without end", antomWith("rate", "rate: Inf"), []string{`accounts[0].rate (w.yaml:8:5): "Inf" is not a number; write digits, such as 50 or 0.5`}},
		{"a switch that is yes", eftPayWith("inquire_first", "inquire_first: yes"), []string{`accounts[0].inquire_first (w.yaml:8:5): "yes" is neither true nor false; write true or false`}},

		// Kafka.
		{"no broker", "kafka: {brokers: []}\n", []string{"kafka.brokers (w.yaml:1:9): there is no address; write at least one host:port"}},
		{"a broker without port", "kafka: {brokers: [a]}\n", []string{`kafka.brokers[0] (w.yaml:1:9): "a" is not host:port; write a host name or IP address, a colon and a port of 1 to 65535`}},
		{"a broker without host", "kafka: {brokers: [\":9092\"]}\n", []string{`kafka.brokers[0] (w.yaml:1:9): ":9092" is not host:port; write a host name or IP address, a colon and a port of 1 to 65535`}},
		{"a broker with port 0", "kafka: {brokers: [\"a:0\"]}\n", []string{`kafka.brokers[0] (w.yaml:1:9): "a:0" is not host:port; write a host name or IP address, a colon and a port of 1 to 65535`}},
		{"a broker with a port too large", "kafka: {brokers: [\"a:65536\"]}\n", []string{`kafka.brokers[0] (w.yaml:1:9): "a:65536" is not host:port; write a host name or IP address, a colon and a port of 1 to 65535`}},
		{"a broker that is a URL", "kafka: {brokers: [\"kafka://a:1\"]}\n", []string{`kafka.brokers[0] (w.yaml:1:9): "kafka://a:1" is not host:port; write a host name or IP address, a colon and a port of 1 to 65535`}},
		{"a broker with credentials", "kafka: {brokers: [\"u:hunter2@a:1\"]}\n", []string{`kafka.brokers[0] (w.yaml:1:9): the value is not host:port; write a host name or IP address, a colon and a port of 1 to 65535`}},
		{"a broker twice", "kafka: {brokers: [\"a:1\", \"a:1\"]}\n", []string{`kafka.brokers[1] (w.yaml:1:9): "a:1" is there twice; keep it once`}},
		{"a group with a space", "kafka: {group: a b}\n", []string{`kafka.group (w.yaml:1:9): "a b" is not a group name; write 1 to 200 of A-Z a-z 0-9 . _ -`}},
		{"an empty group", "kafka: {group: \"\"}\n", []string{`kafka.group (w.yaml:1:9): "" is not a group name; write 1 to 200 of A-Z a-z 0-9 . _ -`}},
		{"a group too long", "kafka: {group: " + long + "}\n", []string{`kafka.group (w.yaml:1:9): "` + long[:64] + `…" is not a group name; write 1 to 200 of A-Z a-z 0-9 . _ -`}},
		{"a topic prefix with a slash", "kafka: {topic_prefix: a/b}\n", []string{`kafka.topic_prefix (w.yaml:1:9): "a/b" is not a topic prefix; write 1 to 231 of A-Z a-z 0-9 . _ -, so that no topic name is longer than 249`}},
		{"a topic prefix one too long", "kafka: {topic_prefix: " + long[:232] + "}\n", []string{`kafka.topic_prefix (w.yaml:1:9): "` + long[:64] + `…" is not a topic prefix; write 1 to 231 of A-Z a-z 0-9 . _ -, so that no topic name is longer than 249`}},
		{"no partition", "kafka: {partitions: 0}\n", []string{"kafka.partitions (w.yaml:1:9): 0 is not between 1 and 1000; write a number in between"}},
		{"too many partitions", "kafka: {partitions: 1001}\n", []string{"kafka.partitions (w.yaml:1:9): 1001 is not between 1 and 1000; write a number in between"}},
		{"no replica", "kafka: {replication: 0, min_insync: 1}\n", []string{
			"kafka.replication (w.yaml:1:9): 0 is not between 1 and 16; write a number in between",
			"kafka.min_insync (w.yaml:1:25): 1 is not between 1 and replication, which is 0; lower it, or raise kafka.replication",
		}},
		{"more in sync than replicas", "kafka: {replication: 1}\n", []string{"kafka.min_insync: 2 is not between 1 and replication, which is 1; lower it, or raise kafka.replication"}},
		{"none in sync", "kafka: {min_insync: 0}\n", []string{"kafka.min_insync (w.yaml:1:9): 0 is not between 1 and replication, which is 3; lower it, or raise kafka.replication"}},
		{"a certificate without key", "kafka: {tls: {ca_file: ca, cert_file: c}}\n", []string{"kafka.tls.key_file: is missing beside cert_file; name the certificate's private key"}},
		{"authorities that are not there", "kafka: {tls: {ca_file: gone}}\n", []string{`kafka.tls.ca_file (w.yaml:1:15): the file "gone" does not exist; create it, or mend the path`}},
		{"an unknown mechanism", "kafka: {sasl: {mechanism: gssapi}}\n", []string{`kafka.sasl.mechanism (w.yaml:1:16): "gssapi" is not a known mechanism; write plain, scram-sha-256 or scram-sha-512`}},
		{"a login without password", "kafka: {sasl: {username: u}}\n", []string{"kafka.sasl.password: is missing beside the username; write file:/path or env:NAME"}},
		{"a login without username", "kafka: {sasl: {password: env:PRIVATE}}\n", []string{"kafka.sasl.username: is missing beside the password; write the name to log in with, or take the password out"}},
		{"a password that SCRAM forbids", "kafka: {sasl: {username: u, password: env:CONTROL}}\n", []string{"kafka.sasl.password (w.yaml:1:29): username or password holds characters that SCRAM forbids; use letters, digits and signs"}},

		// Redis.
		{"no server", "redis: {addresses: []}\n", []string{"redis.addresses (w.yaml:1:9): there is no address; write at least one host:port"}},
		{"a server with an impossible name", "redis: {addresses: [\"a b:1\"]}\n", []string{`redis.addresses[0] (w.yaml:1:9): "a b:1" is not host:port; write a host name or IP address, a colon and a port of 1 to 65535`}},
		{"a master name with a space", "redis: {master_name: a b}\n", []string{`redis.master_name (w.yaml:1:9): "a b" is not a name; write letters, digits and signs, without spaces`}},
		{"a username without password", "redis: {username: u}\n", []string{"redis.password: is missing beside the username; write file:/path or env:NAME"}},
		{"a username of the sentinels without password", "redis: {master_name: m, sentinel_username: u}\n", []string{"redis.sentinel_password: is missing beside the username; write file:/path or env:NAME"}},
		{"a login of sentinels without sentinels", "redis: {sentinel_password: env:PRIVATE}\n", []string{"redis.master_name: is missing beside sentinel_password; write the name the Sentinels know the primary by, or take the login out"}},
		{"a key prefix with a brace", "redis: {key_prefix: \"a{b}\"}\n", []string{`redis.key_prefix (w.yaml:1:9): "a{b}" is not a key prefix; write 1 to 32 of A-Z a-z 0-9 . _ -`}},
		{"a key for Redis without certificate", "redis: {tls: {ca_file: ca, key_file: k}}\n", []string{"redis.tls.cert_file: is missing beside key_file; name the key's certificate"}},
		{"authorities of Redis that are not PEM", "redis: {tls: {ca_file: junk}}\n", []string{`redis.tls.ca_file (w.yaml:1:15): the file "junk" holds no PEM certificate; name a PEM file of the authorities`}},

		// Secrets.
		{"a literal secret", "redis:\n  password: hunter2\n", []string{"redis.password (w.yaml:2:3): the secret is not a file: or env: reference; write file:/path or env:NAME; the secret itself must not stand here"}},
		{"a secret whose variable is not set", "redis: {password: env:GONE}\n", []string{`redis.password (w.yaml:1:9): the environment variable "GONE" is not set; set it, or mend the reference`}},
		{"a secret whose file is not there", "redis: {password: \"file:/gone\"}\n", []string{`redis.password (w.yaml:1:9): the file "/gone" does not exist; create it, or mend the path`}},
		{"a secret whose file is locked", "redis: {password: \"file:/locked\"}\n", []string{`redis.password (w.yaml:1:9): the file "/locked" may not be read by this user; let the worker's user read it`}},

		// Limits.
		{"nothing in flight", "limits: {in_flight: 0}\n", []string{"limits.in_flight (w.yaml:1:10): 0 is not between 1 and 65536; write a number in between"}},
		{"a gateway timeout too short", "limits: {gateway_timeout: 10ms}\n", []string{"limits.gateway_timeout (w.yaml:1:10): 10ms is not between 1s and 5m0s; write a duration in between"}},
		{"a negative gateway timeout", "limits: {gateway_timeout: -1s}\n", []string{"limits.gateway_timeout (w.yaml:1:10): -1s is not between 1s and 5m0s; write a duration in between"}},
		{"a lease of exactly the pass", "limits: {lease: 40s}\n", []string{"limits.lease (w.yaml:1:10): 40s is not between 40s, which is gateway_timeout twice and 10s for settling, and 1h0m0s; write more than 40s, or lower limits.gateway_timeout"}},
		{"a gateway timeout that outgrows the lease", "limits: {gateway_timeout: 30s}\n", []string{"limits.lease: 1m0s is not between 1m10s, which is gateway_timeout twice and 10s for settling, and 1h0m0s; write more than 1m10s, or lower limits.gateway_timeout"}},
		{"a lease too long", "limits: {lease: 2h}\n", []string{"limits.lease (w.yaml:1:10): 2h0m0s is not between 40s, which is gateway_timeout twice and 10s for settling, and 1h0m0s; write more than 40s, or lower limits.gateway_timeout"}},
		{"no drain", "limits: {drain: 0s}\n", []string{"limits.drain (w.yaml:1:10): 0s is not between 100ms and 9s, which the Kafka session timeout of 10s allows; write at least 100ms and at most 9s"}},
		{"a drain as long as the session", "limits: {drain: 10s}\n", []string{"limits.drain (w.yaml:1:10): 10s is not between 100ms and 9s, which the Kafka session timeout of 10s allows; write at least 100ms and at most 9s"}},
		{"a settling time too short", "limits: {settling: 10ms}\n", []string{"limits.settling (w.yaml:1:10): 10ms is not between 1s and 1h0m0s; write a duration in between"}},
		{"a horizon too long", "limits: {horizon: 721h}\n", []string{"limits.horizon (w.yaml:1:10): 721h0m0s is not between 1m0s and 720h0m0s; write a duration in between"}},
		{"a horizon no longer than the longest tier", "limits: {horizon: 1h}\n", []string{"limits.horizon (w.yaml:1:10): 1h0m0s is not longer than the longest retry tier, which is 1h0m0s; raise it, or take the tier out"}},

		// Dedupe and retry.
		{"outcomes forgotten too soon", "dedupe: {outcome_ttl: 1m}\n", []string{"dedupe.outcome_ttl (w.yaml:1:10): 1m0s is shorter than 1h0m0s; write at least 1h0m0s"}},
		{"tombstones no longer than outcomes", "dedupe: {outcome_ttl: 9600h}\n", []string{"dedupe.tombstone_ttl: 9600h0m0s is not between outcome_ttl, which is 9600h0m0s, and 87600h0m0s; write more than dedupe.outcome_ttl, so that old request IDs stay known"}},
		{"tombstones for ever", "dedupe: {tombstone_ttl: 99999h}\n", []string{"dedupe.tombstone_ttl (w.yaml:1:10): 99999h0m0s is not between outcome_ttl, which is 720h0m0s, and 87600h0m0s; write more than dedupe.outcome_ttl, so that old request IDs stay known"}},
		{"no tier", "retry: {tiers: []}\n", []string{"retry.tiers (w.yaml:1:9): there are 0 tiers; write 1 to 16"}},
		{"seventeen tiers", "retry: {tiers: [1s,2s,3s,4s,5s,6s,7s,8s,9s,10s,11s,12s,13s,14s,15s,16s,17s]}\n", []string{"retry.tiers (w.yaml:1:9): there are 17 tiers; write 1 to 16"}},
		{"a tier of part of a second", "retry: {tiers: [1500ms]}\n", []string{"retry.tiers[0] (w.yaml:1:9): 1.5s is not a whole number of seconds between 1s and 24h0m0s; write a delay such as 10s or 1h"}},
		{"a tier of nothing", "retry: {tiers: [0s]}\n", []string{"retry.tiers[0] (w.yaml:1:9): 0s is not a whole number of seconds between 1s and 24h0m0s; write a delay such as 10s or 1h"}},
		{"a tier of days", "retry: {tiers: [1s, 25h]}\nlimits: {horizon: 48h}\n", []string{"retry.tiers[1] (w.yaml:1:9): 25h0m0s is not a whole number of seconds between 1s and 24h0m0s; write a delay such as 10s or 1h"}},
		{"tiers out of order", "retry: {tiers: [1m, 10s]}\n", []string{"retry.tiers[1] (w.yaml:1:9): 10s does not come after 1m0s; sort the tiers and keep each once"}},
		{"a lapse of nothing", "retry: {lapse_after: 0s}\n", []string{"retry.lapse_after (w.yaml:1:9): 0s is not between 1s and 24h0m0s; write a duration in between"}},
		{"a review asked about too seldom", "retry: {review_interval: 721h}\n", []string{"retry.review_interval (w.yaml:1:9): 721h0m0s is not between 1s and 720h0m0s; write a duration in between"}},
		{"a tier twice", "retry: {tiers: [10s, 10s]}\n", []string{"retry.tiers[1] (w.yaml:1:9): 10s does not come after 10s; sort the tiers and keep each once"}},

		// HTTP and log.
		{"an address without port", "http: {listen: localhost}\n", []string{`http.listen (w.yaml:1:8): "localhost" is not host:port; write an address such as 127.0.0.1:9090`}},
		{"a port by name", "http: {listen: \"localhost:http\"}\n", []string{`http.listen (w.yaml:1:8): "localhost:http" is not host:port; write an address such as 127.0.0.1:9090`}},
		{"a port with a zero in front", "http: {listen: \"localhost:080\"}\n", []string{`http.listen (w.yaml:1:8): "localhost:080" is not host:port; write an address such as 127.0.0.1:9090`}},
		{"an IPv6 address that is none", "http: {listen: \"[::zz]:80\"}\n", []string{`http.listen (w.yaml:1:8): "[::zz]:80" is not host:port; write an address such as 127.0.0.1:9090`}},
		{"a notification address without port", "http: {notify_listen: x}\n", []string{`http.notify_listen (w.yaml:1:8): "x" is not host:port; write an address such as 127.0.0.1:9091`}},
		{"one address for both", "http: {notify_listen: \"127.0.0.1:9090\"}\n", []string{`http.notify_listen (w.yaml:1:8): "127.0.0.1:9090" is taken by http.listen, which is "127.0.0.1:9090"; give each its own port`}},
		{"one port for both, once on every interface", "http: {notify_listen: \":9090\"}\n", []string{`http.notify_listen (w.yaml:1:8): ":9090" is taken by http.listen, which is "127.0.0.1:9090"; give each its own port`}},
		{"notifications of a gateway that sends none", "http: {notify_listen: \":9091\"}\n" + eftPayLines, []string{`http.notify_listen (w.yaml:1:8): no account is of a gateway that sends notifications, which only antom does; take it out`}},
		{"an unknown level", "log: {level: loud}\n", []string{`log.level (w.yaml:1:7): "loud" is not known; write one of trace, debug, info, warn, error`}},
		{"an unknown format", "log: {format: xml}\n", []string{`log.format (w.yaml:1:7): "xml" is not known; write one of json, console`}},

		// Trace.
		{"a collector over plain HTTP", "trace: {endpoint: \"http://collector:4318\"}\n", []string{"trace.endpoint (w.yaml:1:9): is http to a host that is not this machine; write https; http is for loopback addresses only"}},
		{"a collector with a password", "trace: {endpoint: \"https://u:hunter2@collector\"}\n", []string{"trace.endpoint (w.yaml:1:9): has a user, a query or a fragment; write scheme, host and path only"}},
		{"a collector without a scheme", "trace: {endpoint: \"collector:4318\"}\n", []string{"trace.endpoint (w.yaml:1:9): is not an https address; write one such as https://host or https://host:8443"}},
		{"more than every refund", "trace: {sample: 1.5}\n", []string{"trace.sample (w.yaml:1:9): 1.5 is not between 0 and 1; write a share such as 0.1; 1 means every refund"}},
		{"less than no refund", "trace: {sample: -0.1}\n", []string{"trace.sample (w.yaml:1:9): -0.1 is not between 0 and 1; write a share such as 0.1; 1 means every refund"}},
		{"authorities of the collector that are not PEM", "trace: {ca_file: junk}\n", []string{`trace.ca_file (w.yaml:1:9): the file "junk" holds no PEM certificate; name a PEM file of the authorities`}},
		{"a literal header", "trace: {headers: [\"authorization: hunter2\"]}\n", []string{"trace.headers (w.yaml:1:9): the secret is not a file: or env: reference; write file:/path or env:NAME; the secret itself must not stand here"}},
		{"an empty header among several", "trace:\n  headers: [env:LOGIN, \"\"]\n", []string{"trace.headers[1] (w.yaml:2:3): is missing; write file:/path or env:NAME"}},
		{"a header without a name", "trace: {headers: env:PRIVATE}\n", []string{"trace.headers[0] (w.yaml:1:9): does not hold a header; write one line there, such as 'authorization: Bearer' and the token"}},
		{"a header of two lines", "trace: {headers: env:LINES}\n", []string{"trace.headers[0] (w.yaml:1:9): does not hold a header; write one line there, such as 'authorization: Bearer' and the token"}},
		{"a header that is not there", "trace: {headers: env:GONE}\n", []string{`trace.headers[0] (w.yaml:1:9): the environment variable "GONE" is not set; set it, or mend the reference`}},

		// Accounts.
		{"no account", "accounts: []\n", []string{"accounts (w.yaml:1:1): there is no account; add at least one to the file that --config names"}},
		{"an account name in capitals", antomWith("name", "name: HK"), []string{`accounts[0].name (w.yaml:2:5): "HK" is not an account name; write 1 to 64 of a-z 0-9 . _ - and begin with a letter or digit`}},
		{"an account name too long", antomWith("name", "name: "+long[:65]), []string{`accounts[0].name (w.yaml:2:5): "` + long[:64] + `…" is not an account name; write 1 to 64 of a-z 0-9 . _ - and begin with a letter or digit`}},
		{"an account name twice", antomLines + strings.TrimPrefix(antomLines, "accounts:\n"), []string{`accounts[1].name (w.yaml:8:5): "hk" is the name of accounts[0] too; give each account its own name`}},
		{"an unknown gateway", antomWith("gateway", "gateway: stripe"), []string{`accounts[0].gateway (w.yaml:3:5): "stripe" is not a known gateway; write antom or eftpay`}},
		{"no gateway", "accounts:\n  - name: hk\n", []string{`accounts[0].gateway (w.yaml:2:5): "" is not a known gateway; write antom or eftpay`}},
		{"a negative rate", antomWith("rate", "rate: -1"), []string{"accounts[0].rate (w.yaml:8:5): -1 is not between 0 and 100000; write calls per second; 0 means no limit"}},
		{"a negative number in flight", antomWith("in_flight", "in_flight: -1"), []string{"accounts[0].in_flight (w.yaml:8:5): -1 is not between 0 and 65536; write a number in between; 0 means limits.in_flight"}},
		{"an account with nothing but its gateway", "accounts:\n  - name: hk\n    gateway: antom\n", []string{
			"accounts[0].base_url (w.yaml:2:5): is not an https address; write one such as https://host or https://host:8443",
			`accounts[0].client_id (w.yaml:2:5): "" is not a client ID; write the one Antom gave you`,
			"accounts[0].private_key (w.yaml:2:5): is missing; write file:/path or env:NAME",
			"accounts[0].antom_public_key (w.yaml:2:5): is missing; write file:/path or env:NAME",
		}},
		{"an eftPay account with nothing but its gateway", "accounts:\n  - name: eft\n    gateway: eftpay\n", []string{
			"accounts[0].base_url (w.yaml:2:5): is not an https address; write one such as https://host or https://host:8443",
			"accounts[0].user_confirm_key (w.yaml:2:5): is not a user_confirm_key; write the one eftPay gave you, 1 to 12 letters and digits",
			"accounts[0].secret (w.yaml:2:5): is missing; write file:/path or env:NAME",
			`accounts[0].currency (w.yaml:2:5): "" is not a currency with two decimals; write its ISO 4217 code, such as HKD`,
		}},
		{"a client ID with a line break", antomWith("client_id", `client_id: "a\nb"`), []string{`accounts[0].client_id (w.yaml:5:5): "a\nb" is not a client ID; write the one Antom gave you`}},
		{"an empty public key among several", antomWith("antom_public_key", `antom_public_key: [env:PUBLIC, ""]`), []string{"accounts[0].antom_public_key (w.yaml:7:5): is missing; write file:/path or env:NAME"}},
		{"a second public key that is not there", antomWith("antom_public_key", "antom_public_key: [env:PUBLIC, env:GONE]"), []string{`accounts[0].antom_public_key[1] (w.yaml:7:5): the environment variable "GONE" is not set; set it, or mend the reference`}},
		{"a literal private key", antomWith("private_key", "private_key: hunter2"), []string{"accounts[0].private_key (w.yaml:6:5): the secret is not a file: or env: reference; write file:/path or env:NAME; the secret itself must not stand here"}},
		{"an empty key version", antomWith("key_version", `key_version: ""`), []string{`accounts[0].key_version (w.yaml:8:5): "" is not a key version; write the one Antom shows beside our key, such as 1`}},
		{"an eftPay setting in an Antom account", antomWith("currency", "currency: HKD"), []string{"accounts[0].currency (w.yaml:8:5): is a setting of the other gateway's accounts; take it out"}},
		{"an eftPay switch that is off in an Antom account", antomWith("inquire_first", "inquire_first: false"), []string{"accounts[0].inquire_first (w.yaml:8:5): is a setting of the other gateway's accounts; take it out"}},
		{"an Antom setting in an eftPay account", eftPayWith("client_id", "client_id: C"), []string{"accounts[0].client_id (w.yaml:8:5): is a setting of the other gateway's accounts; take it out"}},
		{"a user_confirm_key too long", eftPayWith("user_confirm_key", "user_confirm_key: hunter2hunter2"), []string{"accounts[0].user_confirm_key (w.yaml:5:5): is not a user_confirm_key; write the one eftPay gave you, 1 to 12 letters and digits"}},
		{"a currency without decimals", eftPayWith("currency", "currency: JPY"), []string{`accounts[0].currency (w.yaml:7:5): "JPY" is not a currency with two decimals; write its ISO 4217 code, such as HKD`}},
		{"a currency in small letters", eftPayWith("currency", "currency: hkd"), []string{`accounts[0].currency (w.yaml:7:5): "hkd" is not a currency with two decimals; write its ISO 4217 code, such as HKD`}},
		{"a currency that is none", eftPayWith("currency", "currency: XQQ"), []string{`accounts[0].currency (w.yaml:7:5): "XQQ" is not a currency with two decimals; write its ISO 4217 code, such as HKD`}},
		{"an unsigned status", eftPayWith("not_found_status", `not_found_status: ["51", "-13"]`), []string{`accounts[0].not_found_status[1] (w.yaml:8:5): "-13" is not a signed return_status; write 1 to 16 letters and digits; negative codes are never signed`}},

		// Everything at once.
		{"several faults", "kafka: {brokers: [], group: a b}\nlimits:\n  in_flight: many\n  drain: 1m\nlogs: {}\n", []string{
			`limits.in_flight (w.yaml:3:3): "many" is not a whole number; write digits, such as 256`,
			"logs (w.yaml:5:1): the key is unknown; write one of kafka, redis, limits, dedupe, retry, http, log, trace, accounts",
			"kafka.brokers (w.yaml:1:9): there is no address; write at least one host:port",
			`kafka.group (w.yaml:1:22): "a b" is not a group name; write 1 to 200 of A-Z a-z 0-9 . _ -`,
			"limits.drain (w.yaml:4:3): 1m0s is not between 100ms and 9s, which the Kafka session timeout of 10s allows; write at least 100ms and at most 9s",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			scope := WithoutAccounts
			if strings.Contains(tt.file, "accounts") {
				scope = WithAccounts
			}
			h := host{
				env:   map[string]string{"PRIVATE": "hunter2", "PUBLIC": "public", "CONTROL": "hunter2\x01", "LOGIN": "authorization: Bearer hunter2", "LINES": "a: hunter2\r\nb: hunter2"},
				files: map[string]string{"w.yaml": tt.file, "junk": "junk", "ca": "ca"},
				errs:  map[string]error{"/locked": syscall.EACCES},
			}
			cfg, err := Load(parse(t, "-c", "w.yaml"), scope, h.source())
			if err == nil {
				t.Fatalf("accepted: %+v", cfg)
			}
			if diff := cmp.Diff(tt.want, strings.Split(err.Error(), "\n")); diff != "" {
				t.Errorf("faults differ (-want +got):\n%s", diff)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("a secret shows")
			}
			if diff := cmp.Diff(Config{}, cfg, revealed()); diff != "" {
				t.Errorf("a configuration came with the error:\n%s", diff)
			}
		})
	}
}

func TestBaseURLsAreHeldToOnePlainHTTPSAddress(t *testing.T) {
	t.Parallel()
	const (
		notAddress = "is not an https address; write one such as https://host or https://host:8443"
		notPlain   = "has a user, a query or a fragment; write scheme, host and path only"
		notHTTPS   = "is neither https nor http; write an https address"
		notLocal   = "is http to a host that is not this machine; write https; http is for loopback addresses only"
		slash      = "ends in a slash; take the slash out"
		hasPath    = "has a path; write scheme and host only; the client knows the path"
		oddPath    = "has a path that is not plain; write segments of A-Z a-z 0-9 _ - such as /VMP"
	)
	tests := []struct{ url, antom, eftPay string }{
		{"https://open-sea-global.alipay.com", "", ""},
		{"https://host:8443", "", ""},
		{"https://[2001:db8::1]:8443", "", ""},
		{"http://127.0.0.1:8080", "", ""},
		{"http://127.9.9.9", "", ""},
		{"http://[::1]:8080", "", ""},
		{"http://localhost", "", ""},
		{"http://LOCALHOST:1", "", ""},
		{"https://host/VMP", hasPath, ""},
		{"https://host/a/b-c_d", hasPath, ""},
		{"http://127.0.0.1:1/VMP", hasPath, ""},
		{"", notAddress, notAddress},
		{"host", notAddress, notAddress},
		{"host:443", notAddress, notAddress},
		{"https://", notAddress, notAddress},
		{"https:///VMP", notAddress, notAddress},
		{"https:host", notAddress, notAddress},
		{"https://host:", notAddress, notAddress},
		{"https://host:99999", notAddress, notAddress},
		{"https://host:0", notAddress, notAddress},
		{"https://:443", notAddress, notAddress},
		{"https://ho st", notAddress, notAddress},
		{"https://ho%20st", notAddress, notAddress},
		{"https://host%zz", notAddress, notAddress},
		{"https://u:hunter2@host", notPlain, notPlain},
		{"https://host?x=hunter2", notPlain, notPlain},
		{"https://host?", notPlain, notPlain},
		{"https://host#x", notPlain, notPlain},
		{"https://host#", notPlain, notPlain},
		{"ftp://host", notHTTPS, notHTTPS},
		{"http://host", notLocal, notLocal},
		{"http://10.0.0.1", notLocal, notLocal},
		{"http://localhost.example.com", notLocal, notLocal},
		{"http://127.0.0.1.example.com", notLocal, notLocal},
		{"http://0.0.0.0", notLocal, notLocal},
		{"https://host/", slash, slash},
		{"https://host/VMP/", slash, slash},
		{"https://host//VMP", hasPath, oddPath},
		{"https://host/../VMP", hasPath, oddPath},
		{"https://host/V%4dP", hasPath, oddPath},
		{"https://host/V%2FP", hasPath, oddPath},
		{"https://host/V;P", hasPath, oddPath},
	}
	for _, tt := range tests {
		t.Run(tt.url, func(t *testing.T) {
			t.Parallel()
			for _, side := range []struct{ file, want string }{
				{antomWith("base_url", "base_url: \""+tt.url+"\""), tt.antom},
				{eftPayWith("base_url", "base_url: \""+tt.url+"\""), tt.eftPay},
			} {
				h := host{env: map[string]string{"PRIVATE": "x", "PUBLIC": "y"}, files: map[string]string{"w.yaml": side.file}}
				_, err := Load(parse(t, "-c", "w.yaml"), WithAccounts, h.source())
				got := ""
				if err != nil {
					got = strings.TrimPrefix(err.Error(), "accounts[0].base_url (w.yaml:4:5): ")
				}
				if got != side.want {
					t.Errorf("got %q, want %q", got, side.want)
				}
			}
		})
	}
}

func TestAFaultNamesTheVariableOrTheFlagItCameFrom(t *testing.T) {
	t.Parallel()
	h := host{env: map[string]string{
		"REFUND_WORKER_LIMITS_IN_FLIGHT": "many",
		"REFUND_WORKER_LIMITS_DRAIN":     "1m",
		"REFUND_WORKER_REDIS_PASSWORD":   "hunter2",
		"REFUND_WORKER_KAFKA_BROKERS":    "a:1, b",
	}}
	// The file's own reference leads nowhere, but the variable stands above it.
	h.files = map[string]string{"w.yaml": "redis: {password: env:GONE}\n"}
	_, err := Load(parse(t, "--log-level=loud", "-c", "w.yaml"), WithoutAccounts, h.source())
	if err == nil {
		t.Fatal("accepted")
	}
	want := []string{
		"redis.password (variable REFUND_WORKER_REDIS_PASSWORD): the secret is not a file: or env: reference; write file:/path or env:NAME; the secret itself must not stand here",
		`limits.in_flight (variable REFUND_WORKER_LIMITS_IN_FLIGHT): "many" is not a whole number; write digits, such as 256`,
		`kafka.brokers[1] (variable REFUND_WORKER_KAFKA_BROKERS): "b" is not host:port; write a host name or IP address, a colon and a port of 1 to 65535`,
		"limits.drain (variable REFUND_WORKER_LIMITS_DRAIN): 1m0s is not between 100ms and 9s, which the Kafka session timeout of 10s allows; write at least 100ms and at most 9s",
		`log.level (flag --log-level): "loud" is not known; write one of trace, debug, info, warn, error`,
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Errorf("faults differ (-want +got):\n%s", diff)
	}
}

func TestAFileThatCannotBeReadIsNamedWithWhereItWasAskedFor(t *testing.T) {
	t.Parallel()
	h := host{
		env:   map[string]string{"REFUND_WORKER_CONFIG": "/locked"},
		errs:  map[string]error{"/locked": syscall.EACCES, "/dir": syscall.EISDIR},
		files: map[string]string{"/large": strings.Repeat("#", largestFile+1)},
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"-c", "/gone"}, `flag --config: the file "/gone" does not exist; create it, or mend the path`},
		{[]string{"-c", "/dir"}, `flag --config: the file "/dir" cannot be read: is a directory; mend the path or the file`},
		{[]string{"-c", "/large"}, `flag --config: the file "/large" has 1048577 bytes; name one of at most 1048576 bytes`},
		{nil, `variable REFUND_WORKER_CONFIG: the file "/locked" may not be read by this user; let the worker's user read it`},
	} {
		_, err := Load(parse(t, tt.args...), WithoutAccounts, h.source())
		if err == nil || err.Error() != tt.want {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
}

func TestValidateJoinsTheFaultsOfAConfigThatWasNotLoaded(t *testing.T) {
	t.Parallel()
	cfg := defaults()
	if err := cfg.Validate(WithoutAccounts); err != nil {
		t.Fatalf("the defaults: %v", err)
	}
	cfg.Limits.InFlight, cfg.Log.Format = 0, "xml"
	cfg.Accounts = []Account{{
		Name: "hk", Gateway: "antom", BaseURL: "https://host", ClientID: "C", KeyVersion: "1", Currency: "HKD",
		PrivateKey: secret("env:A", "a"), AntomPublicKey: []Secret{secret("env:B", "b")},
	}}
	err := cfg.Validate(WithAccounts)
	if err == nil {
		t.Fatal("accepted")
	}
	want := []string{
		"limits.in_flight: 0 is not between 1 and 65536; write a number in between",
		`log.format: "xml" is not known; write one of json, console`,
		"accounts[0].currency: is a setting of the other gateway's accounts; take it out",
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Errorf("faults differ (-want +got):\n%s", diff)
	}
	var fault *FaultError
	if !errors.As(err, &fault) || fault.Path != "limits.in_flight" {
		t.Errorf("the first fault is %+v", fault)
	}
}

func TestFilesThatLookOddButAreFineLoad(t *testing.T) {
	t.Parallel()
	for name, file := range map[string]string{
		"an empty file":                      "",
		"only comments":                      "# nothing\n",
		"sections whose lines are comments":  "kafka:\n  # group: x\nlimits:\naccounts:\n",
		"a document with its end":            "---\nlog: {level: info}\n...\n",
		"JSON":                               `{"log": {"level": "info"}}`,
		"a lone value for a list":            "kafka: {brokers: \"a:1\"}\n",
		"quoted numbers":                     "limits: {in_flight: \"9\"}\n",
		"addresses of IPv6":                  "kafka: {brokers: [\"[::1]:9092\"]}\nhttp: {listen: \"[::]:80\"}\n",
		"port 0 for both":                    "http: {listen: \"127.0.0.1:0\", notify_listen: \"127.0.0.1:0\"}\n",
		"one port on two addresses":          "http: {listen: \"127.0.0.1:80\", notify_listen: \"10.0.0.1:80\"}\n",
		"a topic prefix of the longest kind": "kafka: {topic_prefix: " + strings.Repeat("x", 231) + "}\n",
		"line ends of DOS":                   "log:\r\n  level: info\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := host{files: map[string]string{"w.yaml": file}}
			if _, err := Load(parse(t, "-c", "w.yaml"), WithoutAccounts, h.source()); err != nil {
				t.Error(err)
			}
		})
	}
}

func FuzzNoFileMakesLoadPanicOrShowItsSecret(f *testing.F) {
	f.Add(antomLines)
	f.Add(eftPayLines)
	f.Add("redis: {password: hunter2}")
	f.Add("a: &x [1, *x]\n<<: *x\n? {b}\n: |\n  c")
	f.Fuzz(func(t *testing.T, file string) {
		h := host{env: map[string]string{"PRIVATE": "s3cr3t-value"}, files: map[string]string{"w.yaml": file}}
		if strings.Contains(file, "s3cr3t") {
			t.Skip("the file itself holds the marker")
		}
		flags := Flags{File: "w.yaml"}
		_, err := Load(flags, WithAccounts, h.source())
		if err == nil {
			return
		}
		for line := range strings.SplitSeq(err.Error(), "\n") {
			if line == "" || !strings.Contains(line, "; ") {
				t.Errorf("a fault is not one line: %q", line)
			}
		}
		if strings.Contains(err.Error(), "s3cr3t-value") {
			t.Errorf("the secret shows: %v", err)
		}
	})
}
