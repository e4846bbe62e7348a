package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"refundworker/gateway/sandbox"
	"refundworker/schemas"
)

// notifyPath is the address at Antom's side, with a query that the signature covers.
const notifyPath = "/antom/shop?from=e2e"

// longTier makes the one retry tier longer than any test: what ends a refund that waits is a notification.
func longTier() []string { return []string{"--retry-tiers", "1h"} }

// listening starts a worker that listens for notifications.
func (s *setup) listening(t *testing.T) *process {
	t.Helper()
	if code, out := command(t, nil, append([]string{"init", "--config", s.config}, longTier()...)...); code != 0 {
		t.Fatalf("worker init: exit %d\n%s", code, out)
	}
	w := s.startWorker(t, append(longTier(), "--http-notify-listen", s.notify)...)
	w.ready(t)
	return w
}

// The refunds of both accounts are announced at the address of one: they are of one merchant.
func TestNotificationsCloseAsynchronousRefundsBeforeAnyInquiry(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		t.Helper()
		const refunds = 20
		m := &mix{endings: make(map[string]ending)}
		for i := range refunds {
			id := fmt.Sprintf("rf-%d", i)
			m.command(t, id, "notified-"+id, int64(100+i), ending{status: schemas.Success, code: schemas.CodeRefunded})
		}
		s := newSetup(t, b, sandbox.RefundAgain, nil)
		w := s.listening(t)
		s.produce(t.Context(), t, m.records)
		s.audit(t, m, s.settled(t, m))
		for id := range m.endings {
			if calls := s.gateway.Calls(id); len(calls) != 1 {
				t.Errorf("%s: the gateway was called %d times", id, len(calls))
			}
		}
		if told := s.gateway.Deliveries(); told.Sent != refunds {
			t.Errorf("%d notifications, want %d", told.Sent, refunds)
		}
		if took, code := w.terminate(t, 5*time.Second); code != 0 || took > 2*time.Second {
			t.Errorf("SIGTERM on an idle worker: exit %d after %v, want 0 within 2 s", code, took)
		}
	})
}

func TestAFloodOfBadNotificationsHoldsUpNoRefundAndTakesNoMemory(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		t.Helper()
		const refunds, senders = 100, 100
		m := &mix{endings: make(map[string]ending)}
		for i := range refunds {
			id := fmt.Sprintf("rf-%d", i)
			m.command(t, id, "pay-"+id, int64(100+i), ending{status: schemas.Success, code: schemas.CodeRefunded})
		}
		s := newSetup(t, b, sandbox.RefundAgain, nil)
		w := s.listening(t)
		before := w.metric(t, "process_resident_memory_bytes")
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var all sync.WaitGroup
		for range senders {
			all.Go(func() { flood(ctx, t, "http://"+s.notify+notifyPath) })
		}
		refused := func() float64 { return w.metric(t, `refund_worker_notifications_total{result="unverified"}`) }
		until(t, "the flood", time.Minute, func(context.Context) bool { return refused() > senders })
		started, already := time.Now(), refused()
		s.produce(t.Context(), t, m.records)
		books := s.settled(t, m)
		took, beside := time.Since(started), refused()-already
		after, goroutines := w.metric(t, "process_resident_memory_bytes"), w.metric(t, "go_goroutines")
		stop()
		all.Wait()
		s.audit(t, m, books)
		t.Logf("%d refunds took %s beside %.0f bad requests; resident %.0f to %.0f MB, %.0f goroutines",
			refunds, took.Round(time.Millisecond), beside, before/1e6, after/1e6, goroutines)
		if after-before > 40e6 {
			t.Errorf("resident memory went from %.0f to %.0f MB", before/1e6, after/1e6)
		}
		if rate := beside / took.Seconds(); rate > 300 {
			t.Errorf("%.0f requests a second got through", rate)
		}
	})
}

// flood sends bad requests until ctx ends.
func flood(ctx context.Context, t *testing.T, url string) {
	t.Helper()
	junk := strings.Repeat("x", 4<<10)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(junk))
		if err != nil {
			t.Error(err)
			return
		}
		if resp, err := client.Do(req); err == nil {
			_ = resp.Body.Close()
		}
	}
}

// metric reads one sample of the worker's metrics.
func (p *process) metric(t *testing.T, series string) float64 {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.health+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\S+)$`).FindSubmatch(text)
	if found == nil {
		t.Fatalf("the worker shows no %s", series)
	}
	value, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return value
}
