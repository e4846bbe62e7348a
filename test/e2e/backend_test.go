package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"refundworker/internal/kafka/kafkatest"
	"refundworker/internal/realtest"
)

// backend is the broker and the Redis a scenario runs on.
type backend struct {
	name  string
	kafka *kafkatest.Broker
	redis redisServer
}

// redisServer can be stopped and started again with its data.
type redisServer interface {
	Address() string
	Stop() error
	Start() error
}

type realRedis struct{ *realtest.Redis }

func (r realRedis) Address() string { return r.Addr }

type embeddedRedis struct {
	*miniredis.Miniredis
	addr string
}

func (r *embeddedRedis) Address() string { return r.addr }

func (r *embeddedRedis) Stop() error {
	r.Close()
	return nil
}

func (r *embeddedRedis) Start() error { return r.Restart() }

// eachBackend runs a scenario on the embedded parts and on the real ones. Without the real parts the second is skipped
// with a line that says what is missing, or fails where they are demanded.
func eachBackend(t *testing.T, scenario func(*testing.T, backend)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) {
		mini := miniredis.RunT(t)
		scenario(t, backend{"embedded", kafkatest.Start(t), &embeddedRedis{mini, mini.Addr()}})
	})
	t.Run("real", func(t *testing.T) {
		redis := realtest.StartRedis(t, realtest.RedisOptions{})
		broker := kafkatest.At(realtest.StartKafka(t))
		t.Logf("running on %s", realtest.Available())
		scenario(t, backend{"real", broker, realRedis{redis}})
	})
}

// until polls until the condition holds, and fails the test when it does not in time.
func until(t *testing.T, what string, within time.Duration, holds func(context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for !holds(ctx) {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %v", what, within)
		case <-ticker.C:
		}
	}
}
