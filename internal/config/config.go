package config

import (
	"time"

	"refundworker/schemas"
)

// SettleAllowance is the part of a lease that belongs to settling and publishing: a lease has to outlast two gateway
// calls (an inquiry and a send) and this, or another worker could take a request over that is still being worked on.
const SettleAllowance = 10 * time.Second

// SessionTimeout is the Kafka session timeout the worker joins its groups with. A drain has to end before it, or the
// broker expels the worker in the middle of one.
const SessionTimeout = 10 * time.Second

// Config is every setting of the worker. The tags are the single source of its flags, variables, file keys and
// defaults; the zero value is not usable, [Load] fills it.
type Config struct {
	Kafka  Kafka  `yaml:"kafka" embed:"" prefix:"kafka-"`
	Redis  Redis  `yaml:"redis" embed:"" prefix:"redis-"`
	Limits Limits `yaml:"limits" embed:"" prefix:"limits-"`
	Dedupe Dedupe `yaml:"dedupe" embed:"" prefix:"dedupe-"`
	Retry  Retry  `yaml:"retry" embed:"" prefix:"retry-"`
	HTTP   HTTP   `yaml:"http" embed:"" prefix:"http-"`
	Log    Log    `yaml:"log" embed:"" prefix:"log-"`
	Trace  Trace  `yaml:"trace" embed:"" prefix:"trace-"`
	// Accounts are the gateway accounts, in the file's order. They come only from the file. Empty: refused where a
	// gateway is needed, see [Scope].
	Accounts []Account `yaml:"accounts" kong:"-"`
}

// Kafka says where the brokers are and what the topics and groups are called.
type Kafka struct {
	// Brokers are host:port. Default 127.0.0.1:9092. Empty is refused.
	Brokers []string `yaml:"brokers" default:"127.0.0.1:9092" help:"Bootstrap brokers, host:port."`
	// Group is the consumer group of the commands; others append .backfill, .retry and .signals. Default refund-worker.
	Group string `yaml:"group" default:"refund-worker" help:"Consumer group of the commands; the other groups append .backfill, .retry and .signals."`
	// TopicPrefix stands before every topic's name. Default refunds.
	TopicPrefix string `yaml:"topic_prefix" default:"refunds" help:"What every topic's name begins with."`
	// Partitions of topics that init creates, 1 to 1000. Default 6.
	Partitions int `yaml:"partitions" default:"6" help:"Partitions of the topics that init creates, 1 to 1000."`
	// Replication is the number of replicas of topics that init creates, 1 to 16. Default 3.
	Replication int `yaml:"replication" default:"3" help:"Replicas of the topics that init creates, 1 to 16."`
	// MinInsync is the number of replicas that have to hold a message before it counts, 1 to Replication. Default 2.
	MinInsync int `yaml:"min_insync" default:"2" help:"Replicas that must hold a message before it counts as written, 1 to replication."`
	// TLS of the broker connections. Zero: plaintext.
	TLS TLS `yaml:"tls" embed:"" prefix:"tls-"`
	// SASL of the broker connections. Zero: none.
	SASL SASL `yaml:"sasl" embed:"" prefix:"sasl-"`
}

// TLS names the files of an encrypted connection. The zero value is plaintext; [TLS.Build] makes it usable.
type TLS struct {
	// CAFile is a PEM file of authorities, or the word system for those of the host. Default empty: plaintext.
	CAFile string `yaml:"ca_file" help:"PEM file of the authorities to trust, or the word system for the host's; empty means plaintext."`
	// CertFile and KeyFile are our PEM certificate and key, both or neither. Default empty: no client certificate.
	CertFile string `yaml:"cert_file" help:"PEM file of our certificate, together with key_file; empty means none."`
	KeyFile  string `yaml:"key_file" help:"PEM file of our certificate's private key."`
}

// SASL is how the worker logs in to the brokers. Without a username there is no login.
type SASL struct {
	// Mechanism is plain, scram-sha-256 or scram-sha-512. Default scram-sha-512.
	Mechanism string `yaml:"mechanism" default:"scram-sha-512" help:"plain, scram-sha-256 or scram-sha-512; used when there is a username."`
	// Username and Password go together. Default empty: no login.
	Username string `yaml:"username" help:"Name to log in with; empty means no login."`
	Password Secret `yaml:"password" help:"Password of the username, as file: or env: reference."`
}

// Redis says where the records are kept.
type Redis struct {
	// Addresses are host:port: one server, the seeds of a cluster, or, with MasterName, the Sentinels.
	// Default 127.0.0.1:6379. Empty is refused.
	Addresses []string `yaml:"addresses" default:"127.0.0.1:6379" help:"Servers, host:port: one, or the seeds of a cluster, or with master_name the Sentinels."`
	// MasterName is the name the Sentinels know the primary by. Default empty: no Sentinel.
	MasterName string `yaml:"master_name" help:"Name the Sentinels know the primary by; empty means no Sentinel."`
	// Username of the ACL user, only with a password. Default empty: the default user.
	Username string `yaml:"username" help:"ACL user; empty means Redis' default user."`
	// Password of the user. Default empty: none.
	Password Secret `yaml:"password" help:"Password, as file: or env: reference; empty means none."`
	// SentinelUsername of the ACL user at the Sentinels, only with SentinelPassword. Default empty: the default user.
	SentinelUsername string `yaml:"sentinel_username" help:"ACL user at the Sentinels, which have users of their own; empty means their default user."`
	// SentinelPassword of that user, only with MasterName. Default empty: the Sentinels are asked without a login.
	SentinelPassword Secret `yaml:"sentinel_password" help:"Password at the Sentinels, as file: or env: reference; empty means they are asked without a login."`
	// TLS of the connections, to Redis and to the Sentinels. Zero: plaintext.
	TLS TLS `yaml:"tls" embed:"" prefix:"tls-"`
	// KeyPrefix stands before every key, 1 to 32 characters. Default refund. Changing it forgets every record.
	KeyPrefix string `yaml:"key_prefix" default:"refund" help:"What every key begins with; changing it forgets every refund."`
}

// Limits bound the work of one process.
type Limits struct {
	// InFlight is how many refunds of one account are at its gateway at once, unless the account says less, 1 to 65536.
	// Default 256.
	InFlight int `yaml:"in_flight" default:"256" help:"Most refunds of one account at its gateway at once, from this process, 1 to 65536."`
	// GatewayTimeout bounds one call of a gateway, 1s to 5m. Default 15s.
	GatewayTimeout time.Duration `yaml:"gateway_timeout" default:"15s" help:"Bound of one gateway call, 1s to 5m."`
	// Lease is how long a claim holds off other workers, up to 1h, and longer than two gateway calls and
	// [SettleAllowance]. Default 60s.
	Lease time.Duration `yaml:"lease" default:"60s" help:"How long a claim holds off other workers: longer than gateway_timeout twice and 10s for settling, at most 1h."`
	// Drain is how long a rebalance or a stop waits for running calls, 100ms to a second less than [SessionTimeout]. Default 2s.
	Drain time.Duration `yaml:"drain" default:"2s" help:"How long a rebalance waits for running calls, 100ms to 9s: the session timeout is 10s."`
	// Settling is how long a gateway without promised idempotency may take until an inquiry shows what it has carried
	// out, 1s to 1h. It counts only after Redis has forgotten. Default 60s.
	Settling time.Duration `yaml:"settling" default:"60s" help:"After Redis forgot: how long eftPay may take until an inquiry shows a refund, 1s to 1h."`
	// Horizon is how long after the first send an unknown outcome goes to review, 1m to 720h. Default 24h.
	Horizon time.Duration `yaml:"horizon" default:"24h" help:"How long after the first send an unknown outcome goes to review, longer than the longest retry tier, at most 720h."`
}

// Dedupe says how long Redis remembers.
type Dedupe struct {
	// OutcomeTTL is how long a settled outcome can be published again word for word, from 1h. Default 720h.
	OutcomeTTL time.Duration `yaml:"outcome_ttl" default:"720h" help:"How long a settled outcome can be published again word for word, from 1h."`
	// TombstoneTTL is how long a settled request ID stays known, more than OutcomeTTL, up to 87600h. Default 9600h.
	TombstoneTTL time.Duration `yaml:"tombstone_ttl" default:"9600h" help:"How long a settled request ID stays known, more than outcome_ttl, at most 87600h."`
}

// Retry is the schedule of commands whose outcome is not known yet.
type Retry struct {
	// Tiers are the constant delays of the retry topics: 1 to 16 ascending whole seconds, each up to 24h.
	// Default 10s, 1m, 10m, 1h. Empty is refused.
	Tiers []time.Duration `yaml:"tiers" default:"10s,1m,10m,1h" help:"Delays of the retry topics: 1 to 16, ascending, whole seconds, each at most 24h."`
	// LapseAfter is how long after its due time a waiting refund is taken up without its retry copy, 1s to 24h.
	// Default 10m.
	LapseAfter time.Duration `yaml:"lapse_after" default:"10m" help:"How long after its due time a waiting refund is taken up without its retry copy, 1s to 24h."`
	// ReviewInterval is how often the gateway is asked again about a refund in review, 1s to 720h. Default 24h.
	ReviewInterval time.Duration `yaml:"review_interval" default:"24h" help:"How often the gateway is asked again about a refund in review, 1s to 720h."`
}

// HTTP says where the worker listens.
type HTTP struct {
	// Listen is the host:port of metrics and health; port 0 lets the system choose. Default 127.0.0.1:9090.
	Listen string `yaml:"listen" default:"127.0.0.1:9090" help:"Address of metrics and health, host:port; an empty host means every interface."`
	// NotifyListen is the host:port of the gateways' notifications. Default empty: not served.
	NotifyListen string `yaml:"notify_listen" help:"Address of the gateways' notifications, host:port; empty means not served."`
}

// Log says what is logged, and how.
type Log struct {
	// Level is trace, debug, info, warn or error. Default info.
	Level string `yaml:"level" default:"info" help:"trace, debug, info, warn or error."`
	// Format is json, or console for people. Default json.
	Format string `yaml:"format" default:"json" help:"json, or console for people."`
}

// Trace says where spans are sent. Without an endpoint there are none.
type Trace struct {
	// Endpoint is the collector's base address for OTLP over HTTP: https, or http to a loopback address, without a
	// trailing slash. Default empty: tracing is off.
	Endpoint string `yaml:"endpoint" help:"Base address of an OpenTelemetry collector (OTLP over HTTP), to which /v1/traces is appended: https, or http to a loopback address; empty means no tracing."`
	// Sample is the share of refunds that are traced, 0 to 1, where the producer has not decided. Default 1.
	Sample float64 `yaml:"sample" default:"1" help:"Share of refunds that are traced, 0 to 1; where a message carries a trace context, its producer has decided."`
	// CAFile is a PEM file of the authorities that sign the collector's certificate. Default empty: those of the host.
	CAFile string `yaml:"ca_file" help:"PEM file of the authorities to trust for the collector; empty means the host's."`
	// Headers are sent with every request to the collector, each a line "name: value". Default empty: none.
	Headers []Secret `yaml:"headers" help:"Headers for the collector, such as a login, each as file: or env: reference to a line 'name: value'."`
}

// Account is one set of gateway credentials and limits. Fields of the other gateway are refused.
type Account struct {
	// Name is how commands, records and logs call it: 1 to 64 characters, unique, for ever.
	Name string `yaml:"name" help:"Name in commands and outcomes, unique: 1 to 64 of a-z 0-9 . _ - and not a sign first."`
	// Gateway is antom or eftpay.
	Gateway schemas.Gateway `yaml:"gateway" help:"antom or eftpay."`
	// BaseURL is https, or http to a loopback address; without a trailing slash. eftPay's has a path, such as /VMP.
	BaseURL string `yaml:"base_url" help:"https address of the gateway without a trailing slash; http only to a loopback address."`
	// InFlight is how many refunds of this account are at its gateway at once, from this process. Default 0, which means limits.in_flight, as does more.
	InFlight int `yaml:"in_flight" default:"0" help:"Refunds at once for this account; 0, or more than limits.in_flight, means limits.in_flight."`
	// Rate is calls per second of this process, up to 100000. Default 0: no limit.
	Rate float64 `yaml:"rate" default:"0" help:"Calls per second of this process; 0 means no limit."`

	// ClientID is the Antom client ID; required.
	ClientID string `yaml:"client_id" gateway:"antom" help:"Client ID."`
	// PrivateKey signs our requests: PEM or bare base64 DER; required. The gateway's client checks that it parses.
	PrivateKey Secret `yaml:"private_key" gateway:"antom" help:"Our private key, PEM or bare base64 DER, as file: or env: reference."`
	// AntomPublicKey verifies Antom's answers: one, or several for a rotation; required.
	AntomPublicKey []Secret `yaml:"antom_public_key" gateway:"antom" help:"Antom's public key, as reference; a list of several during a rotation."`
	// KeyVersion is the version of our key that Antom shows. Default 1.
	KeyVersion string `yaml:"key_version" gateway:"antom" default:"1" help:"Version of our key as Antom counts it."`

	// UserConfirmKey names the merchant to eftPay, up to 12 characters; required. It is not a secret.
	UserConfirmKey string `yaml:"user_confirm_key" gateway:"eftpay" help:"The merchant's name at eftPay, 1 to 12 characters; not a secret."`
	// Secret signs and verifies; required.
	Secret Secret `yaml:"secret" gateway:"eftpay" help:"Signing secret, as file: or env: reference."`
	// Currency is the ISO 4217 code of the account's one currency, which has two decimals; required.
	Currency string `yaml:"currency" gateway:"eftpay" help:"The account's one currency: an ISO 4217 code with two decimals."`
	// InquireFirst asks for an inquiry before every first send. Default true; false risks a second payment for
	// requests that Redis has forgotten.
	InquireFirst bool `yaml:"inquire_first" gateway:"eftpay" default:"true" help:"Inquire before every first send; false risks paying twice after Redis forgot a request."`
	// ResendAfterAbsent allows a second send once inquiries show no refund. Default false.
	ResendAfterAbsent bool `yaml:"resend_after_absent" gateway:"eftpay" default:"false" help:"Send again once inquiries show no refund; leave it false unless eftPay promised that refund_no is idempotent."`
	// NotFoundStatus are the signed return_status codes that mean there is no such refund. Default empty: none is
	// believed.
	NotFoundStatus []string `yaml:"not_found_status" gateway:"eftpay" help:"Signed return_status codes that prove there is no such refund; empty means none is believed."`
}
