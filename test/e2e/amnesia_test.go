package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"refundworker/gateway/sandbox"
	"refundworker/internal/kafka/kafkatest"
	"refundworker/internal/realtest"
	"refundworker/schemas"
)

// amnesia is a way for Redis to lose what it has acknowledged.
type amnesia struct {
	name string
	// server starts what the workers talk to.
	server func(*testing.T) forgetful
	// tail: the refill may begin at the last beat that has survived; else it has to begin at the beginning.
	tail bool
}

// forgetful is a Redis with the two steps of its forgetting: what is done after remember is what it loses.
type forgetful struct {
	redisServer
	remember, forget func() error
}

func amnesias() []amnesia {
	return []amnesia{
		{name: "flush", server: flushed},
		{name: "failover after the replication link was cut", server: failedOver, tail: true},
		{name: "restore of an old snapshot", server: restored, tail: true},
	}
}

func clientOf(t *testing.T, addr string) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr, DisableIdentity: true})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func flushed(t *testing.T) forgetful {
	t.Helper()
	server := realtest.StartRedis(t, realtest.RedisOptions{})
	client := clientOf(t, server.Addr)
	return forgetful{
		redisServer: realRedis{server},
		remember:    func() error { return nil },
		forget:      func() error { return client.FlushAll(t.Context()).Err() },
	}
}

// failedOver is a primary and a replica that was cut off some time before it is promoted.
func failedOver(t *testing.T) forgetful {
	t.Helper()
	primary := realtest.StartRedis(t, realtest.RedisOptions{Args: []string{"--repl-diskless-sync-delay", "0"}})
	host, port, err := net.SplitHostPort(primary.Addr)
	if err != nil {
		t.Fatal(err)
	}
	replica := realtest.StartRedis(t, realtest.RedisOptions{Args: []string{"--replicaof", host + " " + port}})
	link := newSwitch(t, primary.Addr)
	second := clientOf(t, replica.Addr)
	return forgetful{
		redisServer: switched{link, realRedis{primary}},
		remember: func() error {
			// A primary that is not there: the replica keeps what it has, and gets nothing more.
			return second.ReplicaOf(t.Context(), host, "1").Err()
		},
		forget: func() error {
			err := errors.Join(primary.Kill(), second.ReplicaOf(t.Context(), "NO", "ONE").Err())
			link.to(replica.Addr)
			return err
		},
	}
}

func restored(t *testing.T) forgetful {
	t.Helper()
	server := realtest.StartRedis(t, realtest.RedisOptions{Args: []string{"--appendonly", "no"}})
	client := clientOf(t, server.Addr)
	return forgetful{
		redisServer: realRedis{server},
		remember:    func() error { return client.Save(t.Context()).Err() },
		forget:      func() error { return errors.Join(server.Kill(), server.Start()) },
	}
}

// switched is a server behind a switch.
type switched struct {
	*relay
	realRedis
}

func (s switched) Address() string { return s.addr }

// relay hands TCP connections on to one server at a time, as a name that moves with the primary does.
type relay struct {
	addr string

	mu     sync.Mutex
	target string
	open   map[net.Conn]struct{}
}

func newSwitch(t *testing.T, target string) *relay {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{addr: listener.Addr().String(), target: target, open: make(map[net.Conn]struct{})}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { r.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		r.to("")
		running.Wait()
	})
	return r
}

// to cuts every connection and sends the next ones to another server.
func (r *relay) to(target string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.target = target
	for conn := range r.open {
		_ = conn.Close()
	}
	clear(r.open)
}

func (r *relay) serve(conn net.Conn) {
	defer conn.Close()
	r.mu.Lock()
	target := r.target
	r.open[conn] = struct{}{}
	r.mu.Unlock()
	server, err := (&net.Dialer{Timeout: time.Second}).DialContext(context.Background(), "tcp", target)
	if err != nil {
		return
	}
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(conn, server)
		_ = conn.Close()
	})
	_, _ = io.Copy(server, conn)
	_ = server.Close()
	back.Wait()
	r.mu.Lock()
	delete(r.open, conn)
	r.mu.Unlock()
}

// remembered makes n commands whose ends are known, without conflicts: those come after the forgetting.
func remembered(t *testing.T, n int) *mix {
	t.Helper()
	m := &mix{endings: make(map[string]ending), conflicts: make(map[string]struct{})}
	success := ending{status: schemas.Success, code: schemas.CodeRefunded}
	for i := range n {
		id, minor := fmt.Sprintf("rf-%05d", i), int64(100+i)
		switch i % 8 {
		case 0, 1:
			m.command(t, id, "pay-"+id, minor, success)
		case 2:
			m.command(t, id, "pay-"+id, minor, success, sandbox.DropAfter)
		case 3:
			m.command(t, id, "missing-"+id, minor, ending{status: schemas.Failed, code: schemas.CodePaymentNotFound})
		case 4:
			m.eftpay(t, id, minor, success, sandbox.Fault{Kind: sandbox.DelayAfter, Delay: 50 * time.Millisecond})
		case 5:
			m.eftpay(t, id, minor, success, sandbox.Fault{Kind: sandbox.DropAfter, HideQueries: 1})
		case 6:
			m.eftpay(t, id, minor, success, sandbox.Fault{Kind: sandbox.SystemExceptionAfter})
		case 7:
			m.eftpay(t, id, minor, success)
		}
		m.records[i].Partition = i % partitions
	}
	return m
}

// rival is a command of the same request ID and another amount.
func rival(t *testing.T, r kafkatest.Record) kafkatest.Record {
	t.Helper()
	cmd, err := schemas.DecodeCommand(r.Value)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Amount.Minor += 7
	value, err := json.Marshal(cmd)
	if err != nil {
		t.Fatal(err)
	}
	return kafkatest.Record{Partition: r.Partition, Key: r.Key, Value: value}
}

func TestARedisThatForgetsInMidRunPaysNothingTwiceAndOpensAgain(t *testing.T) {
	for _, how := range amnesias() {
		t.Run(how.name, func(t *testing.T) {
			t.Parallel()
			const n = 120
			server := how.server(t)
			m := remembered(t, n)
			s := newSetup(t, backend{"real", kafkatest.At(realtest.StartKafka(t)), server}, sandbox.RefundAgain, m.rules)
			first, second := s.startWorker(t), s.startWorker(t)
			first.ready(t)
			second.ready(t)
			s.produce(t.Context(), t, m.records[:n/2])
			done := func(share int64) func(context.Context) bool {
				return func(ctx context.Context) bool { return s.committed(ctx, t) >= share }
			}
			until(t, "a quarter of the commands", settleWithin, done(n/4))
			if how.tail {
				beat := clientOf(t, server.Address())
				until(t, "a beat in the last bucket, and so in all", 30*time.Second, func(ctx context.Context) bool {
					return beat.Get(ctx, "{refund:b1023}:beat").Err() == nil
				})
			}
			if err := server.remember(); err != nil {
				t.Fatal(err)
			}
			s.produce(t.Context(), t, m.records[n/2:])
			until(t, "a part of what will be forgotten", settleWithin, done(3*n/4))
			told := s.results(t.Context(), t)
			forgot := time.Now()
			if err := server.forget(); err != nil {
				t.Fatal(err)
			}

			// Everything again, and of what was final another command under the same ID, before the workers can have noticed.
			again := slices.Clone(m.records)
			for _, r := range m.records {
				cmd, err := schemas.DecodeCommand(r.Value)
				if err != nil {
					t.Fatal(err)
				}
				if _, final := told.finals[cmd.RequestID]; final {
					again = append(again, rival(t, r))
					m.conflicts[cmd.RequestID] = struct{}{}
				}
			}
			s.produce(t.Context(), t, again)
			until(t, "intake closed", 20*time.Second, func(ctx context.Context) bool {
				return first.readiness(ctx) != http.StatusOK || second.readiness(ctx) != http.StatusOK
			})
			until(t, "intake open again by itself", 60*time.Second, func(ctx context.Context) bool {
				return first.readiness(ctx) == http.StatusOK && second.readiness(ctx) == http.StatusOK
			})
			t.Logf("%s: intake was open again %v after the forgetting", how.name, time.Since(forgot).Round(10*time.Millisecond))
			s.auditAmnesia(t, m, told)
			s.refilledOnce(t, how)
		})
	}
}

// refilledOnce wants one refill that came to its end, from where it had to begin.
func (s *setup) refilledOnce(t *testing.T, how amnesia) {
	t.Helper()
	var begun, ended int
	for _, w := range s.workers {
		for line := range strings.Lines(w.log.String()) {
			switch {
			case strings.Contains(line, "refilling redis from the results"):
				begun++
				if fromStart := strings.Contains(line, `"since":"0001-01-01`); fromStart == how.tail {
					t.Errorf("the refill began at the beginning: %t: %s", fromStart, line)
				}
			case strings.Contains(line, "redis is refilled"):
				ended++
				t.Log(strings.TrimSpace(line))
			}
		}
	}
	if begun != 1 || ended != 1 {
		t.Errorf("%d refills were begun and %d came to their end, want one of each", begun, ended)
	}
}

// auditAmnesia holds the three books against each other. What was at eftPay when Redis forgot may stay open: nothing is
// sent there again that may have been sent.
func (s *setup) auditAmnesia(t *testing.T, m *mix, told books) {
	t.Helper()
	var b books
	open := func(id string) bool {
		end := m.endings[id]
		_, final := b.finals[id]
		held := b.reason[id] == schemas.CodeGatewayUnavailable // nothing was sent, and it will be
		return !final && end.key != id && b.progress[id] > 0 && !held && s.gateway.Summary().Refunds[end.key] == 0
	}
	until(t, "all outcomes and rejections", settleWithin, func(ctx context.Context) bool {
		b = s.results(ctx, t)
		for id := range m.endings {
			if _, final := b.finals[id]; !final && !open(id) {
				return false
			}
		}
		return len(b.rejections) >= len(m.conflicts)
	})
	ledger := s.gateway.Summary()
	if twice := ledger.Twice(); len(twice) > 0 {
		t.Errorf("money moved twice: %v", twice)
	}
	stuck := 0
	for id, end := range m.endings {
		out, final := b.finals[id]
		if !final {
			stuck++
			continue
		}
		if moved := ledger.Refunds[end.key]; out.Status != end.status || (out.Status == schemas.Success) != (moved == 1) {
			t.Errorf("%s: %s %s, want %s, and the ledger holds %d refunds", id, out.Status, out.Code, end.status, moved)
		}
		if out.Amount.Minor != end.minor {
			t.Errorf("%s: another command has taken the ID over: amount %d, want %d", id, out.Amount.Minor, end.minor)
		}
	}
	if stuck > 2*partitions {
		t.Errorf("%d requests at eftPay stay open, more than could be there when Redis forgot", stuck)
	}
	rejected := make(map[string]struct{})
	for _, r := range b.rejections {
		if r.Code != schemas.CodeRequestIDConflict {
			t.Errorf("rejection %+v was not asked for", r)
		}
		rejected[r.RequestID] = struct{}{}
	}
	if len(rejected) != len(m.conflicts) || len(told.finals) == 0 {
		t.Errorf("%d rivals were rejected of %d, of which %d had a final outcome before", len(rejected), len(m.conflicts), len(told.finals))
	}
	t.Logf("%d requests, %d of them open at eftPay, %d rivals rejected, %d refunds in the ledger", len(m.endings), stuck, len(rejected), len(ledger.Refunds))
}
