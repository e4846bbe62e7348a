package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func call(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, errs syncBuffer
	code = run(ctx, args, &out, &errs)
	return code, out.String(), errs.String()
}

// syncBuffer is read while it is written.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "refunds.jsonl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheBuiltInSetIsReconciled(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := call(t.Context())
	if code != exitAgrees || !strings.HasSuffix(stdout, "\nreconciled\n") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	for _, kind := range []string{"success", "duplicate", "conflict", "unreadable", "failed", "async", "answer lost", "unknown", "refused", "total"} {
		if !strings.Contains(stdout, "\n"+kind+" ") {
			t.Errorf("the table has no row %q", kind)
		}
	}
}

func TestAnExpectationThatDoesNotHoldIsToldAndExitsWith1(t *testing.T) {
	t.Parallel()
	path := file(t, `{"send":{"schemaVersion":1,"requestId":"rf-1","gateway":"antom","account":"hk-stores","paymentId":"missing-1","amount":{"currency":"HKD","value":"1"}},`+
		`"expect":{"status":"success","code":"REFUNDED"}}`+"\n\n"+
		`{"send":{"schemaVersion":1,"requestId":"rf-2","gateway":"antom","account":"hk-stores","paymentId":"p-1","amount":{"currency":"HKD","value":"1"}},`+
		`"faults":[{"kind":"unknown-before"}],"expect":{"status":"retry-pending","code":"NEEDS_REVIEW"}}`)
	code, stdout, stderr := call(t.Context(), "--file", path, "--timeout", "8s")
	if code != exitFailed {
		t.Errorf("exit %d", code)
	}
	for _, want := range []string{
		"NOT reconciled:",
		"line 1 (rf-1): expected success REFUNDED, got failed PAYMENT_NOT_FOUND",
		"line 3 (rf-2): expected retry-pending NEEDS_REVIEW, got success REFUNDED",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("not told: %s\n%s%s", want, stdout, stderr)
		}
	}
}

func TestAFileThatCannotBeReadExitsWith2AndNamesTheLine(t *testing.T) {
	t.Parallel()
	good := `{"raw":"x"}` + "\n"
	for name, tc := range map[string]struct{ text, want string }{
		"empty":                {"\n\n", "no lines"},
		"not JSON":             {good + "{", ":2:"},
		"unknown key":          {good + `{"raw":"x","tiems":2}`, `:2: json: unknown field "tiems"`},
		"neither send nor raw": {`{"kind":"x"}`, ":1: exactly one of send and raw"},
		"both send and raw":    {`{"raw":"x","send":{}}`, ":1: exactly one of send and raw"},
		"two values":           {`{"raw":"x"} {"raw":"y"}`, ":1: more than one JSON value"},
		"times":                {`{"raw":"x","times":-1}`, ":1: times: -1"},
		"a code not listed":    {`{"raw":"x","expect":{"status":"failed","code":"BAD_LUCK"}}`, `:1: expect: code "BAD_LUCK"`},
		"a code's status":      {`{"raw":"x","expect":{"status":"failed","code":"REFUNDED"}}`, `goes with status "success"`},
		"faults without ID":    {`{"send":[],"faults":[{"kind":"drop-after"}]}`, ":1: faults go with a readable command"},
		"a payment of nothing": {`{"send":{"paymentId":"p"},"payment":{"minor":0,"currency":"HKD"}}`, ":1: payment"},
		"unknown fault":        {`{"send":{},"faults":[{"kind":"explode"}]}`, "explode"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, _, stderr := call(t.Context(), "--file", file(t, tc.text))
			if want := tc.want; !strings.Contains(stderr, want) || code != exitUsage {
				t.Errorf("exit %d, %q, want %q", code, stderr, want)
			}
		})
	}
}

func TestBadUsageExitsWith2AndHelpWith0(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--nonsense"}, {"--file", "nowhere.jsonl"}, {"--timeout", "soon"}, {"stray"}} {
		if code, _, stderr := call(t.Context(), args...); code != exitUsage || stderr == "" {
			t.Errorf("%v: exit %d, %q", args, code, stderr)
		}
	}
	if code, stdout, _ := call(t.Context(), "--help"); code != exitAgrees || !strings.Contains(stdout, "--serve") {
		t.Errorf("--help: exit %d, %q", code, stdout)
	}
}

func TestServeStaysUpUntilItIsTold(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out, errs syncBuffer
	path := file(t, `{"send":{"schemaVersion":1,"requestId":"rf-1","gateway":"antom","account":"hk-stores","paymentId":"p-1","amount":{"currency":"HKD","value":"1"}}}`)
	done := make(chan int, 1)
	go func() { done <- run(ctx, []string{"--serve", "--file", path}, &out, &errs) }()
	for !strings.Contains(out.String(), "kcat -b 127.0.0.1:") {
		select {
		case code := <-done:
			t.Fatalf("ended: exit %d\n%s%s", code, out.String(), errs.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
	select {
	case code := <-done:
		t.Fatalf("--serve did not stay up: exit %d", code)
	case <-time.After(200 * time.Millisecond):
	}
	stop()
	if code := <-done; code != exitAgrees {
		t.Errorf("exit %d\n%s", code, errs.String())
	}
}
