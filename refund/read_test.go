package refund

import (
	"io"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"

	"refundworker/schemas"
)

func TestAPanicOfTheDecoderRefusesTheMessageWithItsOrigin(t *testing.T) {
	t.Parallel()
	p := &Processor{log: zerolog.New(io.Discard), metrics: NewMetrics(prometheus.NewRegistry())}
	m := Message{Topic: "refunds.commands", Partition: 2, Offset: 9, Value: []byte("x")}
	in, err := p.safeRead(m, func() (input, error) { panic("boom") })
	fault, ok := err.(*schemas.DecodeError) //nolint:errorlint // it is what reject looks for, unwrapped
	if !ok || fault.Code != schemas.CodeUnreadable {
		t.Fatalf("error: %v", err)
	}
	if in.state.Origin.String() != "refunds.commands/2/9" || string(in.msg.Value) != "x" {
		t.Errorf("input: %+v", in)
	}
	if testutil.ToFloat64(p.metrics.panics) != 1 {
		t.Error("the panic was not counted")
	}
}
