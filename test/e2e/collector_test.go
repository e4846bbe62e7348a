package e2e

import (
	"bytes"
	"compress/gzip"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// otlpReceiver is a collector that keeps what it is sent.
type otlpReceiver struct {
	*httptest.Server

	mu     sync.Mutex
	raw    bytes.Buffer
	logins []string
	self   map[string]string
	spans  []*traces.Span
}

func startReceiver(t *testing.T) *otlpReceiver {
	t.Helper()
	r := &otlpReceiver{self: make(map[string]string)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", func(w http.ResponseWriter, req *http.Request) {
		if err := r.take(req); err != nil {
			t.Errorf("collector: %v", err)
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	r.Server = httptest.NewServer(mux)
	t.Cleanup(r.Close)
	return r
}

func (r *otlpReceiver) take(req *http.Request) error {
	unzipped, err := gzip.NewReader(req.Body)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(unzipped)
	if err != nil {
		return err
	}
	var request collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &request); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.raw.Write(body)
	r.logins = append(r.logins, req.Header.Get("authorization"))
	for _, process := range request.GetResourceSpans() {
		maps.Copy(r.self, texts(process.GetResource().GetAttributes()))
		for _, scope := range process.GetScopeSpans() {
			r.spans = append(r.spans, scope.GetSpans()...)
		}
	}
	return nil
}

// of returns the spans of a trace in the order of their begin.
func (r *otlpReceiver) of(traceID []byte) []*traces.Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(r.spans), func(s *traces.Span) bool { return !bytes.Equal(s.GetTraceId(), traceID) })
	slices.SortStableFunc(list, func(a, b *traces.Span) int {
		return int(int64(a.GetStartTimeUnixNano()) - int64(b.GetStartTimeUnixNano())) //nolint:gosec // two moments of one test
	})
	return list
}

// texts are attributes as texts; numbers have none.
func texts(list []*common.KeyValue) map[string]string {
	m := make(map[string]string, len(list))
	for _, kv := range list {
		m[kv.GetKey()] = kv.GetValue().GetStringValue()
	}
	return m
}
