package dedupe

import (
	"errors"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"refundworker/refund"
)

func TestAServerThatAnswersAndTakesNoWriteFailsTheProbe(t *testing.T) {
	t.Parallel()
	mini := miniredis.RunT(t)
	r, err := New(Config{Addresses: []string{mini.Addr()}, KeyPrefix: "probe"}, zerolog.Nop(), NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if err := r.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	if ttl := mini.TTL("probe:probe"); ttl <= 0 || ttl > probeTTL {
		t.Errorf("the probe's key lives for %v", ttl)
	}
	mini.SetError("READONLY You can't write against a read only replica.")
	if err := r.Probe(t.Context()); !errors.Is(err, refund.ErrStoreUnavailable) {
		t.Errorf("probe of a replica: %v", err)
	}
}
