package cutpoints

import (
	"hash/fnv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"refundworker/gateway/antom"
	"refundworker/gateway/eftpay"
	"refundworker/gateway/sandbox"
	"refundworker/schemas"
)

// gatewayKind is a gateway, and for eftPay what it does with a refund_no that it knows, which nobody promises.
type gatewayKind struct {
	title     string
	name      schemas.Gateway
	key       func(string) string
	duplicate sandbox.DuplicateMode
}

func gateways() []gatewayKind {
	return []gatewayKind{
		{"antom", schemas.Antom, antom.Key, ""},
		{"eftpay that replays", schemas.EftPay, eftpay.Key, sandbox.Replay},
		{"eftpay that rejects", schemas.EftPay, eftpay.Key, sandbox.Reject},
		{"eftpay that refunds again", schemas.EftPay, eftpay.Key, sandbox.RefundAgain},
	}
}

// scenario is what becomes of the first refund; the second one of the payment succeeds, if the sale lets it.
type scenario struct {
	name string
	// only is the one gateway that has the scenario; empty means both.
	only schemas.Gateway
	// sale are the rules of the payment.
	sale sandbox.Payment
	// refunds and inquiries are the faults of the first refund's calls.
	refunds, inquiries []sandbox.Fault
	// refusals is how many connections are refused at first.
	refusals int
	// notify makes the gateway send notifications.
	notify bool
	// notFound are eftPay's codes that the operator has configured.
	notFound []string
	// copiesLost is how many retry copies are acked and then lost.
	copiesLost int
	// failed is how both refunds end; else they succeed.
	failed bool
}

func (s scenario) notifyURL() string {
	if s.notify {
		return "https://worker.example" + notifyPath
	}
	return ""
}

// wants is how a refund ends that comes to an end.
func (s scenario) wants(string) schemas.Status {
	if s.failed {
		return schemas.Failed
	}
	return schemas.Success
}

func times(n int, f sandbox.Fault) []sandbox.Fault {
	list := make([]sandbox.Fault, n)
	for i := range list {
		list[i] = f
	}
	return list
}

// scenarios have one for every verdict, for each way in which it can come about.
func scenarios() []scenario {
	unavailable := sandbox.Fault{Kind: sandbox.HTTPBefore, HTTPStatus: 503}
	return []scenario{
		{name: "succeeded"},
		{name: "declined", sale: sandbox.Payment{Status: sandbox.Unpaid}, failed: true},
		{name: "pending, then succeeded", sale: sandbox.Payment{Async: &sandbox.Async{Delay: 90 * time.Second}}},
		{name: "pending, then failed", sale: sandbox.Payment{Async: &sandbox.Async{Delay: 30 * time.Second, FailCode: "PROCESS_FAIL"}}, failed: true},
		{name: "unknown, not processed", refunds: times(1, unavailable), inquiries: append(times(1, sandbox.Fault{Kind: sandbox.None}), times(2, unavailable)...)},
		{name: "unknown, processed late", refunds: times(1, sandbox.Fault{Kind: sandbox.Late, Delay: 40 * time.Second})},
		{name: "not sent", refusals: 2},
		{name: "absent", refunds: times(1, sandbox.Fault{Kind: sandbox.DropBefore}), notFound: []string{"26"}},
		{name: "processed, answer dropped", refunds: times(1, sandbox.Fault{Kind: sandbox.DropAfter})},
		{
			name: "processed, answer dropped, hidden from the next queries", only: schemas.EftPay,
			refunds: times(1, sandbox.Fault{Kind: sandbox.DropAfter, HideQueries: 2}),
		},
		{
			name: "accepted halfway", only: schemas.Antom,
			refunds: times(1, sandbox.Fault{Kind: sandbox.UnknownHalfway}),
		},
		{name: "processed, answer dropped, copy lost", refunds: times(1, sandbox.Fault{Kind: sandbox.DropAfter}), copiesLost: 2},
		{
			name: "not processed, copies lost until it is in review", only: schemas.EftPay,
			refunds: times(1, unavailable), copiesLost: 2,
		},
		{
			name: "pending, then notified as succeeded", only: schemas.Antom, notify: true,
			sale: sandbox.Payment{Async: &sandbox.Async{Delay: 5 * time.Second}},
		},
		{
			name: "pending, then notified as failed", only: schemas.Antom, notify: true, failed: true,
			sale: sandbox.Payment{Async: &sandbox.Async{Delay: 5 * time.Second, FailCode: "PROCESS_FAIL"}},
		},
	}
}

// eachScenario runs do for every scenario at every gateway that has it.
func eachScenario(t *testing.T, do func(*testing.T, gatewayKind, scenario, sandbox.Keys)) {
	t.Helper()
	keys := testKeys(t)
	for _, g := range gateways() {
		for _, s := range scenarios() {
			if s.only != "" && s.only != g.name {
				continue
			}
			t.Run(g.title+"/"+s.name, func(t *testing.T) {
				t.Parallel()
				do(t, g, s, keys)
			})
		}
	}
}

var makeKeys = sync.OnceValues(sandbox.NewTestKeys)

func testKeys(t *testing.T) sandbox.Keys {
	t.Helper()
	keys, err := makeKeys()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// cutsOf are all ways to cut at the steps. A cut before a step is the cut after the one before it, unless time has passed
// in between, or another lane has done something.
func cutsOf(steps []step) []cut {
	var cuts []cut
	for i, s := range steps {
		for _, way := range s.ways {
			if way != before || i == 0 || steps[i-1].lane != s.lane || !steps[i-1].at.Equal(s.at) {
				cuts = append(cuts, cut{s.point, way})
			}
		}
	}
	return cuts
}

// tally counts what a test has run.
type tally struct{ combinations, steps, cuts, doubles, signals, missed atomic.Int64 }

// few fails the test if more than one in fifty cuts was not reached: two lanes that are ready in one instant run in
// either order, so a step may not come about again, but as a rule it does.
func (y *tally) few(t *testing.T) {
	t.Helper()
	if all := y.cuts.Load() + y.doubles.Load(); y.missed.Load()*50 > all {
		t.Errorf("%d of %d cuts were not reached", y.missed.Load(), all)
	}
}

// isFor tells whether a cut is made at a gateway. What eftPay does with a repeat is up to it, and shows only if the worker
// repeats something: so every cut is made at the gateway that refunds again, and at one of the two others.
func (g gatewayKind) isFor(c cut) bool {
	switch g.duplicate {
	case sandbox.Replay:
		return c.how != frozen && draw(c.String(), 2) == 0
	case sandbox.Reject:
		return c.how != frozen && draw(c.String(), 2) == 1
	case sandbox.RefundAgain:
	}
	return true
}

func TestNoCutOfAWorkerMovesMoneyTwiceOrLosesOrFalsifiesARefund(t *testing.T) {
	t.Parallel()
	var ran tally
	t.Run("cuts", func(t *testing.T) {
		eachScenario(t, func(t *testing.T, g gatewayKind, s scenario, keys sandbox.Keys) {
			t.Helper()
			whole := ran.play(t, g, s, keys, intrusion{})[0]
			ran.combinations.Add(1)
			ran.steps.Add(int64(len(whole)))
			for _, c := range cutsOf(whole) {
				if t.Failed() {
					return // the first one tells most
				}
				if !g.isFor(c) {
					continue
				}
				after := ran.play(t, g, s, keys, intrusion{}, c)
				ran.cuts.Add(1)
				if again := cutsOf(after[len(after)-1]); len(again) > 0 && draw(g.title+s.name+c.String(), 12) == 0 {
					ran.play(t, g, s, keys, intrusion{}, c, again[draw(c.String(), len(again))])
					ran.doubles.Add(1)
				}
			}
		})
	})
	ran.few(t)
	t.Logf("%d gateways and verdicts, %d steps of a worker in them, %d cuts of one worker, %d of two; %d were not reached",
		ran.combinations.Load(), ran.steps.Load(), ran.cuts.Load(), ran.doubles.Load(), ran.missed.Load())
}

func TestASignalInTheMiddleOfAnyStepChangesNoEnd(t *testing.T) {
	t.Parallel()
	var ran tally
	t.Run("signals", func(t *testing.T) {
		eachScenario(t, func(t *testing.T, g gatewayKind, s scenario, keys sandbox.Keys) {
			t.Helper()
			if g.duplicate == sandbox.Replay || g.duplicate == sandbox.Reject {
				return // as at the one that refunds again
			}
			kinds := []schemas.SignalKind{schemas.SignalRedrive}
			if s.notify {
				kinds = append(kinds, schemas.SignalNotification)
			}
			ran.combinations.Add(1)
			for i, at := range ran.play(t, g, s, keys, intrusion{})[0] {
				for _, kind := range kinds {
					if t.Failed() {
						return
					}
					if draw(g.title+s.name+at.String(), 4) != 0 {
						continue // one in four, the same ones every time
					}
					in := intrusion{at.point, kind}
					var own []step
					for _, reached := range ran.play(t, g, s, keys, in)[0] {
						if reached.lane == "refunds.signals" {
							own = append(own, reached)
						}
					}
					ran.signals.Add(1)
					// Every other time the worker dies over the signal, too.
					if cuts := cutsOf(own); len(cuts) > 0 && i%2 == 0 {
						ran.play(t, g, s, keys, in, cuts[draw(in.at.String(), len(cuts))])
						ran.cuts.Add(1)
					}
				}
			}
		})
	})
	ran.few(t)
	t.Logf("%d gateways and verdicts, a signal at %d steps, %d cuts of the worker that has it; %d were not reached",
		ran.combinations.Load(), ran.signals.Load(), ran.cuts.Load(), ran.missed.Load())
}

// draw picks a number below n that depends on the text alone.
func draw(text string, n int) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(text))
	return int(h.Sum32() % uint32(n)) //nolint:gosec // n is the length of a short list
}
