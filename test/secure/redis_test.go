package secure

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"refundworker/internal/kafka/kafkatest"
	"refundworker/internal/realtest"
)

// secureRedis is a server that speaks TLS only, demands certificates, and knows the given ACL arguments.
func secureRedis(t *testing.T, acl []string) *realtest.Redis {
	t.Helper()
	own, err := built.ours.client(built.client)
	if err != nil {
		t.Fatal(err)
	}
	return realtest.StartRedis(t, realtest.RedisOptions{
		Args: acl,
		TLS: &realtest.RedisTLS{
			CertFile: built.server.cert, KeyFile: built.server.key, CAFile: built.ours.file, Client: own,
		},
	})
}

// redisLogin is the Redis section of a configuration.
func redisLogin(t *testing.T, redis *realtest.Redis, tls, secret string) string {
	t.Helper()
	return fmt.Sprintf("addresses: [%q], tls: %s, username: %s, password: %q, key_prefix: %s",
		redis.Addr, tls, documentedUser, secretFile(t, secret), keyPrefix)
}

func TestTheWorkerWorksOverRedisWithTLSAndTheDocumentedRights(t *testing.T) {
	t.Parallel()
	broker := secureKafka(t)
	redis := secureRedis(t, redisRights(t, password, keyPrefix))
	i := install(t, broker.Addr, kafkatest.Name(t), fmt.Sprintf("brokers: [%q]", broker.Addr),
		redisLogin(t, redis, fmtFiles(built.client, built.ours.file), password), password)
	i.must(t, "init")
	if a := i.do(t, "check"); a.code != 0 || strings.Contains(a.stderr, "not answered") {
		t.Errorf("check: %v", a)
	}
	i.refunds(t)
}

// What a script calls counts as a right of its user. A run does not come by every branch, so the scripts are read.
func TestTheDocumentedRedisRightsAreThoseOfTheScriptsAndTheStoreAndNoMore(t *testing.T) {
	t.Parallel()
	want := map[string]struct{}{}
	for _, name := range []string{"ping", "info", "config|get", "get", "set", "evalsha", "script|load"} {
		want[name] = struct{}{}
	}
	files, err := filepath.Glob("../../dedupe/*.lua")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	calls := regexp.MustCompile(`(?:redis\.p?call|\btry)\('([A-Z]+)'`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range calls.FindAllStringSubmatch(string(text), -1) {
			want[strings.ToLower(call[1])] = struct{}{}
		}
	}
	got := map[string]struct{}{}
	for word := range strings.FieldsSeq(documented(t, "redis")[0]) {
		if name, ok := strings.CutPrefix(word, "+"); ok {
			got[name] = struct{}{}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("commands the worker uses (-) and documented ones (+):\n%s", diff)
	}
}

func TestARedisThatRefusesTheWorkerIsNamedInOneLineAndEndsEveryCommand(t *testing.T) {
	t.Parallel()
	broker := secureKafka(t)
	for name, tc := range map[string]struct {
		// tls and secret are the worker's, without a word of the documented ACL that is left out.
		tls, secret, without string
		says                 []string
		// init does not need what is missing.
		init bool
	}{
		"wrong authority": {
			tls: fmtFiles(built.client, built.theirs.file), secret: password,
			says: []string{"its certificate is not trusted", "redis.tls.ca_file", "certificate signed by unknown authority"},
		},
		"no client certificate": {
			tls: trust(built.ours), secret: password,
			says: []string{"it refuses our side of TLS", "redis.tls.cert_file", "certificate required"},
		},
		"wrong password": {
			secret: "not-the-one", says: []string{"it refuses the login", "redis.username and redis.password", "WRONGPASS"},
		},
		"no right to ask it":           {secret: password, without: "+ping", says: []string{"a right is missing", "ping"}, init: true},
		"no right to read it":          {secret: password, without: "+get", says: []string{"a right is missing"}},
		"no right to the layout":       {secret: password, without: "~money:layout", says: []string{"a right is missing", "NOPERM"}},
		"no right to the keys":         {secret: password, without: "~{money:b*}:*", says: []string{"a right is missing", "NOPERM"}},
		"no right to load the scripts": {secret: password, without: "+script|load", says: []string{"a right is missing", "script|load"}, init: true},
		"no right to call the scripts": {secret: password, without: "+evalsha", says: []string{"a right is missing", "evalsha"}, init: true},
		"no right inside the scripts":  {secret: password, without: "+hset", says: []string{"a right is missing", "HSET"}, init: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			acl := redisRights(t, password, keyPrefix)
			acl = slices.DeleteFunc(acl, func(word string) bool { return word == tc.without })
			redis := secureRedis(t, acl)
			if tc.tls == "" {
				tc.tls = fmtFiles(built.client, built.ours.file)
			}
			i := install(t, broker.Addr, kafkatest.Name(t), fmt.Sprintf("brokers: [%q]", broker.Addr),
				redisLogin(t, redis, tc.tls, tc.secret), password, "not-the-one")
			says := append(tc.says, "redis at "+redis.Addr)
			if a := i.do(t, "init"); tc.init && a.code != 0 {
				t.Errorf("init: %v", a)
			} else if !tc.init {
				a.refused(t, 2, append(says, "init")...)
			}
			i.do(t, "check").refused(t, 2, says...)
			i.run(t).ends(t).refused(t, 2, says...)
		})
	}
}

// administrated is a server on which the test may change the worker's user.
func administrated(t *testing.T) (*realtest.Redis, *redis.Client) {
	t.Helper()
	server := secureRedis(t, append(redisRights(t, password, keyPrefix), "--user", "admin", "on", ">"+password, "~*", "&*", "+@all"))
	own, err := built.ours.client(built.client)
	if err != nil {
		t.Fatal(err)
	}
	admin := redis.NewClient(&redis.Options{Addr: server.Addr, TLSConfig: own, Username: "admin", Password: password})
	t.Cleanup(func() { _ = admin.Close() })
	return server, admin
}

// What refuses a running worker closes intake with the reason, and nothing is sent without a claim.
func TestARedisThatRefusesTheWorkerLaterIsWaitedFor(t *testing.T) {
	t.Parallel()
	broker := secureKafka(t)
	for name, tc := range map[string]struct {
		taken, given []any
		says         string
	}{
		"another password":            {[]any{"resetpass", ">another-one"}, []any{">" + password}, "WRONGPASS"},
		"no right inside the scripts": {[]any{"-hset"}, []any{"+hset"}, "HSET"},
		"no right to the scripts":     {[]any{"-evalsha"}, []any{"+evalsha"}, "evalsha"},
		"no right to the keys":        {[]any{"resetkeys", "~money:layout"}, []any{"~{money:b*}:*"}, "NOPERM"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, admin := administrated(t)
			change := func(words []any) {
				t.Helper()
				if err := admin.Do(t.Context(), append([]any{"ACL", "SETUSER", documentedUser}, words...)...).Err(); err != nil {
					t.Fatal(err)
				}
				// A login is for the life of a connection.
				if err := admin.Do(t.Context(), "CLIENT", "KILL", "USER", documentedUser).Err(); err != nil {
					t.Fatal(err)
				}
			}
			i := install(t, broker.Addr, kafkatest.Name(t), fmt.Sprintf("brokers: [%q]", broker.Addr),
				redisLogin(t, server, fmtFiles(built.client, built.ours.file), password), password, "another-one")
			i.must(t, "init")
			p := i.run(t)
			p.ready(t, true)
			change(tc.taken)
			p.says(t, "intake is closed", tc.says)
			p.ready(t, false)
			i.command(t, "now")
			i.do(t, "check").refused(t, 2, tc.says)
			if calls := i.gateway.Calls("now"); len(calls) > 0 {
				t.Errorf("%d calls without a claim", len(calls))
			}
			change(tc.given)
			i.succeed(t, p, []string{"now"})
			p.ready(t, true)
			p.stop(t)
		})
	}
}
