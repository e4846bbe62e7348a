package producer

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

// slowWriter takes a second for each write and notes how many messages came together. At most one is written at a time.
type slowWriter struct{ sizes []int }

func (w *slowWriter) write(_ context.Context, messages []kafkago.Message) []*EventError {
	time.Sleep(time.Second) //nolint:forbidigo // virtual time
	w.sizes = append(w.sizes, len(messages))
	var failed []*EventError
	for i := range messages {
		if string(messages[i].Value) == "bad" {
			failed = append(failed, &EventError{Index: i})
		}
	}
	return failed
}

func TestPublicationsThatComeDuringAWriteShareTheNextAndKeepTheirOwnFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &slowWriter{}
		g := &gatherer{writeFunc: w.write, hold: time.Millisecond}
		publish := func(want int, values ...string) {
			messages := make([]kafkago.Message, len(values))
			for i, v := range values {
				messages[i].Value = []byte(v)
			}
			failed := g.write(t.Context(), messages)
			if (len(failed) == 0) != (want < 0) || len(failed) > 0 && failed[0].Index != want {
				t.Errorf("%v: failed %v, want that of %d alone", values, failed, want)
			}
		}
		go publish(-1, "first")
		synctest.Wait()
		go publish(-1, "a", "b")
		synctest.Wait()
		go publish(1, "c", "bad", "d")
		synctest.Wait()
		go publish(-1, "e")
		g.writers.Wait()
		synctest.Wait()
		if len(w.sizes) != 2 || w.sizes[0] != 1 || w.sizes[1] != 6 {
			t.Errorf("writes of %v messages, want 1 and then the 6 that had come meanwhile", w.sizes)
		}
	})
}

func TestAWriteWhoseCallerHasGoneIsStillJoined(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &slowWriter{}
		g := &gatherer{writeFunc: w.write}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		failed := g.write(ctx, make([]kafkago.Message, 2))
		if len(failed) != 2 || !errors.Is(failed[1].Err, context.DeadlineExceeded) {
			t.Errorf("failed %v, want both messages unknown", failed)
		}
		began := time.Now()
		g.writers.Wait()
		if took := time.Since(began); took != time.Second-time.Millisecond || len(w.sizes) != 1 {
			t.Errorf("joined after %s, %d writes", took, len(w.sizes))
		}
	})
}
