package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"

	"refundworker/bench/report"
)

// testCase is one line of the table.
type testCase struct {
	subject, scenario, gateway string
	latency                    time.Duration
	inFlight, refunds, workers int
	slowPermille               uint32
	hot                        int
}

const (
	slowCall = 2 * time.Second
	// idle is how long a run may go without an outcome before it is given up.
	idle = 30 * time.Second
	// samples are the single commands of a lone run.
	samples = 300
)

// measure runs a case once.
func (s *stack) measure(ctx context.Context, c testCase) (r report.Result, err error) {
	run := "r" + strings.ToLower(rand.Text()[:7])
	config, err := s.prepare(ctx, run, c.inFlight)
	if err != nil {
		return r, err
	}
	lone := c.scenario == "lone"
	if !lone {
		if err := s.load(ctx, run+".commands", c.gateway, run, c.refunds, c.hot); err != nil {
			return r, err
		}
	}
	if err := s.behave(ctx, behaviour{Latency: c.latency, SlowPermille: c.slowPermille, Slow: slowCall}); err != nil {
		return r, err
	}
	out := s.read(ctx, run+".results")
	defer out.stop()
	var subjects []*child
	defer func() {
		for _, p := range subjects {
			err = errors.Join(err, p.stop())
		}
	}()
	for i := range c.workers {
		p, err := s.subject(c, config, run, i)
		if err != nil {
			return r, err
		}
		subjects = append(subjects, p)
	}
	if lone {
		return s.alone(ctx, c, run, out, subjects)
	}
	return s.backlog(ctx, c, out, subjects)
}

func (s *stack) subject(c testCase, config, run string, i int) (*child, error) {
	name := fmt.Sprintf("%s-%s-%d", run, c.subject, i)
	if c.subject == "worker" {
		return start(s.dir, name, filepath.Join(s.dir, "worker"), "run", "-c", config)
	}
	return start(s.dir, name, filepath.Join(s.dir, c.subject), "-broker", s.broker, "-topic", run+".commands", "-results", run+".results",
		"-redis", s.redis.Addr, "-gateway", s.gatewayURL, "-partitions", strconv.Itoa(partitions), "-in-flight", strconv.Itoa(c.inFlight))
}

// meter is the CPU time of everything at one moment.
type meter struct{ subject, gateway, broker, redis time.Duration }

func (s *stack) meter(subjects []*child) (m meter, err error) {
	for _, p := range subjects {
		used, err := cpuOf(p.pid())
		if err != nil {
			return m, fmt.Errorf("%w: it has ended: %s", err, tail(p.log))
		}
		m.subject += used
	}
	for _, part := range []struct {
		into *time.Duration
		pid  int
	}{{&m.gateway, s.gateway.pid()}, {&m.broker, s.brokerPID}, {&m.redis, s.redis.PID()}} {
		if *part.into, err = cpuOf(part.pid); err != nil {
			return m, err
		}
	}
	return m, nil
}

func tail(path string) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	const most = 500
	return string(raw[max(0, len(raw)-most):])
}

// backlog measures a subject that works off what was produced before it started: from the first call at the gateway to
// the last outcome that can be read.
func (s *stack) backlog(ctx context.Context, c testCase, out *outcomes, subjects []*child) (r report.Result, err error) {
	var before meter
	began := time.Now()
	for {
		// Taken again and again until the first call, so that starting does not count.
		if before, err = s.meter(subjects); err != nil {
			return r, err
		}
		st, err := s.statistics(ctx)
		if err != nil {
			return r, err
		}
		if st.Calls > 0 {
			break
		}
		if time.Since(began) > idle {
			return r, fmt.Errorf("%w: no call within %s: %s", errStalled, idle, tail(subjects[0].log))
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err := out.await(ctx, c.refunds, idle); err != nil {
		return r, fmt.Errorf("%w: %s", err, tail(subjects[0].log))
	}
	after, err := s.meter(subjects)
	if err != nil {
		return r, err
	}
	st, err := s.statistics(ctx)
	if err != nil {
		return r, err
	}
	_, _, last := out.count()
	took := last.Sub(time.Unix(0, st.First)).Seconds()
	r = s.result(c, st, float64(c.refunds)/took)
	per := 10_000 / float64(c.refunds)
	r.CPUPer10k = (after.subject - before.subject).Seconds() * per
	r.GatewayCPUPer10k = (after.gateway - before.gateway).Seconds() * per
	r.BrokerCPUPer10k = (after.broker - before.broker).Seconds() * per
	r.RedisCPUPer10k = (after.redis - before.redis).Seconds() * per
	r.PeakRSSMiB, err = peak(subjects)
	return r, err
}

func peak(subjects []*child) (most float64, err error) {
	for _, p := range subjects {
		mib, err := peakOf(p.pid())
		if err != nil {
			return 0, err
		}
		most = max(most, mib)
	}
	return most, nil
}

func (s *stack) result(c testCase, st statistics, perSecond float64) report.Result {
	gateway := c.gateway
	if c.subject != "worker" {
		gateway = "plain"
	}
	r := report.Result{
		Subject: c.subject, Scenario: c.scenario, Broker: s.kind, Gateway: gateway, LatencyMS: c.latency.Milliseconds(),
		InFlight: c.inFlight, Workers: c.workers, Refunds: c.refunds, RefundsPerS: perSecond,
		Connections: int(st.Connections), MostInFlight: int(st.Most), GatewayCalls: int(st.Calls), Repeated: int(st.Repeated),
		Overlaps: int(st.Overlaps), WrongOrder: int(st.WrongOrder),
	}
	if c.scenario == "backlog" {
		r.Backlog = c.refunds
	}
	if c.latency > 0 {
		r.ShareOfIdeal = perSecond / (float64(c.inFlight) / c.latency.Seconds())
	}
	return r
}

// alone measures single commands on an idle system: each is produced when the outcome of the one before was read.
func (s *stack) alone(ctx context.Context, c testCase, run string, out *outcomes, subjects []*child) (r report.Result, err error) {
	w := &kafka.Writer{
		Addr: kafka.TCP(s.broker), Transport: &kafka.Transport{}, Topic: run + ".commands", Balancer: kafka.Murmur2Balancer{}, RequiredAcks: kafka.RequireAll, BatchSize: 1,
	}
	defer func() { _ = w.Close() }()
	added := make([]float64, 0, samples)
	// The first few open connections and are not counted.
	const warm = 20
	for i := range warm + samples {
		m := command(c.gateway, run, i, 0)
		produced := time.Now()
		if err := w.WriteMessages(ctx, m); err != nil {
			return r, fmt.Errorf("produce: %w", err)
		}
		if err := out.await(ctx, i+1, idle); err != nil {
			return r, fmt.Errorf("%w: %s", err, tail(subjects[0].log))
		}
		_, _, last := out.count()
		if i >= warm {
			added = append(added, (last.Sub(produced)-c.latency).Seconds()*1000)
		}
	}
	slices.Sort(added)
	st, err := s.statistics(ctx)
	if err != nil {
		return r, err
	}
	r = s.result(c, st, 0)
	r.Refunds, r.ShareOfIdeal = samples, 0
	r.P50AddedMS, r.P99AddedMS = added[len(added)/2], added[len(added)*99/100]
	r.PeakRSSMiB, err = peak(subjects)
	return r, err
}

// median is the run in the middle by throughput, with the extremes of all; by added latency where that is measured.
func median(runs []report.Result) report.Result {
	slices.SortFunc(runs, func(a, b report.Result) int {
		if a.RefundsPerS != b.RefundsPerS {
			return int(a.RefundsPerS*1000) - int(b.RefundsPerS*1000)
		}
		return int(a.P99AddedMS*1000) - int(b.P99AddedMS*1000)
	})
	r := runs[len(runs)/2]
	r.Runs = len(runs)
	r.RefundsPerSMin, r.RefundsPerSMax = runs[0].RefundsPerS, runs[len(runs)-1].RefundsPerS
	for _, other := range runs {
		// What must never happen counts in every run.
		r.Overlaps, r.WrongOrder = max(r.Overlaps, other.Overlaps), max(r.WrongOrder, other.WrongOrder)
		r.Repeated, r.PeakRSSMiB = max(r.Repeated, other.Repeated), max(r.PeakRSSMiB, other.PeakRSSMiB)
	}
	return r
}
