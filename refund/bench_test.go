package refund_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"refundworker/dedupe"
	"refundworker/refund"
	"refundworker/schemas"
)

// BenchmarkPass is a whole pass over fakes that answer at once: what is left is the core's own cost, and that of tracing.
func BenchmarkPass(b *testing.B) {
	provider := sdktrace.NewTracerProvider()
	unsampled := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))
	for _, bb := range []struct {
		name   string
		tracer trace.Tracer
	}{
		{"off", nil},
		{"unsampled", unsampled.Tracer("test")},
		{"sampled", provider.Tracer("test")},
	} {
		b.Run(bb.name, func(b *testing.B) {
			p, err := refund.New(refund.Config{
				Lease: lease, GatewayTimeout: 15 * time.Second, Grace: grace, Source: "/test", Tracer: bb.tracer,
				Policy: refund.Policy{
					Tiers: []time.Duration{10 * time.Second}, Horizon: 24 * time.Hour, LapseAfter: lapseAfter, ReviewInterval: 24 * time.Hour,
				},
			}, oneAccount{refund.Account{
				Name: "hk", Gateway: schemas.Antom, Client: &gateway{refunds: []answer{succeeded()}}, KeyFunc: strings.Clone,
			}}, dedupe.NewMemory(dedupe.Config{
				KeyPrefix: "refund", MaxLease: lease, OutcomeTTL: time.Hour, TombstoneTTL: 2 * time.Hour,
			}), &broker{}, zerolog.New(io.Discard).Level(zerolog.InfoLevel), refund.NewMetrics(prometheus.NewRegistry()))
			if err != nil {
				b.Fatal(err)
			}
			headers := []schemas.Header{{Key: schemas.HeaderTraceparent, Value: []byte("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")}}
			if bb.name == "sampled" {
				headers[0].Value[54] = '1'
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				value := fmt.Appendf(nil, `{"schemaVersion":1,"requestId":"rf-%d","gateway":"antom","paymentId":"p-%d","amount":{"currency":"HKD","value":"1001"}}`, i, i)
				if err := p.Command(b.Context(), refund.Message{Topic: topic, Group: "g", Offset: int64(i), Value: value, Headers: headers}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
