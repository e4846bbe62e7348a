package secure

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"refundworker/internal/kafka/kafkatest"
	"refundworker/internal/realtest"
)

const (
	failoverCommands = 300
	master           = "refunds"
)

// Replication is asynchronous: a promoted replica may lack what the primary had acknowledged. The worker notices that
// another server answers and refills it from the results topic before it goes on: a refund whose outcome was published
// before the failover is known again, and never called again. Any other may have been sent by the pass that the
// failover ended, so the gateway is asked for it first, and has more than one call of it. All commands are then sent once
// more.
func TestAFailoverBySentinelLosesNoRefundAndRepeatsNone(t *testing.T) {
	t.Parallel()
	broker := secureKafka(t)
	for name, tc := range map[string]struct {
		// syncDelay is how many seconds the primary waits before it sends a new replica its data.
		syncDelay string
		inStep    bool
		// protected: TLS and logins everywhere.
		protected bool
	}{
		"with a replica in step":                    {"0", true, false},
		"with a replica in step, TLS and logins":    {"0", true, true},
		"with a replica that never got the records": {"600", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := startWatched(t, tc.syncDelay, tc.protected)
			primary, replica, sentinels := w.primary, w.replica, w.sentinels
			i := install(t, broker.Addr, kafkatest.Name(t), fmt.Sprintf("brokers: [%q]", broker.Addr),
				w.settings(t, redisPassword, sentinelPassword), redisPassword, sentinelPassword)
			if tc.inStep {
				until(t, "the replica's link", 20*time.Second, func(ctx context.Context) bool {
					return strings.Contains(w.info(ctx, t), "master_link_status:up")
				})
			}
			i.must(t, "init")
			i.must(t, "check")
			p := i.run(t)
			ids := make([]string, failoverCommands)
			for n := range ids {
				ids[n] = fmt.Sprintf("rf-%03d", n)
			}
			i.command(t, ids...)
			until(t, "a fifth of the refunds", 45*time.Second, func(context.Context) bool {
				return len(i.gateway.Summary().Refunds) >= failoverCommands/5
			})
			published := i.finals(t.Context(), t)
			if err := primary.Kill(); err != nil {
				t.Fatal(err)
			}
			killed := time.Now()
			before := len(i.gateway.Summary().Refunds)
			until(t, "the promotion", 30*time.Second, func(ctx context.Context) bool {
				addr, err := sentinels.Primary(ctx)
				return err == nil && addr == replica.Addr
			})
			promoted := time.Since(killed)
			i.succeed(t, p, ids)
			if before >= failoverCommands || len(published) == 0 {
				t.Errorf("%d refunds and %d outcomes before the failover: the test proved nothing", before, len(published))
			}

			i.command(t, ids...)
			each := int64(2 * failoverCommands / partitions)
			ctx, cancel := context.WithTimeout(t.Context(), 45*time.Second)
			defer cancel()
			if err := i.admin.AwaitCommitted(ctx, i.prefix, i.prefix+".commands", map[int]int64{0: each, 1: each, 2: each, 3: each}); err != nil {
				t.Fatal(err)
			}
			i.succeed(t, p, ids)
			known := w.records(t)
			t.Logf("killed after %d of %d refunds and %d outcomes, promoted %v later: %d of all records are there in the end; %d refunds asked about before they were sent",
				before, failoverCommands, len(published), promoted.Round(time.Millisecond), known, i.again(ids))
			if known != failoverCommands {
				t.Errorf("%d records of %d", known, failoverCommands)
			}
			if n := i.again(slices.Collect(maps.Keys(published))); n != 0 {
				t.Errorf("%d refunds whose outcomes were published before the failover were called again", n)
			}
			if i.again(ids) == 0 {
				t.Error("no refund was asked about: the failover went unnoticed")
			}
			p.stop(t)
			i.must(t, "check")
		})
	}
}

// The logins of a protected installation, each with a password of its own.
const (
	redisPassword    = "of-the-worker-at-redis"
	sentinelPassword = "of-the-worker-at-the-sentinels"
	replicaPassword  = "of-replicas-at-redis"
	watcherPassword  = "of-sentinels-at-redis"
	ownPassword      = "of-sentinels-at-each-other"
	adminPassword    = "of-the-test"
)

// watched is a primary, its replica and three sentinels.
type watched struct {
	primary, replica *realtest.Redis
	sentinels        *realtest.Sentinels
	protected        bool
	// own is how the test speaks to the replica.
	own *redis.Client
}

func startWatched(t *testing.T, syncDelay string, protected bool) watched {
	t.Helper()
	w := watched{protected: protected}
	var opts realtest.RedisOptions
	var watch realtest.SentinelOptions
	own := &redis.Options{}
	if protected {
		secure, err := built.ours.client(built.client)
		if err != nil {
			t.Fatal(err)
		}
		opts.TLS = &realtest.RedisTLS{CertFile: built.server.cert, KeyFile: built.server.key, CAFile: built.ours.file, Client: secure}
		opts.Args = slices.Concat(redisRights(t, redisPassword, "refund"), []string{"--masteruser", "replica", "--masterauth", replicaPassword},
			aclUser("replica", replicaPassword, "-@all +psync +replconf +ping"),
			aclUser("watcher", watcherPassword, "allchannels -@all +multi +slaveof +ping +exec +subscribe +config|rewrite +role "+
				"+publish +info +client|setname +client|kill +script|kill"),
			aclUser("admin", adminPassword, "~* &* +@all"))
		watch = realtest.SentinelOptions{TLS: opts.TLS, Login: "default " + ownPassword, Lines: []string{
			"sentinel auth-user " + master + " watcher", "sentinel auth-pass " + master + " " + watcherPassword,
			"requirepass " + ownPassword, "sentinel sentinel-pass " + ownPassword,
			"user " + strings.Join(sentinelUser(t, sentinelPassword), " "),
		}}
		own = &redis.Options{TLSConfig: secure, Username: "admin", Password: adminPassword}
	}
	more := opts.Args
	opts.Args = append(slices.Clone(more), "--repl-diskless-sync-delay", syncDelay)
	w.primary = realtest.StartRedis(t, opts)
	host, port, err := net.SplitHostPort(w.primary.Addr)
	if err != nil {
		t.Fatal(err)
	}
	opts.Args = append(slices.Clone(more), "--replicaof", host, port)
	w.replica = realtest.StartRedis(t, opts)
	w.sentinels = realtest.StartSentinels(t, master, w.primary, 3, 1, watch)
	own.Addr = w.replica.Addr
	w.own = redis.NewClient(own)
	t.Cleanup(func() { _ = w.own.Close() })
	return w
}

func aclUser(name, password, rules string) []string {
	return append([]string{"--user", name, "on", ">" + password}, strings.Fields(rules)...)
}

// sentinelUser is the documented user at the sentinels, as a line of their configuration has it.
func sentinelUser(t *testing.T, password string) []string {
	t.Helper()
	words := strings.Fields(documented(t, "sentinel")[0])
	at := slices.Index(words, documentedUser)
	if at < 0 {
		t.Fatalf("the documented Sentinel user is no ACL SETUSER command: %q", words)
	}
	for i, word := range words {
		words[i] = strings.Replace(strings.Trim(word, "'"), "PASSWORD", password, 1)
	}
	return words[at:]
}

// settings are the Redis section of a configuration.
func (w watched) settings(t *testing.T, atRedis, atSentinel string) string {
	t.Helper()
	text := fmt.Sprintf("addresses: [%q, %q, %q], master_name: %s", w.sentinels.Addrs[0], w.sentinels.Addrs[1], w.sentinels.Addrs[2], master)
	if w.protected {
		text += fmt.Sprintf(", tls: %s, username: %s, password: %q, sentinel_username: %s, sentinel_password: %q",
			fmtFiles(built.client, built.ours.file), documentedUser, secretFile(t, atRedis), documentedUser, secretFile(t, atSentinel))
	}
	return text
}

// The two logins are told apart, and so is a name that the sentinels do not know.
func TestSentinelsThatRefuseTheWorkerAreNamedInOneLine(t *testing.T) {
	t.Parallel()
	broker := secureKafka(t)
	w := startWatched(t, "0", true)
	prefix, kafka := kafkatest.Name(t), fmt.Sprintf("brokers: [%q]", broker.Addr)
	good := w.settings(t, redisPassword, sentinelPassword)
	install(t, broker.Addr, prefix, kafka, good).must(t, "init")
	noLogin, _, _ := strings.Cut(good, ", sentinel_username")
	for name, tc := range map[string]struct {
		settings string
		says     []string
	}{
		"wrong password at the sentinels": {
			w.settings(t, redisPassword, "not-the-one"), []string{"sentinel at 127.0.0.1", "it refuses the login", "redis.sentinel_password", "WRONGPASS"},
		},
		"no login at the sentinels": {
			noLogin, []string{"sentinel at 127.0.0.1", "it refuses the login", "redis.sentinel_password", "NOAUTH"},
		},
		"wrong password at Redis": {
			w.settings(t, "not-the-one", sentinelPassword), []string{"redis at " + master, "it refuses the login", "redis.password", "WRONGPASS"},
		},
		"another primary": {
			strings.Replace(good, "master_name: "+master, "master_name: elsewhere", 1),
			[]string{"sentinel at 127.0.0.1", "it watches no such primary", "redis.master_name", "elsewhere"},
		},
		"an authority that nobody has": {
			strings.Replace(good, built.ours.file, built.theirs.file, 1),
			[]string{"sentinel at 127.0.0.1", "its certificate is not trusted", "redis.tls.ca_file"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := install(t, broker.Addr, prefix, kafka, tc.settings, redisPassword, sentinelPassword, "not-the-one")
			i.do(t, "check").refused(t, 2, tc.says...)
			i.run(t).ends(t).refused(t, 2, tc.says...)
		})
	}
}

// again counts the refunds of which the gateway saw more than one call.
func (i *installation) again(ids []string) int {
	n := 0
	for _, id := range ids {
		if len(i.gateway.Calls(id)) > 1 {
			n++
		}
	}
	return n
}

func (w watched) info(ctx context.Context, t *testing.T) string {
	t.Helper()
	text, err := w.own.Info(ctx, "replication").Result()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// records counts the refunds that the replica knows.
func (w watched) records(t *testing.T) int {
	t.Helper()
	found := make(map[string]struct{})
	scan := w.own.Scan(t.Context(), 0, "{refund:b*}:r:*", 1000).Iterator()
	for scan.Next(t.Context()) {
		found[scan.Val()] = struct{}{} // a scan may show a key twice
	}
	if err := scan.Err(); err != nil {
		t.Fatal(err)
	}
	return len(found)
}
