package observe

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func failing(t *testing.T, h *Health) []string {
	t.Helper()
	err := h.Ready()
	if err == nil {
		return nil
	}
	notReady, ok := errors.AsType[*NotReadyError](err)
	if !ok {
		t.Fatalf("not a NotReadyError: %v", err)
	}
	return notReady.Failing
}

func TestAProcessIsReadyWhileEveryCheckPasses(t *testing.T) {
	t.Parallel()
	h := NewHealth("redis", "kafka")
	steps := []struct {
		name string
		err  error
		want []string
	}{
		{"redis", nil, []string{"kafka"}},
		{"kafka", nil, nil},
		{"kafka", errors.New("away"), []string{"kafka"}},
		{"accounts", errors.New("locked"), []string{"accounts", "kafka"}},
		{"kafka", nil, []string{"accounts"}},
		{"accounts", nil, nil},
	}
	if diff := cmp.Diff([]string{"kafka", "redis"}, failing(t, h)); diff != "" {
		t.Errorf("before any check (-want +got):\n%s", diff)
	}
	for _, step := range steps {
		h.Set(step.name, step.err)
		if diff := cmp.Diff(step.want, failing(t, h)); diff != "" {
			t.Errorf("after %s = %v (-want +got):\n%s", step.name, step.err, diff)
		}
	}
}

func TestAProcessThatCheckedNothingIsNotReady(t *testing.T) {
	t.Parallel()
	err := NewHealth().Ready()
	if err == nil || err.Error() != "not ready: nothing has been checked yet" {
		t.Errorf("got %v", err)
	}
}

func TestANotReadyErrorNamesTheChecksAndNotTheirErrors(t *testing.T) {
	t.Parallel()
	h := NewHealth()
	h.Set("redis", errors.New("hunter2"))
	h.Set("kafka", errors.New("hunter2"))
	if err := h.Ready(); err == nil || err.Error() != "not ready: kafka redis" {
		t.Errorf("got %v", err)
	}
}

func TestHealthIsAMetric(t *testing.T) {
	t.Parallel()
	h := NewHealth("redis")
	h.Set("kafka", nil)
	want := `# HELP refund_worker_check_passing 1 while the named check passes.
# TYPE refund_worker_check_passing gauge
refund_worker_check_passing{check="kafka"} 1
refund_worker_check_passing{check="redis"} 0
# HELP refund_worker_ready 1 while every check passes, as /readyz says.
# TYPE refund_worker_ready gauge
refund_worker_ready 0
`
	if err := testutil.CollectAndCompare(h, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	h.Set("redis", nil)
	if err := testutil.CollectAndCompare(h, strings.NewReader(strings.NewReplacer(`"redis"} 0`, `"redis"} 1`, "ready 0", "ready 1").Replace(want))); err != nil {
		t.Error(err)
	}
}

func TestChecksMayBeSetAndReadAtOnce(t *testing.T) {
	t.Parallel()
	h := NewHealth("a")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				h.Set("a", nil)
				_ = h.Ready()
				_ = testutil.CollectAndCount(h)
			}
		})
	}
	all.Wait()
	if err := h.Ready(); err != nil {
		t.Error(err)
	}
}
