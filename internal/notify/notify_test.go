package notify

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"refundworker/refund"
	"refundworker/schemas"
)

func TestAVerifiedNotificationBecomesASignalWithAllThatItsSignatureCovers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		r := request(func(r *http.Request) {
			r.Header.Set("Cookie", "not kept")
			r.Header.Set("X-Forwarded-For", "192.0.2.1")
		})
		got := b.send(t, r)
		if got.status != http.StatusOK || got.body != acknowledgement || got.header.Get("Content-Type") != "application/json; charset=UTF-8" {
			t.Errorf("answered %+v", got)
		}
		events := b.topic.published()
		if len(events) != 1 {
			t.Fatalf("published %d events", len(events))
		}
		e := events[0]
		s, err := schemas.DecodeSignal(e.Value)
		if err != nil {
			t.Fatal(err)
		}
		want := schemas.Signal{
			SchemaVersion: schemas.SignalVersion, RequestID: "rf-1", Kind: schemas.SignalNotification, OccurredAt: s.OccurredAt,
			Notification: &schemas.Notification{
				Gateway: schemas.Antom, Account: "hk", Path: "/antom/hk?shop=7&x=a%20b", Body: []byte("rf-1"),
				Headers: map[string]string{"signature": "good", "time": r.Header.Get("Time")},
			},
		}
		if diff := cmp.Diff(want, s); diff != "" {
			t.Errorf("signal (-want +got)\n%s", diff)
		}
		if diff := cmp.Diff(schemas.SignalHeaders(s, "/test"), e.Headers); diff != "" || e.Channel != refund.Signals || string(e.Key) != "rf-1" {
			t.Errorf("event in channel %d with key %q (-want +got headers)\n%s", e.Channel, e.Key, diff)
		}
		if diff := cmp.Diff(map[result]int{accepted: 1}, b.counted()); diff != "" {
			t.Errorf("counted (-want +got)\n%s", diff)
		}
	})
}

func TestARedeliveryHasTheEventIDOfTheFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.send(t, request(nil))
		<-time.After(2 * time.Minute)
		b.send(t, request(nil))
		events := b.topic.published()
		if len(events) != 2 {
			t.Fatalf("published %d events", len(events))
		}
		first, _ := schemas.HeaderValue(events[0].Headers, schemas.HeaderCEID)
		again, _ := schemas.HeaderValue(events[1].Headers, schemas.HeaderCEID)
		if string(first) != string(again) || len(first) == 0 {
			t.Errorf("event IDs %q and %q", first, again)
		}
	})
}

func TestWhatIsNoNotificationOfOursIsRefusedAndPublishesNothing(t *testing.T) {
	t.Parallel()
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header[name] = []string{value} }
	}
	sent := func(ago time.Duration) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Time", time.Now().UTC().Add(-ago).Format(time.RFC3339)) }
	}
	target := func(text string) func(*http.Request) { return func(r *http.Request) { aim(r, text) } }
	for name, tc := range map[string]struct {
		change func(*http.Request)
		want   result
		status int
	}{
		"an account that is not known":      {target("/antom/us"), unknownPath, 404},
		"no account":                        {target("/antom/"), unknownPath, 404},
		"another gateway":                   {target("/eftpay/hk"), unknownPath, 404},
		"more path":                         {target("/antom/hk/"), unknownPath, 404},
		"the path in another spelling":      {target("/antom/%68k"), unknownPath, 404},
		"a path that would be cleaned":      {target("/antom/../antom/hk"), unknownPath, 404},
		"the whole server":                  {func(r *http.Request) { r.Method = http.MethodOptions; aim(r, "*") }, unknownPath, 404},
		"a GET":                             {func(r *http.Request) { r.Method = http.MethodGet; write(r, "") }, badMethod, 405},
		"a PUT":                             {func(r *http.Request) { r.Method = http.MethodPut }, badMethod, 405},
		"a forged signature":                {header("Signature", "forged"), unverified, 403},
		"no signature":                      {func(r *http.Request) { r.Header.Del("Signature") }, unverified, 403},
		"two signatures, the first is good": {func(r *http.Request) { r.Header["Signature"] = []string{"good", "good"} }, unverified, 403},
		"older than two days":               {sent(maxAge + time.Second), stale, 403},
		"ahead of our clock":                {sent(-maxAhead - time.Second), stale, 403},
		"a time that cannot be read":        {header("Time", "noon"), stale, 403},
		"two times":                         {func(r *http.Request) { r.Header["Time"] = append(r.Header["Time"], r.Header["Time"]...) }, stale, 403},
		"a body one byte too long":          {func(r *http.Request) { write(r, strings.Repeat("x", schemas.MaxNotificationBytes+1)) }, tooLarge, 413},
		"a body of unknown length, too long": {func(r *http.Request) {
			write(r, strings.Repeat("x", schemas.MaxNotificationBytes+1))
			r.ContentLength = -1
		}, tooLarge, 413},
		"a query that no signal carries": {target("/antom/hk?" + strings.Repeat("x", 1024)), malformed, 400},
		"a request ID of another form":   {func(r *http.Request) { write(r, "no such ID") }, malformed, 400},
		"verified, about something else": {func(r *http.Request) { write(r, "other") }, ignored, 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := setup(t)
				got := b.send(t, request(tc.change))
				if got.status != tc.status || (got.body == acknowledgement) != (tc.status == http.StatusOK) {
					t.Errorf("answered %d %q, want %d", got.status, got.body, tc.status)
				}
				if (got.header.Get("Allow") == http.MethodPost) != (tc.status == http.StatusMethodNotAllowed) {
					t.Errorf("allows %q", got.header.Get("Allow"))
				}
				if diff := cmp.Diff(map[result]int{tc.want: 1}, b.counted()); diff != "" {
					t.Errorf("counted (-want +got)\n%s", diff)
				}
				if events := b.topic.published(); len(events) > 0 {
					t.Errorf("published %d events", len(events))
				}
			})
		})
	}
}

func TestTheLastOfADaysDeliveriesIsTakenAndSoIsAClockThatIsALittleAhead(t *testing.T) {
	t.Parallel()
	for _, ago := range []time.Duration{24*time.Hour + 22*time.Minute, maxAge - time.Minute, -maxAhead + time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			b := setup(t)
			got := b.send(t, request(func(r *http.Request) { r.Header.Set("Time", time.Now().UTC().Add(-ago).Format(time.RFC3339)) }))
			if got.status != http.StatusOK || len(b.topic.published()) != 1 {
				t.Errorf("sent %s ago: %d, %d events", ago, got.status, len(b.topic.published()))
			}
		})
	}
}

func TestTheLogSaysWhyATimeIsNotBelieved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		for _, text := range []string{"noon", "1999-12-29T23:59:59Z", "2000-01-01T00:16:00Z"} { // a bubble's clock begins with 2000
			b.send(t, request(func(r *http.Request) { r.Header.Set("Time", text) }))
		}
		for _, want := range []string{
			"its time is in no known form", "its time is 1999-12-29T23:59:59.000Z, more than 48h0m0s ago",
			"its time is 2000-01-01T00:16:00.000Z, more than 15m0s ahead",
		} {
			if !strings.Contains(b.log.String(), want) {
				t.Errorf("no word of %q in\n%s", want, b.log)
			}
		}
	})
}

func TestWithoutTheBrokersWordNothingIsAcknowledged(t *testing.T) {
	t.Parallel()
	for name, topic := range map[string]*topic{"refused": {err: errTest}, "silent": {hold: make(chan struct{})}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := setup(t)
				b.topic.err = topic.err
				if topic.hold != nil {
					b.topic.hold = make(chan struct{}) // of this bubble
				}
				started := time.Now()
				got := b.send(t, request(nil))
				if got.status != http.StatusServiceUnavailable || got.body != "" || time.Since(started) > publishTimeout {
					t.Errorf("answered %d %q after %s", got.status, got.body, time.Since(started))
				}
				if diff := cmp.Diff(map[result]int{unavailable: 1}, b.counted()); diff != "" {
					t.Errorf("counted (-want +got)\n%s", diff)
				}
			})
		})
	}
}

func TestAConnectionServesOneRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		if got := b.send(t, request(nil)); !got.closes || got.status != http.StatusOK {
			t.Errorf("answered %+v", got)
		}
	})
}

func TestWhoeverIsSlowIsCutOff(t *testing.T) {
	t.Parallel()
	const head = "POST /antom/hk HTTP/1.1\r\nHost: worker\r\nSignature: good\r\n"
	for name, tc := range map[string]struct {
		first, drop string
		within      time.Duration
	}{
		"silent":                  {"", "", headerTimeout},
		"a head without an end":   {head, "X-Y: z\r\n", headerTimeout},
		"a body byte by byte":     {head + "Content-Length: 60000\r\n\r\n", "x", readTimeout},
		"a body that never comes": {head + "Content-Length: 60000\r\n\r\n", "", readTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := setup(t)
				conn, err := b.pipes.dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = conn.Close() }()
				var dripping sync.WaitGroup
				dripping.Go(func() {
					_, err := conn.Write([]byte(tc.first))
					for err == nil && tc.drop != "" {
						<-time.After(time.Second)
						_, err = conn.Write([]byte(tc.drop))
					}
				})
				started := time.Now()
				got := readReply(conn, nil)
				if took := time.Since(started); took > tc.within+time.Second || got.status == http.StatusOK {
					t.Errorf("held for %s, answered %d", took, got.status)
				}
				_ = conn.Close()
				dripping.Wait()
				if events := b.topic.published(); len(events) > 0 {
					t.Errorf("published %d events", len(events))
				}
			})
		})
	}
}

func TestNoMoreThanSoManyRequestsAreHeldAtOnceAndTheOthersWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.topic.hold = make(chan struct{})
		const senders = 3 * maxConns
		var all sync.WaitGroup
		statuses := make(chan int, senders)
		for range senders {
			all.Go(func() { statuses <- b.send(t, request(nil)).status })
		}
		<-time.After(time.Second) // time enough for all of them, as far as the pace goes
		if held := b.topic.held(); held != maxConns {
			t.Errorf("%d requests are held, the limit is %d", held, maxConns)
		}
		close(b.topic.hold)
		all.Wait()
		close(statuses)
		for status := range statuses {
			if status != http.StatusOK {
				t.Errorf("answered %d", status)
			}
		}
		if n := len(b.topic.published()); n != senders {
			t.Errorf("published %d events, want %d", n, senders)
		}
	})
}

func TestAFloodIsTakenAtItsPaceAndTheRestWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		const senders, seconds = 10 * connRate, 3
		started := time.Now()
		var all sync.WaitGroup
		for range senders {
			all.Go(func() { b.send(t, request(func(r *http.Request) { r.Header.Del("Signature") })) })
		}
		<-time.After(seconds * time.Second)
		if taken := b.counted()[unverified]; taken > seconds*connRate+maxConns || taken < seconds*connRate {
			t.Errorf("%d requests in %d s, the pace is %d a second", taken, seconds, connRate)
		}
		all.Wait()
		if took := time.Since(started); took < (senders-maxConns)/connRate*time.Second || b.counted()[unverified] != senders {
			t.Errorf("%d of %d requests in %s", b.counted()[unverified], senders, took)
		}
	})
}

func TestAStopAcceptsNothingNewLetsThePublicationEndAndIsBounded(t *testing.T) {
	t.Parallel()
	for name, answers := range map[string]bool{"the broker answers": true, "it does not": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := setup(t)
				b.topic.hold = make(chan struct{})
				statuses := make(chan int, 1)
				go func() { statuses <- b.send(t, request(nil)).status }()
				silent, err := b.pipes.dial(t.Context()) // somebody who only holds a connection
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = silent.Close() }()
				synctest.Wait()
				stopped := make(chan error, 1)
				started := time.Now()
				go func() { stopped <- b.stop() }()
				synctest.Wait()
				if got := b.send(t, request(nil)); got.status != 0 {
					t.Errorf("a stopping listener answered %d", got.status)
				}
				want := http.StatusServiceUnavailable
				if answers {
					want = http.StatusOK
					close(b.topic.hold)
				}
				if err := <-stopped; err != nil || time.Since(started) > stopTimeout {
					t.Errorf("stopped after %s: %v", time.Since(started), err)
				}
				if status := <-statuses; status != want {
					t.Errorf("the running request was answered %d, want %d", status, want)
				}
			})
		})
	}
}

func TestAFloodOfRefusalsWritesFewLinesAndNothingOfWhatWasSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		for range 500 {
			b.send(t, request(func(r *http.Request) {
				r.Header.Set("Signature", "SECRETSIGNATURE")
				aim(r, "/antom/hk?SECRETQUERY")
				write(r, "SECRETBODY")
			}))
		}
		b.send(t, request(func(r *http.Request) { write(r, "other") }))
		log := b.log.String()
		if lines := strings.Count(log, `"result":"unverified"`); lines != logBurst {
			t.Errorf("%d lines for 500 refusals, want %d:\n%s", lines, logBurst, log)
		}
		if !strings.Contains(log, `"result":"ignored"`) || strings.Contains(log, "SECRET") {
			t.Errorf("one kind of refusal hides another, or the log tells what was sent:\n%s", log)
		}
		if n := b.counted()[unverified]; n != 500 {
			t.Errorf("counted %d", n)
		}
		<-time.After(logPeriod)
		b.send(t, request(func(r *http.Request) { r.Header.Del("Signature") }))
		if lines := strings.Count(b.log.String(), `"result":"unverified"`); lines != logBurst+1 {
			t.Errorf("%d lines after %s", lines, logPeriod)
		}
	})
}

func TestAPathThatIsNotKnownIsShownToWhoeverSetsItUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.send(t, request(func(r *http.Request) { aim(r, "/hooks/antom/hk?token=SECRET"+strings.Repeat("y", 100)) }))
		b.send(t, request(func(r *http.Request) { aim(r, "/"+strings.Repeat("z", 300)) }))
		log := b.log.String()
		if !strings.Contains(log, `"path":"/hooks/antom/hk"`) || strings.Contains(log, "SECRET") || strings.Contains(log, strings.Repeat("z", 128)) {
			t.Errorf("the log says:\n%s", log)
		}
	})
}
