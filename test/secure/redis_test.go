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
func redisLogin(t *testing.T, redis *realtest.Redis, ca *authority, secret string) string {
	t.Helper()
	return fmt.Sprintf("addresses: [%q], tls: %s, username: %s, password: %q, key_prefix: money",
		redis.Addr, fmtFiles(built.client, ca.file), documentedUser, secretFile(t, secret))
}

func TestTheWorkerWorksOverRedisWithTLSAndTheDocumentedRights(t *testing.T) {
	t.Parallel()
	broker := secureKafka(t)
	redis := secureRedis(t, redisRights(t, password, "money"))
	i := install(t, broker.Addr, kafkatest.Name(t), fmt.Sprintf("brokers: [%q]", broker.Addr),
		redisLogin(t, redis, built.ours, password), password)
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
	calls := regexp.MustCompile(`redis\.call\('([A-Z]+)'`)
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

// A Redis that does not take the worker is waited for, and check says why.
func TestARedisThatRefusesTheWorkerIsNamedInOneLineAndWaitedFor(t *testing.T) {
	t.Parallel()
	broker := secureKafka(t)
	for name, tc := range map[string]struct {
		ca     *authority
		secret string
		// without is a word of the documented ACL that is left out.
		without string
		says    string
	}{
		"wrong authority":     {built.theirs, password, "", "certificate signed by unknown authority"},
		"wrong password":      {built.ours, "not-the-one", "", "WRONGPASS"},
		"no right to ask it":  {built.ours, password, "+ping", "NOPERM"},
		"no right to read it": {built.ours, password, "+get", "NOPERM"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			acl := redisRights(t, password, "money")
			acl = slices.DeleteFunc(acl, func(word string) bool { return word == tc.without })
			redis := secureRedis(t, acl)
			i := install(t, broker.Addr, kafkatest.Name(t), fmt.Sprintf("brokers: [%q]", broker.Addr),
				redisLogin(t, redis, tc.ca, tc.secret), password, "not-the-one")
			if a := i.do(t, "init"); a.code != 0 {
				a.refused(t, 1, "init", tc.says)
			}
			i.do(t, "check").refused(t, 1, tc.says)
			p := i.run(t)
			p.says(t, "waiting for it", `"dependency":"redis"`, tc.says)
			p.stop(t)
		})
	}
}

// Rights that only the scripts need are missed at the first claim: nothing is sent to the gateway, and the refund waits.
func TestAClaimThatRedisDoesNotAllowIsTriedAgainAndNothingIsSent(t *testing.T) {
	t.Parallel()
	broker := secureKafka(t)
	for name, tc := range map[string]struct{ without, says string }{
		"no right to the keys":         {"~{money:b*}:*", "NOPERM"},
		"no right to load the scripts": {"+script|load", "NOPERM"},
		"no right inside the scripts":  {"+hset", "can't run this command"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			acl := redisRights(t, password, "money")
			acl = slices.DeleteFunc(acl, func(word string) bool { return word == tc.without })
			redis := secureRedis(t, acl)
			i := install(t, broker.Addr, kafkatest.Name(t), fmt.Sprintf("brokers: [%q]", broker.Addr),
				redisLogin(t, redis, built.ours, password), password)
			i.must(t, "init")
			p := i.run(t)
			i.command(t, "now")
			p.says(t, "trying again", `"call":"claim"`, tc.says)
			p.stop(t)
			if calls := i.gateway.Calls("now"); len(calls) > 0 {
				t.Errorf("%d calls without a claim", len(calls))
			}
		})
	}
}
