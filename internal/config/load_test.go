package config

import (
	"bytes"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"refundworker/schemas"
)

// host is a scripted machine: its variables, its files, and the errors some files answer with.
type host struct {
	env   map[string]string
	files map[string]string
	errs  map[string]error
}

func (h host) source() Source {
	return Source{
		LookupEnvFunc: func(name string) (string, bool) {
			text, ok := h.env[name]
			return text, ok
		},
		ReadFileFunc: func(path string) ([]byte, error) {
			if err, ok := h.errs[path]; ok {
				return nil, &fs.PathError{Op: "open", Path: path, Err: err}
			}
			text, ok := h.files[path]
			if !ok {
				return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
			}
			return []byte(text), nil
		},
	}
}

// exampleCLI is how a command embeds the flags.
type exampleCLI struct {
	Flags
	Run struct{} `cmd:"" help:"Work."`
}

// parse runs a command line through kong, as cmd/worker does.
func parse(t *testing.T, args ...string) Flags {
	t.Helper()
	var cli exampleCLI
	parser, err := kong.New(&cli, kong.ValueFormatter(FlagHelp))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(append([]string{"run"}, args...)); err != nil {
		t.Fatal(err)
	}
	return cli.Flags
}

// revealed lets go-cmp look at secrets.
func revealed() cmp.Option {
	return cmp.Comparer(func(a, b Secret) bool { return a.reference == b.reference && a.Reveal() == b.Reveal() })
}

func secret(reference, value string) Secret { return Secret{reference: reference, value: &value} }

func fullHost(t *testing.T) host {
	t.Helper()
	raw, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return host{
		env: map[string]string{"REDIS_PASSWORD": "redis-pw"},
		files: map[string]string{
			"full.yaml":                      string(raw),
			"/run/secrets/kafka":             "kafka-pw\n",
			"/run/secrets/antom_private.key": "-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY-----\n",
			"/run/secrets/antom_public.key":  "MIIB\r\n",
			"/run/secrets/eftpay_secret":     "eft-secret",
			"/run/secrets/collector":         "authorization: Bearer login\n",
		},
	}
}

func defaults() Config {
	return Config{
		Kafka: Kafka{
			Brokers: []string{"127.0.0.1:9092"}, Group: "refund-worker", TopicPrefix: "refunds",
			Partitions: 6, Replication: 3, MinInsync: 2, SASL: SASL{Mechanism: "scram-sha-512"},
		},
		Redis:  Redis{Addresses: []string{"127.0.0.1:6379"}, KeyPrefix: "refund"},
		Limits: Limits{InFlight: 256, GatewayTimeout: 15 * time.Second, Lease: time.Minute, Drain: 2 * time.Second, Settling: time.Minute, Horizon: 24 * time.Hour},
		Dedupe: Dedupe{OutcomeTTL: 720 * time.Hour, TombstoneTTL: 9600 * time.Hour},
		Retry: Retry{
			Tiers:      []time.Duration{10 * time.Second, time.Minute, 10 * time.Minute, time.Hour},
			LapseAfter: 10 * time.Minute, ReviewInterval: 24 * time.Hour,
		},
		HTTP:  HTTP{Listen: "127.0.0.1:9090"},
		Log:   Log{Level: "info", Format: "json"},
		Trace: Trace{Sample: 1},
	}
}

func TestTheFullExampleLoads(t *testing.T) {
	t.Parallel()
	got, err := Load(parse(t, "--config=full.yaml"), WithAccounts, fullHost(t).source())
	if err != nil {
		t.Fatal(err)
	}
	want := defaults()
	want.Kafka.SASL.Username, want.Kafka.SASL.Password = "refund-worker", secret("file:/run/secrets/kafka", "kafka-pw")
	want.Redis.Password = secret("env:REDIS_PASSWORD", "redis-pw")
	want.Trace = Trace{
		Endpoint: "https://collector.example:4318", Sample: 0.25,
		Headers: []Secret{secret("file:/run/secrets/collector", "authorization: Bearer login")},
	}
	want.Accounts = []Account{
		{
			Name: "hk-stores", Gateway: schemas.Antom, BaseURL: "https://open-sea-global.alipay.com", InFlight: 128, Rate: 50,
			ClientID:       "YOUR_CLIENT_ID",
			PrivateKey:     secret("file:/run/secrets/antom_private.key", "-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY-----"),
			AntomPublicKey: []Secret{secret("file:/run/secrets/antom_public.key", "MIIB")},
			KeyVersion:     "1",
		},
		{
			Name: "eftpay-hk", Gateway: schemas.EftPay, BaseURL: "https://vmp.eftpay.com.cn/VMP", InFlight: 256,
			UserConfirmKey: "S0000000", Secret: secret("file:/run/secrets/eftpay_secret", "eft-secret"), Currency: "HKD",
			InquireFirst: true, NotFoundStatus: []string{},
		},
	}
	if diff := cmp.Diff(want, got, revealed()); diff != "" {
		t.Errorf("configuration differs (-want +got):\n%s", diff)
	}
}

func TestTheFullExampleNamesEverySetting(t *testing.T) {
	t.Parallel()
	doc := document{name: "full.yaml", origins: make(map[string]string)}
	if fault := doc.parse([]byte(fullHost(t).files["full.yaml"]), new(Config)); fault != nil {
		t.Fatal(fault)
	}
	for _, row := range rows() {
		named := false
		for _, path := range []string{row.path, strings.Replace(row.path, "[]", "[0]", 1), strings.Replace(row.path, "[]", "[1]", 1)} {
			_, ok := doc.origins[path]
			named = named || ok
		}
		if !named {
			t.Errorf("%s is not in the example", row.path)
		}
	}
}

func TestDefaultsStandWithoutFileFlagsOrEnvironment(t *testing.T) {
	t.Parallel()
	got, err := Load(parse(t), WithoutAccounts, host{}.source())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(defaults(), got, revealed()); diff != "" {
		t.Errorf("configuration differs (-want +got):\n%s", diff)
	}
}

func TestKongShowsTheSameDefaults(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff(defaults(), parse(t).Config, revealed()); diff != "" {
		t.Errorf("defaults differ (-want +kong):\n%s", diff)
	}
}

func TestAHigherSourceWins(t *testing.T) {
	t.Parallel()
	const file, env, flag = "limits: {in_flight: 11}\n", "22", "--limits-in-flight=33"
	tests := []struct {
		name      string
		file, env string
		args      []string
		want      int
	}{
		{name: "default alone", want: 256},
		{name: "file over default", file: file, want: 11},
		{name: "environment over default", env: env, want: 22},
		{name: "flag over default", args: []string{flag}, want: 33},
		{name: "environment over file", file: file, env: env, want: 22},
		{name: "flag over file", file: file, args: []string{flag}, want: 33},
		{name: "flag over environment", env: env, args: []string{flag}, want: 33},
		{name: "flag over environment and file", file: file, env: env, args: []string{flag}, want: 33},
		{name: "a flag that says the default over environment and file", file: file, env: env, args: []string{"--limits-in-flight=256"}, want: 256},
		{name: "an empty variable is not set", file: file, want: 11},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := host{files: map[string]string{"w.yaml": tt.file}, env: map[string]string{"REFUND_WORKER_LIMITS_IN_FLIGHT": tt.env}}
			cfg, err := Load(parse(t, append(tt.args, "--config=w.yaml")...), WithoutAccounts, h.source())
			if err != nil {
				t.Fatal(err)
			}
			if cfg.Limits.InFlight != tt.want {
				t.Errorf("in flight is %d, want %d", cfg.Limits.InFlight, tt.want)
			}
		})
	}
}

func TestTheFlagNamesTheFileBeforeTheVariable(t *testing.T) {
	t.Parallel()
	h := host{
		files: map[string]string{"a.yaml": "log: {level: debug}", "b.yaml": "log: {level: error}"},
		env:   map[string]string{"REFUND_WORKER_CONFIG": "b.yaml"},
	}
	for _, tt := range []struct {
		args []string
		want string
	}{{[]string{"--config", "a.yaml"}, "debug"}, {nil, "error"}} {
		cfg, err := Load(parse(t, tt.args...), WithoutAccounts, h.source())
		if err != nil {
			t.Fatal(err)
		}
		if cfg.Log.Level != tt.want {
			t.Errorf("with %v the level is %s, want %s", tt.args, cfg.Log.Level, tt.want)
		}
	}
}

// sample is a text of every leaf that differs from its default and is valid beside the others.
func sample() map[string]string {
	return map[string]string{
		"kafka.brokers": "a:1,b:2", "kafka.group": "g", "kafka.topic_prefix": "p", "kafka.partitions": "7",
		"kafka.replication": "5", "kafka.min_insync": "4", "kafka.tls.ca_file": "ca.pem", "kafka.tls.cert_file": "cert.pem",
		"kafka.tls.key_file": "key.pem", "kafka.sasl.mechanism": "plain", "kafka.sasl.username": "u", "kafka.sasl.password": "env:PW",
		"redis.addresses": "c:3", "redis.master_name": "m", "redis.username": "u", "redis.password": "env:PW",
		"redis.sentinel_username": "s", "redis.sentinel_password": "env:PW",
		"redis.tls.ca_file": "ca.pem", "redis.tls.cert_file": "cert.pem", "redis.tls.key_file": "key.pem", "redis.key_prefix": "k",
		"limits.in_flight": "8", "limits.gateway_timeout": "5s", "limits.lease": "30s", "limits.drain": "1s", "limits.settling": "30s",
		"limits.horizon":     "12h",
		"dedupe.outcome_ttl": "2h", "dedupe.tombstone_ttl": "3h", "retry.tiers": "1s,2s", "retry.lapse_after": "2m",
		"retry.review_interval": "36h", "http.listen": ":1", "http.notify_listen": ":2",
		"log.level": "warn", "log.format": "console", "trace.endpoint": "http://localhost:4318", "trace.sample": "0.5",
		"trace.ca_file": "ca.pem", "trace.headers": "env:LINE,env:LINE",
	}
}

func TestEverySettingCanComeFromFlagVariableAndFile(t *testing.T) {
	t.Parallel()
	ca, cert, key := certificate(t)
	machine := host{
		env:   map[string]string{"PW": "pw", "LINE": "a: b"},
		files: map[string]string{"ca.pem": ca, "cert.pem": cert, "key.pem": key},
	}
	asFlags, asEnv, asFile := []string{}, host{env: map[string]string{"PW": "pw", "LINE": "a: b"}, files: machine.files}, map[string][]string{}
	texts := sample()
	leaves := rows()[:len(texts)]
	for _, row := range leaves {
		text, ok := texts[row.path]
		if !ok {
			t.Fatalf("the sample lacks %s", row.path)
		}
		asFlags = append(asFlags, "--"+row.flag+"="+text)
		asEnv.env[row.env] = text
		section, name, _ := strings.Cut(row.path, ".")
		if sub, leaf, nested := strings.Cut(name, "."); nested {
			section, name = section+"."+sub, leaf
		}
		if strings.Contains(text, ",") {
			text = "[" + text + "]"
		}
		asFile[section] = append(asFile[section], name+": \""+text+"\"")
		if strings.HasPrefix(text, "[") {
			asFile[section][len(asFile[section])-1] = name + ": " + text
		}
	}
	var file bytes.Buffer
	for _, section := range []string{"kafka", "redis", "limits", "dedupe", "retry", "http", "log", "trace"} {
		file.WriteString(section + ":\n")
		for _, line := range asFile[section] {
			file.WriteString("  " + line + "\n")
		}
		for _, sub := range []string{"tls", "sasl"} {
			if lines := asFile[section+"."+sub]; len(lines) > 0 {
				file.WriteString("  " + sub + ": {" + strings.Join(lines, ", ") + "}\n")
			}
		}
	}
	machine.files["w.yaml"] = file.String()

	fromFlags, err := Load(parse(t, asFlags...), WithoutAccounts, machine.source())
	if err != nil {
		t.Fatal(err)
	}
	fromEnv, err := Load(parse(t), WithoutAccounts, asEnv.source())
	if err != nil {
		t.Fatal(err)
	}
	fromFile, err := Load(parse(t, "-c", "w.yaml"), WithoutAccounts, machine.source())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fromFlags, fromEnv, revealed()); diff != "" {
		t.Errorf("flags and environment differ (-flags +environment):\n%s", diff)
	}
	if diff := cmp.Diff(fromFlags, fromFile, revealed()); diff != "" {
		t.Errorf("flags and file differ (-flags +file):\n%s", diff)
	}
	before, after := defaults(), fromFlags
	for i, s := range leafValues(&before) {
		if cmp.Equal(s.target.Interface(), leafValues(&after)[i].target.Interface(), revealed()) {
			t.Errorf("%s still has its default", s.path)
		}
	}
}

func TestAccountsMayBeMissingOnlyWhereNoGatewayIsNeeded(t *testing.T) {
	t.Parallel()
	if _, err := Load(parse(t), WithoutAccounts, host{}.source()); err != nil {
		t.Errorf("without accounts: %v", err)
	}
	_, err := Load(parse(t), WithAccounts, host{}.source())
	if err == nil || err.Error() != "accounts: there is no account; add at least one to the file that --config names" {
		t.Errorf("with accounts: %v", err)
	}
}

func TestWithoutAccountsTheirSecretsStayUnread(t *testing.T) {
	t.Parallel()
	h := fullHost(t)
	for name := range h.files {
		if strings.Contains(name, "antom") || strings.Contains(name, "eftpay") {
			delete(h.files, name)
		}
	}
	cfg, err := Load(parse(t, "-c", "full.yaml"), WithoutAccounts, h.source())
	if err != nil {
		t.Fatal(err)
	}
	if got := cfg.Accounts[0].PrivateKey.Reveal(); got != "" {
		t.Errorf("the key was read: %q", got)
	}
	if _, err := Load(parse(t, "-c", "full.yaml"), WithAccounts, h.source()); err == nil {
		t.Error("with accounts the missing key files were accepted")
	}
}

func TestAnAccountTakesTheProcessLimitWhenItsOwnIsAbsentOrLarger(t *testing.T) {
	t.Parallel()
	h := fullHost(t)
	cfg, err := Load(parse(t, "-c", "full.yaml", "--limits-in-flight=64"), WithAccounts, h.source())
	if err != nil {
		t.Fatal(err)
	}
	if got := [2]int{cfg.Accounts[0].InFlight, cfg.Accounts[1].InFlight}; got != [2]int{64, 64} {
		t.Errorf("in flight per account is %v", got)
	}
}

func TestHelpNamesTheVariableOfEveryFlag(t *testing.T) {
	t.Parallel()
	var cli exampleCLI
	var out bytes.Buffer
	parser, err := kong.New(&cli, kong.Name("worker"), kong.ValueFormatter(FlagHelp), kong.Writers(&out, &out), kong.Exit(func(int) {}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{"run", "--help"}); err != nil {
		t.Fatal(err)
	}
	help := strings.Join(strings.Fields(out.String()), " ")
	for _, row := range rows() {
		if row.flag == "" {
			continue
		}
		if !strings.Contains(help, "--"+row.flag+"=") || !strings.Contains(help, "($"+row.env+").") {
			t.Errorf("help does not show --%s with $%s", row.flag, row.env)
		}
	}
	if !strings.Contains(help, "($REFUND_WORKER_CONFIG).") {
		t.Error("help does not show the variable of --config")
	}
}

func TestAMisplacedSecretInAFlagIsNotEchoed(t *testing.T) {
	t.Parallel()
	var cli exampleCLI
	parser, err := kong.New(&cli)
	if err != nil {
		t.Fatal(err)
	}
	_, err = parser.Parse([]string{"run", "--redis-password=hunter2"})
	if err == nil || err.Error() != "--redis-password: not a file: or env: reference" {
		t.Errorf("got %v", err)
	}
}

func TestTheCollectorsHeadersAreReadByName(t *testing.T) {
	t.Parallel()
	h := host{env: map[string]string{"LOGIN": "Authorization:  Basic dTpw:x", "TENANT": "X-Scope-OrgID:hk"}}
	cfg, err := Load(parse(t, "--trace-headers=env:LOGIN,env:TENANT"), WithoutAccounts, h.source())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"Authorization": "Basic dTpw:x", "X-Scope-OrgID": "hk"}
	if diff := cmp.Diff(want, cfg.Trace.Header()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
