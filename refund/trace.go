package refund

import (
	"context"
	"errors"
	"strconv"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"refundworker/schemas"
)

// Attributes of spans beside those of OpenTelemetry's messaging conventions. All of them are IDs, numbers, or words of
// closed lists: a span leaves the house, so no body, no metadata, no text of a gateway or of an error, and not the
// message's key, which is the payment's ID, is ever put on one.
const (
	attrRequestID = attribute.Key("refund.request_id")
	attrGateway   = attribute.Key("refund.gateway")
	attrAccount   = attribute.Key("refund.account")
	attrHop       = attribute.Key("refund.hop")
	attrAttempt   = attribute.Key("refund.attempt")
	attrVerdict   = attribute.Key("refund.verdict")
	attrStatus    = attribute.Key("refund.status")
	attrCode      = attribute.Key("refund.code")
)

// Names of the steps of a pass.
const (
	stepClaim   = "claim"
	stepInquiry = "inquiry"
	stepSend    = "send"
	stepSettle  = "settle"
	stepWait    = "wait"
	stepReview  = "review"
	stepPublish = "publish"
)

// span is the span of a pass or of one of its steps. The zero value does nothing; while tracing is off every span is
// one, so that nothing is built for nobody.
type span struct{ of trace.Span }

// startPass begins the span of a message, below the trace context of the headers: the message's own, or those of the
// command that a signal is about.
func (p *Processor) startPass(ctx context.Context, m Message, headers []schemas.Header) (context.Context, span) {
	if p.cfg.Tracer == nil {
		return ctx, span{}
	}
	ctx = trace.ContextWithRemoteSpanContext(ctx, remoteContext(ctx, headers))
	ctx, of := p.cfg.Tracer.Start(ctx, "process "+m.Topic, trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
		semconv.MessagingSystemKafka,
		semconv.MessagingOperationName("process"), semconv.MessagingOperationTypeProcess,
		semconv.MessagingConsumerGroupName(m.Group), semconv.MessagingDestinationName(m.Topic),
		semconv.MessagingDestinationPartitionID(strconv.Itoa(m.Partition)), semconv.MessagingKafkaOffsetKey.Int64(m.Offset),
	))
	return ctx, span{of}
}

// startStep begins the span of a step of the pass that ctx belongs to.
func (p *Processor) startStep(ctx context.Context, name string) (context.Context, span) {
	if p.cfg.Tracer == nil {
		return ctx, span{}
	}
	var options []trace.SpanStartOption
	switch name {
	case stepInquiry, stepSend:
		options = append(options, trace.WithSpanKind(trace.SpanKindClient))
	case stepPublish:
		options = append(options, trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
			semconv.MessagingSystemKafka, semconv.MessagingOperationName(stepPublish), semconv.MessagingOperationTypeSend,
		))
	}
	ctx, of := p.cfg.Tracer.Start(ctx, name, options...)
	return ctx, span{of}
}

// passOf is the span of the pass that ctx belongs to.
func passOf(ctx context.Context) span {
	if of := trace.SpanFromContext(ctx); of.IsRecording() {
		return span{of}
	}
	return span{}
}

// end ends the span. Of an error only its kind is told: its text may be anybody's. To wait for somebody is no error.
func (s span) end(ctx context.Context, err error) {
	if s.of == nil {
		return
	}
	if _, held := errors.AsType[*NotYetError](err); err != nil && !held {
		s.of.SetAttributes(semconv.ErrorTypeKey.String(errorType(ctx, err)))
		s.of.SetStatus(codes.Error, "")
	}
	s.of.End()
}

// errorType is the kind of an error, of a closed list; _OTHER is the conventions' word for the rest.
func errorType(ctx context.Context, err error) string {
	switch {
	case errors.Is(err, errPanic):
		return "panic"
	case errors.Is(err, errGatewayTimeout), errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case ctx.Err() != nil:
		return "stopped"
	}
	return semconv.ErrorTypeOther.Value.AsString()
}

// read notes which refund the message is about.
func (s span) read(in input) {
	if s.of != nil {
		s.of.SetAttributes(attrRequestID.String(in.cmd.RequestID), attrGateway.String(string(in.cmd.Gateway)), attrHop.Int(in.state.Hop))
	}
}

// account notes the account that the pass works with.
func (s span) account(acct Account) {
	if s.of != nil {
		s.of.SetAttributes(attrAccount.String(acct.Name))
	}
}

// answered notes what a gateway call proved.
func (s span) answered(acct Account, r Result) {
	if s.of == nil {
		return
	}
	s.of.SetAttributes(attrGateway.String(string(acct.Gateway)), attrAccount.String(acct.Name), attrVerdict.String(r.Verdict.String()))
	if r.Code != "" {
		s.of.SetAttributes(attrCode.String(string(r.Code)))
	}
}

// decided notes what became of the request.
func (s span) decided(d decision) {
	if s.of != nil {
		s.of.SetAttributes(attrAttempt.Int(d.attempt), attrVerdict.String(d.result.Verdict.String()))
	}
	s.told(d.status, d.code)
}

// told notes what the pass publishes about the request; a rejection has no status.
func (s span) told(status schemas.Status, code schemas.Code) {
	if s.of == nil {
		return
	}
	s.of.SetAttributes(attrCode.String(string(code)))
	if status != "" {
		s.of.SetAttributes(attrStatus.String(string(status)))
	}
}

// rejected notes why the message is no command we can take.
func (s span) rejected(fault *schemas.DecodeError) {
	if s.of != nil && fault.RequestID != "" {
		s.of.SetAttributes(attrRequestID.String(fault.RequestID))
	}
	s.told("", fault.Code)
}

// inTrace names the trace in a log line, so that the one can be found from the other.
func inTrace(ctx context.Context) func(*zerolog.Event) {
	return func(line *zerolog.Event) {
		if sc := trace.SpanContextFromContext(ctx); sc.IsSampled() {
			line.Stringer("trace_id", sc.TraceID())
		}
	}
}

// adopt gives a message the context of the pass that ctx belongs to, unless it came with one that can be read. A retry
// copy, a dead letter and the command that the store keeps are the message itself, with its headers: so every pass of a
// refund, and whatever is done with its dead letter, is under the producer's span, or under the first pass.
func (p *Processor) adopt(ctx context.Context, headers []schemas.Header) []schemas.Header {
	if p.cfg.Tracer == nil || remoteContext(ctx, headers).IsValid() {
		return headers
	}
	return append(schemas.WithoutTraceHeaders(headers), contextOf(ctx)...)
}

// carry puts the trace context into the headers of events: they belong to the pass, and carry the span that publishes
// them. While tracing is off they carry what the producer sent.
func (p *Processor) carry(ctx context.Context, in input, events []Event) {
	own := schemas.TraceHeaders(in.msg.Headers)
	if p.cfg.Tracer != nil {
		own = contextOf(ctx)
	}
	for i, e := range events {
		if e.Channel == Results {
			events[i].Headers = append(e.Headers, own...)
		}
	}
}

// contextOf is the trace context of ctx, as headers.
func contextOf(ctx context.Context) []schemas.Header {
	var carrier headerCarrier
	propagation.TraceContext{}.Inject(ctx, &carrier)
	return carrier
}

// remoteContext is the trace context that a message carries; the zero one when it carries none that can be read.
func remoteContext(ctx context.Context, headers []schemas.Header) trace.SpanContext {
	carrier, none := headerCarrier(headers), trace.ContextWithSpanContext(ctx, trace.SpanContext{})
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(none, &carrier))
}

// headerCarrier lets the W3C propagator read and write message headers.
type headerCarrier []schemas.Header

var _ propagation.TextMapCarrier = (*headerCarrier)(nil)

// Get is the value of the first header with the key.
func (c *headerCarrier) Get(key string) string {
	value, _ := schemas.HeaderValue(*c, key)
	return string(value)
}

// Set appends: it is only asked to write into an empty carrier.
func (c *headerCarrier) Set(key, value string) {
	*c = append(*c, schemas.Header{Key: key, Value: []byte(value)})
}

// Keys lists what is there.
func (c *headerCarrier) Keys() []string {
	keys := make([]string, len(*c))
	for i, h := range *c {
		keys[i] = h.Key
	}
	return keys
}
