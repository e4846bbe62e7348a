package dedupe

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"refundworker/refund"

	"github.com/redis/go-redis/v9"
)

func TestM15AnotherLayoutRefusesToStart(t *testing.T) {
	t.Parallel()
	r, server := miniStore(t)
	if err := r.CheckLayout(t.Context()); !errors.Is(err, ErrLayoutMissing) || !strings.Contains(err.Error(), "worker init") {
		t.Fatalf("missing: %v", err)
	}
	for range 2 {
		if err := r.Init(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.CheckLayout(t.Context()); err != nil {
		t.Fatal(err)
	}
	const other = "1 512 fnv1a-64"
	if err := server.Set("refund:layout", other); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{"check": r.CheckLayout(t.Context()), "init": r.Init(t.Context())} {
		var differs *LayoutError
		if !errors.As(err, &differs) || differs.Stored != other || differs.Wanted != layoutText {
			t.Errorf("%s: %v", name, err)
		}
	}
	kept, err := server.Get("refund:layout")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, kept, other)
}

func TestKeysStayWhereTheyWereEverWritten(t *testing.T) {
	t.Parallel()
	k := keys{prefix: "refund"}
	equal(t, layoutText, "2 1024 fnv1a-64")
	equal(t, bucketCount, 1024)
	ref := refund.PaymentRef{Gateway: "antom", PaymentID: "20260101194010800100188000000000001"}
	equal(t, []string{k.record("rf_20261121_000042"), k.outcome("rf_20261121_000042"), k.payment(ref), k.layout()}, []string{
		"{refund:b114}:r:rf_20261121_000042", "{refund:b114}:o:rf_20261121_000042",
		"{refund:b19}:p:antom/20260101194010800100188000000000001", "refund:layout",
	})
	equal(t, digest("text", digestLength), "mC2ePrmW9VnmM_TR")
}

func TestAServerThatMayEvictIsUnfit(t *testing.T) {
	t.Parallel()
	server := startServer(t, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
	r := openRedis(t, Config{Addresses: []string{server.Addr}})
	report, err := r.CheckServer(t.Context())
	if !errors.Is(err, ErrUnfit) || errors.Is(err, refund.ErrStoreUnavailable) {
		t.Fatalf("error %v", err)
	}
	equal(t, report.Nodes[0].Policy, "allkeys-lru")
	equal(t, report.Warnings, nil)
}

func TestWhatAServerLacksIsWarnedOf(t *testing.T) {
	t.Parallel()
	primary := startServer(t, "--appendonly", "no")
	startServer(t, "--replicaof", "127.0.0.1 "+portOf(primary.Addr))
	r := openRedis(t, Config{Addresses: []string{primary.Addr}})
	var report ServerReport
	until(t, "the replica to connect", func() bool {
		var err error
		if report, err = r.CheckServer(t.Context()); err != nil {
			t.Fatal(err)
		}
		return report.Nodes[0].Replicas == "1"
	})
	n := report.Nodes[0]
	if n.Address != primary.Addr || n.Version == NotAnswered || n.Policy != "noeviction" || n.AppendOnly != "0" || n.MinReplicas != "0" ||
		n.MaxMemory != "0" || n.UsedMemory == "0" || n.UsedMemory == NotAnswered {
		t.Fatalf("%+v", n)
	}
	for _, want := range []string{"append-only", "min-replicas-to-write", "maxmemory is not set"} {
		if !slices.ContainsFunc(report.Warnings, func(w string) bool {
			return strings.Contains(w, want) && strings.HasPrefix(w, primary.Addr+": ")
		}) {
			t.Errorf("no warning of %s in %q", want, report.Warnings)
		}
	}
	if err := r.client.ConfigSet(t.Context(), "min-replicas-to-write", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if report, err := r.CheckServer(t.Context()); err != nil || report.Nodes[0].MinReplicas != "1" || len(report.Warnings) != 2 {
		t.Fatalf("%+v, %v", report, err)
	}
}

func TestEveryPrimaryOfAClusterIsChecked(t *testing.T) {
	t.Parallel()
	addresses := slices.Sorted(slices.Values(startCluster(t)))
	r := openRedis(t, Config{Addresses: addresses})
	report, err := r.CheckServer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var checked []string
	for _, n := range report.Nodes {
		checked = append(checked, n.Address)
	}
	equal(t, checked, addresses)
	if err := r.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestWhatAServerDoesNotAnswerIsSaidAndNotGuessed(t *testing.T) {
	t.Parallel()
	refusing := func(t *testing.T) *Redis {
		t.Helper()
		server := startServer(t, "--rename-command", "CONFIG", "", "--rename-command", "INFO", "")
		return openRedis(t, Config{Addresses: []string{server.Addr}})
	}
	for name, open := range map[string]func(*testing.T) *Redis{
		"miniredis":                  func(t *testing.T) *Redis { t.Helper(); r, _ := miniStore(t); return r },
		"redis-server, INFO refused": refusing,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := open(t)
			report, err := r.CheckServer(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			n := report.Nodes[0]
			equal(t, n, NodeReport{
				Address: n.Address, Version: NotAnswered, Policy: NotAnswered, AppendOnly: NotAnswered, Replicas: NotAnswered,
				MinReplicas: NotAnswered, UsedMemory: NotAnswered, MaxMemory: NotAnswered,
			})
			if len(report.Warnings) != 1 || !strings.Contains(report.Warnings[0], "not answered, so not checked: version, maxmemory-policy") {
				t.Fatalf("%q", report.Warnings)
			}
			if _, err := r.MemoryPressure(t.Context()); !errors.Is(err, ErrNotAnswered) || errors.Is(err, refund.ErrStoreUnavailable) {
				t.Fatalf("memory pressure: %v", err)
			}
		})
	}
}

func TestMemoryPressureIsTheUsedShare(t *testing.T) {
	t.Parallel()
	r := openRedis(t, Config{Addresses: []string{startServer(t).Addr}})
	share, err := r.MemoryPressure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	equal(t, share, 0)
	if err := r.client.ConfigSet(t.Context(), "maxmemory", "40mb").Err(); err != nil {
		t.Fatal(err)
	}
	before, err := r.MemoryPressure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.client.Set(t.Context(), "ballast", strings.Repeat("x", 8<<20), 0).Err(); err != nil {
		t.Fatal(err)
	}
	after, err := r.MemoryPressure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if before <= 0 || after-before < 0.18 || after >= 1 {
		t.Fatalf("before %f, after %f", before, after)
	}
}

func TestAFullServerRefusesClaimsAndStaysWhole(t *testing.T) {
	t.Parallel()
	r := openRedis(t, Config{Addresses: []string{startServer(t, "--maxmemory-policy", "noeviction").Addr}})
	p := play{t: t, port: r}
	q := request("a", "t1")
	p.claims(q, refund.ClaimGranted)
	limit := func(bytes string) {
		t.Helper()
		if err := r.client.ConfigSet(t.Context(), "maxmemory", bytes).Err(); err != nil {
			t.Fatal(err)
		}
	}
	limit("1")
	_, err := r.Settle(t.Context(), failed(q, "done"))
	if !errors.Is(err, refund.ErrStoreUnavailable) || !redis.HasErrorPrefix(err, "OOM") {
		t.Fatalf("error %v", err)
	}
	limit("0")
	p.settles(failed(q, "done"), "done")
	p.claims(request("b", "t2", pays("payment of a", 1, 0)), refund.ClaimGranted)
}
