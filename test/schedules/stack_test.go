package schedules

import (
	"context"
	"math/rand/v2"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"refundworker/consumer"
	"refundworker/dedupe"
	"refundworker/internal/kafka"
	"refundworker/internal/kafka/kafkatest"
	"refundworker/producer"
	"refundworker/refund"
	"refundworker/schemas"
)

// deed is one thing that happens in a schedule of the whole stack.
type deed struct {
	after time.Duration
	what  string
	// request and variant say which command; other is a partition, a worker or a kind of fault.
	request, variant, other int
}

// deeds are all there are.
func deeds() []string {
	return []string{
		"command", "command", "command", "command", "worker joins", "worker leaves", "worker dies", "worker freezes", "worker thaws",
		"broker fault", "mood",
	}
}

// stack is one schedule of the real consumer and the real producer over an embedded broker on a virtual network, with the
// memory store and the model gateways, in one synctest bubble.
type stack struct {
	*world
	tb      *testing.T
	broker  *kafkatest.Broker
	topics  kafka.Topics
	chance  *rand.Rand
	members []*member
	faults  []*kfake.FaultHandle
	deeds   []deed
	watched time.Time
}

// member is one worker process.
type member struct {
	gate     *kafkatest.Gate
	crossing *crossing
	stop     func()
	gone     bool
	// cut: it was cut off from its broker, and need not end cleanly.
	cut bool
}

const stackLongest = 40 * time.Minute

// newStack draws a schedule from its seed and starts the broker.
func newStack(t *testing.T, tally *tally, seed int) *stack {
	t.Helper()
	bank := newBank(tally, pace{resendWindow: 15 * time.Minute, horizon: 30 * time.Minute, reviewInterval: 15 * time.Minute, lapseAfter: 2 * time.Minute})
	s := &stack{
		tb: t, broker: kafkatest.StartVirtual(t), topics: kafka.Topics{Prefix: "refunds", Tiers: allTiers()},
		chance: rand.New(rand.NewPCG(uint64(seed), 1)), watched: time.Now(), //nolint:gosec // a seed
		world: &world{
			bank: bank, book: &results{bank: bank, meanings: make(map[string]string)}, tiers: make(map[time.Duration]*partition),
			slack:  2 * time.Minute,
			memory: dedupe.NewMemory(dedupe.Config{MaxLease: lease, OutcomeTTL: outcomeTTL}),
		},
	}
	s.deeds = rapid.Custom(func(t *rapid.T) []deed {
		bank.cast(t, false, stackLongest)
		return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) deed {
			return deed{
				after:   time.Duration(rapid.IntRange(0, 30_000).Draw(t, "after")) * time.Millisecond,
				what:    rapid.SampledFrom(deeds()).Draw(t, "deed"),
				request: rapid.IntRange(0, len(bank.order)-1).Draw(t, "request"),
				variant: rapid.SampledFrom([]int{0, 0, 0, 1}).Draw(t, "variant"),
				other:   rapid.IntRange(0, 5).Draw(t, "other"),
			}
		}), 12, 40).Draw(t, "deeds")
	}).Example(seed)
	// Example may have drawn more than once before it was content.
	bank.order = bank.order[len(bank.order)-len(bank.requests):]
	for topic, partitions := range map[string]int{s.topics.Commands(): 2, s.topics.Results(): 1, s.topics.DeadLetters(): 1, s.topics.Signals(): 1} {
		s.create(topic, partitions)
	}
	for _, tier := range allTiers() {
		s.create(s.topics.Retry(tier), 1)
	}
	return s
}

func (s *stack) create(topic string, partitions int) {
	if err := s.broker.CreateTopic(s.tb.Context(), topic, partitions, nil); err != nil {
		s.tb.Fatal(err)
	}
}

// join starts a worker: a producer, a processor, and a consumer for each group.
func (s *stack) join(b build) {
	m := &member{gate: &kafkatest.Gate{Through: s.broker.Dial}, crossing: &crossing{chance: rand.New(rand.NewPCG(s.chance.Uint64(), 2))}}
	conn := s.broker.Config()
	conn.Dial = m.gate.Dial
	published, err := producer.New(producer.Config{}, conn, s.topics, zerolog.Nop(), producer.NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		s.tb.Fatal(err)
	}
	w := newWorker(s.tb, parts{
		bank: s.bank, road: m.crossing, metrics: refund.NewMetrics(prometheus.NewRegistry()), publish: m.crossing.publisher(published),
		store: store{Connection: s.memory.Connect(m.crossing.exchange), bank: s.bank, road: m.crossing},
	}, b)
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.tb.Context()))
	var running []chan error
	executor := consumer.NewExecutor(nil, consumer.Limits{InFlight: 16}, prometheus.NewRegistry())
	for _, c := range []struct {
		group  string
		topics []string
		delay  func(string) time.Duration
		handle consumer.Handler
	}{
		{"refund-worker", []string{s.topics.Commands()}, nil, w.ReadCommand},
		{"refund-worker.retry", s.retries(), s.topics.Tier, w.ReadCopy},
		{"refund-worker.signals", []string{s.topics.Signals()}, nil, w.ReadSignal},
	} {
		reader, err := consumer.New(consumer.Config{
			GroupID: c.group, Topics: c.topics, Delay: c.delay, StopTimeout: gatewayTimeout + grace + time.Second,
			// Hours of virtual time pass, and each question to the broker is real work.
			MaxWait: 5 * time.Second, HeartbeatInterval: 2 * time.Second, CommitInterval: time.Second, WatchInterval: time.Minute,
			StallTimeout: time.Minute,
		}, conn, executor, visited(c.handle),
			zerolog.Nop(), consumer.NewMetrics(prometheus.NewRegistry()))
		if err != nil {
			s.tb.Fatal(err)
		}
		done := make(chan error, 1)
		running = append(running, done)
		go func() { done <- reader.Run(ctx) }()
	}
	m.stop = func() {
		if m.gone {
			return
		}
		m.gone = true
		cancel()
		for _, done := range running {
			if err := <-done; err != nil && !m.cut {
				s.tb.Error(err)
			}
		}
		if err := published.Close(context.WithoutCancel(ctx)); err != nil {
			s.tb.Error(err)
		}
	}
	s.members = append(s.members, m)
}

// visited lets every work of a handler visit by itself.
func visited(handle consumer.Handler) consumer.Handler {
	return func(m refund.Message) refund.Work {
		work := handle(m)
		do := work.DoFunc
		work.DoFunc = func(ctx context.Context, permit refund.Permit) error { return do(visiting(ctx), permit) }
		return work
	}
}

func (s *stack) retries() []string {
	var topics []string
	for _, tier := range allTiers() {
		topics = append(topics, s.topics.Retry(tier))
	}
	return topics
}

// do does one deed.
func (s *stack) do(d deed) {
	s.bank.tally.add("stack: " + d.what)
	switch d.what {
	case "command":
		r := s.bank.order[d.request]
		s.produce(s.topics.Commands(), kafkatest.Record{Partition: d.other % 2, Key: []byte(r.id), Value: message(r.variants[d.variant])})
	case "worker joins":
		if len(s.alive()) < 3 {
			s.join(build{otherTiers: d.other == 0, strict: d.other == 1, both: d.other == 2, renamed: d.other == 3})
		}
	case "mood":
		s.bank.mu.Lock()
		r := s.bank.order[d.request]
		r.sends = append(r.sends, moods(stackLongest).Example(d.other*7+d.variant))
		s.bank.mu.Unlock()
	case "broker fault":
		faults := []kfake.Fault{
			{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: 4},
			{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.RequestTimedOut, Count: 7},
			{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.RebalanceInProgress, Count: 3},
			{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.UnknownMemberID, Count: 1},
			{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.NotLeaderForPartition, Count: 3},
			{Keys: []kmsg.Key{kmsg.FindCoordinator}, Err: kerr.CoordinatorNotAvailable, Count: 2},
		}
		s.faults = append(s.faults, s.broker.Cluster.Fault(faults[d.other]))
	default:
		if alive := s.alive(); len(alive) > 0 {
			s.toWorker(alive[d.other%len(alive)], d.what)
		}
	}
}

func (s *stack) toWorker(m *member, what string) {
	switch what {
	case "worker leaves":
		m.gate.Open()
		m.crossing.open()
		m.stop()
	case "worker dies":
		m.cut = true
		m.gate.Shut()
		m.crossing.close()
		m.gone = true
		stop := m.stop
		s.tb.Cleanup(func() { m.gone = false; stop() })
	case "worker freezes":
		m.cut = true
		m.gate.Shut()
		m.crossing.close()
	case "worker thaws":
		m.gate.Open()
		m.crossing.open()
	}
}

func (s *stack) alive() []*member {
	var list []*member
	for _, m := range s.members {
		if !m.gone {
			list = append(list, m)
		}
	}
	return list
}

func (s *stack) produce(topic string, records ...kafkatest.Record) {
	if err := s.broker.Produce(s.tb.Context(), topic, records...); err != nil {
		s.tb.Fatal(err)
	}
}

// pass lets time pass, with the gateways and the watchdog at their work.
func (s *stack) pass(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		if err := wait(s.tb.Context(), min(quantum, time.Until(end))); err != nil {
			s.tb.Fatal(err)
		}
		s.bank.happen(time.Now())
		if time.Since(s.watched) < 10*time.Second {
			continue
		}
		s.watched = time.Now()
		ids, err := s.memory.Overdue(s.tb.Context(), 16, 10*time.Second)
		if err == nil {
			err = s.memory.Postpone(s.tb.Context(), ids, 10*time.Minute)
		}
		if err != nil {
			s.tb.Fatal(err)
		}
		for _, id := range ids {
			sig := schemas.Signal{RequestID: id, Kind: schemas.SignalRedrive, OccurredAt: schemas.Time{Time: time.Now()}}
			value, err := schemas.EncodeSignal(sig)
			if err != nil {
				s.tb.Fatal(err)
			}
			s.produce(s.topics.Signals(), kafkatest.Record{Key: []byte(id), Value: value, Headers: schemas.SignalHeaders(sig, "/refund-worker")})
		}
	}
}

// run is the whole schedule: deeds, then peace, then the audit.
func (s *stack) run() {
	s.join(build{})
	s.join(build{})
	for _, d := range s.deeds {
		s.pass(d.after)
		s.do(d)
	}
	s.bank.mu.Lock()
	for _, r := range s.bank.order {
		r.sends, r.asks = nil, nil
	}
	s.bank.mu.Unlock()
	for _, f := range s.faults {
		f.Remove()
	}
	for _, m := range s.alive() {
		m.crossing.soothe()
		s.toWorker(m, "worker leaves")
	}
	s.pass(time.Minute)
	for _, group := range []string{"refund-worker", "refund-worker.retry", "refund-worker.signals"} {
		if err := s.broker.Evict(s.tb.Context(), group); err != nil {
			s.tb.Fatal(err)
		}
	}
	s.join(build{both: true})
	last := s.alive()[0]
	last.crossing.soothe()
	s.pass(2 * lease)
	for patience := time.Now().Add(3 * s.bank.pace.horizon); !s.read() || !s.atRest(patience); {
		if time.Now().After(patience.Add(time.Hour)) {
			s.fault("the schedule does not come to rest: all read %t, %s", s.read(), s.states())
			break
		}
		s.pass(time.Minute)
	}
	last.stop()
	s.gather()
	s.audit()
	if fault := s.bank.firstFault(); fault != "" {
		s.tb.Errorf("%s\nthe deeds: %+v", fault, s.deeds)
	}
}

func TestNoScheduleOfTheWholeStackBreaksAPromise(t *testing.T) {
	t.Parallel()
	tally := newTally()
	t.Cleanup(func() {
		ran := tally.count("schedules")
		t.Logf("%d schedules of the whole stack ran", ran)
		var expected []string
		if ran >= leastStacksForCoverage {
			expected = mustHappenInStack()
		}
		if !t.Failed() {
			tally.report(t, expected)
		}
	})
	for seed := range *stacks {
		t.Run(strconv.Itoa(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				newStack(t, tally, seed).run()
				tally.add("schedules")
			})
		})
	}
}
