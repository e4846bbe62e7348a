package refund_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"refundworker/refund"
	"refundworker/schemas"
)

const (
	producerTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	producerSpan  = "00f067aa0ba902b7"
	fromProducer  = "00-" + producerTrace + "-" + producerSpan + "-01"
)

// traced is a bundle whose spans are recorded.
func traced(t *testing.T) (*bundle, *tracetest.SpanRecorder) {
	t.Helper()
	spans := tracetest.NewSpanRecorder()
	b := setup(t)
	b.log = &strings.Builder{}
	b.tracer = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("test")
	b.Processor = b.processor(t, b.account())
	return b, spans
}

// logged is what a bundle with a log of its own has logged.
func logged(b *bundle) string { return fmt.Sprint(b.log) }

// from is the bundle's command as a producer with a trace sends it.
func (b *bundle) from(t *testing.T, traceparent string) refund.Message {
	t.Helper()
	m := b.message(t)
	m.Group = "refund-worker"
	m.Headers = []schemas.Header{
		{Key: "x-shop", Value: []byte("kept")},
		{Key: schemas.HeaderTraceparent, Value: []byte(traceparent)},
		{Key: schemas.HeaderTracestate, Value: []byte("shop=1")},
	}
	return m
}

// tree is the ended spans in the order of their begin, each behind what it is below: "producer" is the producer's span,
// and a number is a span of ours.
func tree(spans *tracetest.SpanRecorder) []string {
	ended := spans.Ended()
	slices.SortStableFunc(ended, func(a, b sdktrace.ReadOnlySpan) int {
		return cmp.Or(a.StartTime().Compare(b.StartTime()), cmp.Compare(slices.Index(order(), a.Name()), slices.Index(order(), b.Name())))
	})
	names := map[trace.SpanID]string{{}: "root"}
	for i, s := range ended {
		names[s.SpanContext().SpanID()] = strconv.Itoa(i)
	}
	list := make([]string, len(ended))
	for i, s := range ended {
		parent, ok := names[s.Parent().SpanID()]
		if !ok && s.Parent().SpanID().String() == producerSpan {
			parent = "producer"
		}
		list[i] = parent + " < " + s.Name()
	}
	return list
}

// order settles spans that begin in the same moment of a bubble.
func order() []string {
	return []string{"process " + topic, "process refunds.retry.10s", "process refunds.signals", "claim", "inquiry", "send", "settle", "wait", "review", "publish"}
}

func find(t *testing.T, spans *tracetest.SpanRecorder, name string) sdktrace.ReadOnlySpan {
	t.Helper()
	for _, s := range spans.Ended() {
		if s.Name() == name {
			return s
		}
	}
	t.Fatalf("no span %q", name)
	return nil
}

func attributes(s sdktrace.ReadOnlySpan) map[string]string {
	m := make(map[string]string)
	for _, kv := range s.Attributes() {
		m[string(kv.Key)] = kv.Value.String()
	}
	return m
}

func headerOf(e refund.Event, key string) string {
	value, _ := schemas.HeaderValue(e.Headers, key)
	return string(value)
}

// parentOf is the traceparent of what a span sends.
func parentOf(s sdktrace.ReadOnlySpan) string {
	return fmt.Sprintf("00-%s-%s-%s", s.SpanContext().TraceID(), s.SpanContext().SpanID(), s.SpanContext().TraceFlags())
}

func TestARefundIsOneSpanUnderItsProducerWithAChildForEveryStep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, spans := traced(t)
		b.gateway.refunds = []answer{succeeded()}
		b.run(t, b.from(t, fromProducer))

		whole := find(t, spans, "process refunds.commands")
		wantEqual(t, "spans", []string{
			"producer < process refunds.commands", "0 < claim", "0 < send", "0 < settle", "0 < publish",
		}, tree(spans))
		wantEqual(t, "what the pass tells", map[string]string{
			"messaging.system": "kafka", "messaging.operation.name": "process", "messaging.operation.type": "process",
			"messaging.destination.name": topic, "messaging.destination.partition.id": "3", "messaging.kafka.offset": "1",
			"messaging.consumer.group.name": "refund-worker",
			"refund.request_id":             "rf-1", "refund.gateway": "antom", "refund.account": "hk", "refund.hop": "0",
			"refund.attempt": "1", "refund.verdict": "succeeded", "refund.status": "success", "refund.code": "REFUNDED",
		}, attributes(whole))
		wantEqual(t, "what the send tells", map[string]string{
			"refund.gateway": "antom", "refund.account": "hk", "refund.verdict": "succeeded", "refund.code": "REFUNDED",
		}, attributes(find(t, spans, "send")))
		wantEqual(t, "kinds", []trace.SpanKind{trace.SpanKindConsumer, trace.SpanKindClient, trace.SpanKindInternal, trace.SpanKindProducer},
			[]trace.SpanKind{
				whole.SpanKind(), find(t, spans, "send").SpanKind(), find(t, spans, "settle").SpanKind(), find(t, spans, "publish").SpanKind(),
			})

		out := b.broker.on(refund.Results)[0]
		wantEqual(t, "the outcome's parent", parentOf(find(t, spans, "publish")), headerOf(out, schemas.HeaderTraceparent))
		wantEqual(t, "the outcome's state", "shop=1", headerOf(out, schemas.HeaderTracestate))
		wantEqual(t, "the log names the trace", true, strings.Contains(logged(b), `"trace_id":"`+producerTrace+`"`))
	})
}

func TestEveryHopOfARefundIsUnderItsProducer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, spans := traced(t)
		b.gateway.refunds = []answer{verdict(refund.Pending)}
		b.gateway.inquiries = []answer{verdict(refund.Pending), succeeded()}
		m := b.from(t, fromProducer)
		b.run(t, m)
		for range 2 {
			pass(10 * time.Second)
			c := b.copyMessage(t)
			wantEqual(t, "the copy's context", fromProducer+" shop=1", headerOf(refund.Event{Headers: c.Headers}, schemas.HeaderTraceparent)+
				" "+headerOf(refund.Event{Headers: c.Headers}, schemas.HeaderTracestate))
			b.runCopy(t, c)
		}

		wantEqual(t, "outcomes", []string{"retry-pending IN_PROCESS 1/1", "success REFUNDED 2/3"}, status(b.outcomes(t)))
		wantEqual(t, "spans", []string{
			"producer < process refunds.commands", "0 < claim", "0 < send", "0 < wait", "0 < publish",
			"producer < process refunds.retry.10s", "5 < claim", "5 < inquiry", "5 < wait", "5 < publish",
			"producer < process refunds.retry.10s", "10 < claim", "10 < inquiry", "10 < settle", "10 < publish",
		}, tree(spans))
		for _, e := range b.broker.on(refund.Results) {
			if got := headerOf(e, schemas.HeaderTraceparent); !strings.HasPrefix(got, "00-"+producerTrace+"-") || got == fromProducer {
				t.Errorf("an event carries %s, want a span of ours in the producer's trace", got)
			}
		}
	})
}

// Without a context of its own, or with one that cannot be read, a message is given the first pass's.
func TestARefundWithoutAProducersTraceIsOneTraceAllTheSame(t *testing.T) {
	t.Parallel()
	for name, headers := range map[string][]schemas.Header{
		"none":     nil,
		"nonsense": {{Key: schemas.HeaderTraceparent, Value: []byte("nonsense")}, {Key: schemas.HeaderTracestate, Value: []byte("shop=1")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b, spans := traced(t)
				b.gateway.refunds = []answer{verdict(refund.Pending)}
				b.gateway.inquiries = []answer{verdict(refund.Pending), succeeded()}
				m := b.message(t)
				m.Headers = headers
				b.run(t, m)
				first := parentOf(find(t, spans, "process refunds.commands"))
				for range 2 {
					pass(10 * time.Second)
					c := b.copyMessage(t)
					wantEqual(t, "the copy's contexts", []schemas.Header{{Key: schemas.HeaderTraceparent, Value: []byte(first)}}, schemas.TraceHeaders(c.Headers))
					b.runCopy(t, c)
				}
				wantEqual(t, "spans", []string{
					"root < process refunds.commands", "0 < claim", "0 < send", "0 < wait", "0 < publish",
					"0 < process refunds.retry.10s", "5 < claim", "5 < inquiry", "5 < wait", "5 < publish",
					"0 < process refunds.retry.10s", "10 < claim", "10 < inquiry", "10 < settle", "10 < publish",
				}, tree(spans))
			})
		})
	}
}

// A signal is about a command, and its pass one of the refund's.
func TestAPassThatASignalDrivesIsUnderTheRefundsProducer(t *testing.T) {
	t.Parallel()
	for name, headers := range map[string][]schemas.Header{
		"producer": {{Key: schemas.HeaderTraceparent, Value: []byte(fromProducer)}},
		"0":        nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b, spans := traced(t)
				b.gateway.refunds = []answer{verdict(refund.Pending)}
				m := b.message(t)
				m.Headers = headers
				b.run(t, m)
				b.gateway.inquiries = []answer{succeeded()}
				pass(time.Hour)
				b.runSignal(t, b.signalMessage(t, schemas.SignalRedrive))
				wantEqual(t, "spans", []string{
					name + " < process refunds.signals", "5 < claim", "5 < inquiry", "5 < settle", "5 < publish",
				}, tree(spans)[5:])
				told := attributes(find(t, spans, "process refunds.signals"))
				wantEqual(t, "what and where", "rf-1 REFUNDED 2", told["refund.request_id"]+" "+told["refund.code"]+" "+told["messaging.destination.partition.id"])
			})
		})
	}
}

func TestASignalThatIsFiledIsASpanOfItsOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, spans := traced(t)
		m := b.signalMessage(t, schemas.SignalRedrive)
		m.Value = []byte("{}")
		b.runSignal(t, m)
		wantEqual(t, "spans", []string{"root < process refunds.signals", "0 < publish"}, tree(spans))
		wantEqual(t, "the dead letter", parentOf(find(t, spans, "process refunds.signals")),
			headerOf(b.broker.on(refund.DeadLetters)[0], schemas.HeaderTraceparent))
	})
}

// A command may have 64 headers, and a context of ours is not one of them.
func TestAContextOfOursIsNotCountedAmongTheProducersHeaders(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, _ := traced(t)
		b.gateway.refunds = []answer{succeeded()}
		m := b.message(t)
		m.Headers = slices.Repeat([]schemas.Header{{Key: "x", Value: []byte("y")}}, schemas.MaxHeaders)
		b.run(t, m)
		wantEqual(t, "outcomes", []string{"success REFUNDED 0/1"}, status(b.outcomes(t)))
	})
}

func TestWithoutTracingTheProducersContextIsPassedOnAsItIs(t *testing.T) {
	t.Parallel()
	for _, traceparent := range []string{fromProducer, "nonsense"} {
		t.Run(traceparent, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := setup(t)
				b.log = &strings.Builder{}
				b.Processor = b.processor(t, b.account())
				b.gateway.refunds = []answer{verdict(refund.Pending)}
				m := b.from(t, traceparent)
				b.run(t, m)
				want := m.Headers[1:]
				for _, e := range b.broker.events {
					wantEqual(t, "context", want, schemas.TraceHeaders(e.Headers))
				}
				wantEqual(t, "events", 2, len(b.broker.events))
				wantEqual(t, "no trace in the log", false, strings.Contains(logged(b), "trace_id"))
			})
		})
	}
}

func TestAProducerThatDoesNotSampleIsFollowedAndItsContextGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, spans := traced(t)
		b.gateway.refunds = []answer{succeeded()}
		b.run(t, b.from(t, strings.TrimSuffix(fromProducer, "1")+"0"))
		wantEqual(t, "spans", []string{}, tree(spans))
		parent := headerOf(b.broker.on(refund.Results)[0], schemas.HeaderTraceparent)
		if !strings.HasPrefix(parent, "00-"+producerTrace+"-") || !strings.HasSuffix(parent, "-00") {
			t.Errorf("the outcome carries %s", parent)
		}
		wantEqual(t, "no trace in the log", false, strings.Contains(logged(b), "trace_id"))
	})
}

func TestARejectionIsInTheTraceAndItsDeadLetterKeepsTheProducersContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, spans := traced(t)
		m := b.from(t, fromProducer)
		m.Value = []byte(`{"schemaVersion":1,"requestId":"rf-9","gateway":"nobody"}`)
		b.run(t, m)
		wantEqual(t, "spans", []string{"producer < process refunds.commands", "0 < publish"}, tree(spans))
		told := attributes(find(t, spans, "process refunds.commands"))
		wantEqual(t, "ID and code", "rf-9 SCHEMA_VIOLATION", told["refund.request_id"]+" "+told["refund.code"])
		wantEqual(t, "the rejection", parentOf(find(t, spans, "publish")), headerOf(b.broker.on(refund.Results)[0], schemas.HeaderTraceparent))
		wantEqual(t, "the dead letter", m.Headers, b.broker.on(refund.DeadLetters)[0].Headers[:3])
	})
}

func TestAReviewAndADuplicateAreToldAsSuch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, spans := traced(t)
		b.gateway.refunds = []answer{{Result: refund.Result{Verdict: refund.Unknown, Review: true}}, succeeded()}
		b.run(t, b.from(t, fromProducer))
		wantEqual(t, "a review", []string{"producer < process refunds.commands", "0 < claim", "0 < send", "0 < review", "0 < publish"}, tree(spans))
		wantEqual(t, "code of the review", "NEEDS_REVIEW", attributes(find(t, spans, "process refunds.commands"))["refund.code"])

		spans.Reset()
		b.cmd.RequestID, b.cmd.PaymentID = "rf-2", "pay-2"
		m := b.from(t, fromProducer)
		b.run(t, m)
		spans.Reset()
		b.run(t, m)
		wantEqual(t, "a duplicate", []string{"producer < process refunds.commands", "0 < claim", "0 < publish"}, tree(spans))
		told := attributes(find(t, spans, "process refunds.commands"))
		wantEqual(t, "what was settled", "success REFUNDED", told["refund.status"]+" "+told["refund.code"])
	})
}

// errSecretive is an error whose text nobody should see.
var errSecretive = errors.New("dial tcp: the token is hunter2")

func TestErrorsAreToldByTheirKindOnly(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		prepare func(*bundle)
		span    string
		want    string
	}{
		"a gateway that cannot be reached": {
			func(b *bundle) {
				b.gateway.refunds = []answer{{Result: refund.Result{Verdict: refund.NotSent}, err: errSecretive}}
			}, "send", "_OTHER",
		},
		"a gateway that never answers": {
			func(b *bundle) { b.gateway.refunds = []answer{{delay: time.Hour}} }, "send", "timeout",
		},
		"a panic in a gateway call": {
			func(b *bundle) { b.gateway.refunds = []answer{{panic: "hunter2"}} }, "send", "panic",
		},
		"a panic elsewhere": {
			func(b *bundle) { b.store.claimed = func() { panic("hunter2") } }, "process refunds.commands", "panic",
		},
		"a store that stays away until the stop": {
			func(b *bundle) { b.store.away.Store(true) }, "claim", "stopped",
		},
		"a broker that stays away until the stop": {
			func(b *bundle) { b.gateway.refunds, b.broker.fail = []answer{succeeded()}, 1<<30 }, "publish", "stopped",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b, spans := traced(t)
				tt.prepare(b)
				ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errSecretive)
				defer cancel()
				_ = b.Command(ctx, b.from(t, fromProducer))
				s := find(t, spans, tt.span)
				wantEqual(t, "status", sdktrace.Status{Code: codes.Error}, s.Status())
				wantEqual(t, "kind", tt.want, attributes(s)["error.type"])
				wantEqual(t, "events", 0, len(s.Events()))
			})
		})
	}
}

// Whatever a refund meets, its spans hold what the list allows, and nothing that a person or a gateway wrote.
func TestSpansHoldOnlyWhatTheListAllows(t *testing.T) {
	t.Parallel()
	allowed := map[attribute.Key]bool{"error.type": true}
	for _, key := range []attribute.Key{
		"messaging.system", "messaging.operation.name", "messaging.operation.type", "messaging.destination.name",
		"messaging.destination.partition.id", "messaging.kafka.offset", "messaging.consumer.group.name",
		"refund.request_id", "refund.gateway", "refund.account", "refund.hop", "refund.attempt", "refund.verdict", "refund.status", "refund.code",
	} {
		allowed[key] = true
	}
	synctest.Test(t, func(t *testing.T) {
		b, spans := traced(t)
		const private = "hunter2"
		b.cmd.Reason, b.cmd.Metadata, b.cmd.PaymentID, b.cmd.BatchID = private, map[string]string{"k": private}, private, private
		loud := func(v refund.Verdict, err error) answer {
			return answer{Result: refund.Result{
				Verdict: v, RawCode: private, RawMessage: private, Detail: private, RefundID: private, Alarm: refund.AlarmUnverified,
			}, err: err}
		}
		b.gateway.refunds = []answer{loud(refund.Unknown, errSecretive), loud(refund.Declined, nil)}
		b.gateway.inquiries = []answer{loud(refund.Absent, nil), loud(refund.Declined, nil)}
		b.run(t, b.from(t, fromProducer))
		pass(10 * time.Second)
		b.runCopy(t, b.copyMessage(t))
		rejected := b.from(t, fromProducer)
		rejected.Value = []byte(`{"` + private + `": 1}`)
		b.run(t, rejected)

		ended := spans.Ended()
		if len(ended) < 12 {
			t.Fatalf("%d spans are too few to prove anything", len(ended))
		}
		for _, s := range ended {
			for _, kv := range s.Attributes() {
				if !allowed[kv.Key] || strings.Contains(kv.Value.String(), private) {
					t.Errorf("%s tells %s=%s", s.Name(), kv.Key, kv.Value.String())
				}
			}
			if strings.Contains(s.Name()+s.Status().Description, private) || len(s.Events())+len(s.Links()) > 0 {
				t.Errorf("%s tells more than attributes: %q, %d events, %d links", s.Name(), s.Status().Description, len(s.Events()), len(s.Links()))
			}
		}
	})
}
