package dedupe

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"refundworker/refund"
)

func TestAServerThatAnswersAndTakesNoWriteFailsTheProbe(t *testing.T) {
	t.Parallel()
	r, mini := miniStore(t)
	before := mini.Dump()
	if err := r.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, mini.Dump()); diff != "" {
		t.Errorf("the probe left something (-before +after):\n%s", diff)
	}
	mini.SetError("READONLY You can't write against a read only replica.")
	if err := r.Probe(t.Context()); !errors.Is(err, refund.ErrStoreUnavailable) {
		t.Errorf("probe of a replica: %v", err)
	}
}

// What keeps a real server from taking writes shows inside the script, and is nobody's missing right.
func TestARealServerThatTakesNoWriteFailsTheProbeAndLacksNoRight(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"READONLY":   {"--replicaof", "127.0.0.1", "1"},
		"NOREPLICAS": {"--min-replicas-to-write", "1"},
		"OOM":        {"--maxmemory", "1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := openRedis(t, Config{Addresses: []string{startServer(t, args...).Addr}})
			err := r.Probe(t.Context())
			_, right := errors.AsType[*RightsError](err)
			if !errors.Is(err, refund.ErrStoreUnavailable) || right || !strings.Contains(err.Error(), name) {
				t.Errorf("probe: %v, want %s", err, name)
			}
		})
	}
}

// A probe that calls less than a claim would call a Redis fit that refuses claims.
func TestTheProbeCallsWhatTheOtherScriptsCallAndNoMore(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.lua")
	if err != nil || len(files) < 2 {
		t.Fatalf("no scripts: %v", err)
	}
	called := regexp.MustCompile(`redis\.call\('([A-Z]+)'`)
	tried := regexp.MustCompile(`(?m)^try\('([A-Z]+)'`)
	// The schedules are read without a script.
	want, got := map[string]bool{"ZCARD": true, "ZRANGE": true, "ZRANGEBYSCORE": true}, map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range called.FindAllStringSubmatch(string(text), -1) {
			want[call[1]] = true
		}
		for _, call := range tried.FindAllStringSubmatch(string(text), -1) {
			got[call[1]] = true
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("called by the scripts (-) and by the probe (+):\n%s", diff)
	}
}

// least is a user that may do what the store does. It lacks what is named.
func least(lacks string) []string {
	words := strings.Fields("on >pass resetkeys ~refund:layout ~{refund:b*}:* resetchannels -@all +ping +info +config|get +get +set " +
		"+evalsha +script|load +time +del +hset +hmget +hgetall +hdel +pexpire +zadd +zrem +zrangebyscore +zcard +zrange")
	return append([]string{"--user", "least"}, slices.DeleteFunc(words, func(word string) bool { return word == lacks })...)
}

func TestEveryRightThatAClaimNeedsIsAskedFor(t *testing.T) {
	t.Parallel()
	full := startServer(t, least("")...)
	if err := openRedis(t, Config{Addresses: []string{full.Addr}, Username: "least", PasswordFunc: func() string { return "pass" }}).CheckRights(t.Context()); err != nil {
		t.Errorf("with every right: %v", err)
	}
	// The commands that a script calls are named as such; the others are in the server's own words.
	for lacks, inside := range map[string]string{
		"+evalsha":       "",
		"+script|load":   "",
		"~{refund:b*}:*": "",
		"+time":          "TIME",
		"+set":           "SET",
		"+get":           "GET",
		"+del":           "DEL",
		"+hset":          "HSET",
		"+hmget":         "HMGET",
		"+hgetall":       "HGETALL",
		"+hdel":          "HDEL",
		"+pexpire":       "PEXPIRE",
		"+zadd":          "ZADD",
		"+zrem":          "ZREM",
		"+zrangebyscore": "ZRANGEBYSCORE",
		"+zcard":         "ZCARD",
		"+zrange":        "ZRANGE",
	} {
		t.Run(lacks, func(t *testing.T) {
			t.Parallel()
			server := startServer(t, least(lacks)...)
			r := openRedis(t, Config{Addresses: []string{server.Addr}, Username: "least", PasswordFunc: func() string { return "pass" }})
			err := r.CheckRights(t.Context())
			refused, ok := errors.AsType[*RightsError](err)
			switch {
			case inside == "" && !redis.IsPermissionError(err):
				t.Errorf("rights: %v, want NOPERM", err)
			case inside != "" && (!ok || !slices.Equal(refused.Commands, []string{inside}) || !strings.Contains(err.Error(), inside)):
				t.Errorf("rights: %v, want %s refused", err, inside)
			}
			if !errors.Is(err, refund.ErrStoreUnavailable) {
				t.Errorf("%v is no ErrStoreUnavailable: a running worker would not wait", err)
			}
		})
	}
}

// Scripts that are there need no loading, until the server restarts.
func TestTheRightToLoadScriptsIsAskedForWhileTheyAreThere(t *testing.T) {
	t.Parallel()
	server := startServer(t, least("+script|load")...)
	if err := openRedis(t, Config{Addresses: []string{server.Addr}}).CheckRights(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := openRedis(t, Config{Addresses: []string{server.Addr}, Username: "least", PasswordFunc: func() string { return "pass" }})
	if err := r.Probe(t.Context()); err != nil {
		t.Errorf("probe: %v", err)
	}
	if err := r.CheckRights(t.Context()); !redis.IsPermissionError(err) {
		t.Errorf("rights: %v, want NOPERM", err)
	}
}

func TestARightThatOnePrimaryOfAClusterDeniesIsFound(t *testing.T) {
	t.Parallel()
	addresses := startCluster(t)
	nodes := make([]*redis.Client, len(addresses))
	for i, address := range addresses {
		nodes[i] = redis.NewClient(&redis.Options{Addr: address})
		t.Cleanup(func() { _ = nodes[i].Close() })
		setUser := []any{"ACL", "SETUSER"}
		for _, word := range append(least("")[1:], "+cluster|slots", "+command") {
			setUser = append(setUser, word)
		}
		if err := nodes[i].Do(t.Context(), setUser...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	r := openRedis(t, Config{Addresses: addresses, Username: "least", PasswordFunc: func() string { return "pass" }})
	if err := r.CheckRights(t.Context()); err != nil {
		t.Fatalf("with every right: %v", err)
	}
	for i, node := range nodes {
		if err := node.Do(t.Context(), "ACL", "SETUSER", "least", "-hgetall").Err(); err != nil {
			t.Fatal(err)
		}
		if _, refused := errors.AsType[*RightsError](r.Probe(t.Context())); !refused {
			t.Errorf("%s denies HGETALL, and the probe passes", addresses[i])
		}
		if err := node.Do(t.Context(), "ACL", "SETUSER", "least", "+hgetall").Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAProbesAnswerSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		reply []string
		want  string
	}{
		{nil, "<nil>"},
		{[]string{"SET"}, ErrCorrupt.Error() + ": a probe's answer of 1 fields"},
		{[]string{"SET", "MISCONF cannot save"}, "SET in a script: MISCONF cannot save"},
		{[]string{"SET", "The user may not"}, "the redis user may not call SET in scripts: The user may not"},
		{[]string{"GET", "ERR no", "HSET", "NOPERM no"}, "the redis user may not call GET, HSET in scripts: ERR no"},
		{[]string{"GET", "ERR no", "HSET", "OOM no"}, "HSET in a script: OOM no"},
	} {
		if got := fmt.Sprint(readProbe(tc.reply)); got != tc.want {
			t.Errorf("%q: %s, want %s", tc.reply, got, tc.want)
		}
	}
}
