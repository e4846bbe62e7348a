package producer

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"refundworker/internal/kafka/kafkatest"
)

func TestACancelledPublicationEndsAtOnceAndIsRetryable(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Start(t), Config{})
	release := make(chan struct{})
	b.broker.Cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		b.broker.Cluster.SleepControl(func() { <-release })
		return nil, nil, false
	})
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	err := b.Publish(ctx, result("k", "v"))
	var failed *PublishError
	if !errors.As(err, &failed) || !failed.Retryable() || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("publish = %v, want a retryable PublishError of the deadline", err)
	}
	// Less than one attempt's timeout: it was the context that ended it.
	if took := time.Since(start); took >= defaultWriteTimeout {
		t.Errorf("publish took %s after its deadline", took)
	}
}

func TestCloseJoinsRunningPublicationsAndRefusesNewOnes(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Start(t), Config{})
	entered, release := make(chan struct{}), make(chan struct{})
	b.broker.Cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		close(entered)
		b.broker.Cluster.SleepControl(func() { <-release })
		return nil, nil, false
	})
	published := make(chan error, 1)
	go func() { published <- b.Publish(t.Context(), result("k", "v")) }()
	<-entered

	short, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New("no patience"))
	defer cancel()
	if err := b.Close(short); err == nil || !strings.Contains(err.Error(), "no patience") {
		t.Errorf("close with a publication running = %v, want the context's cause", err)
	}
	if err := b.Publish(t.Context(), result("k", "late")); !errors.Is(err, ErrClosed) {
		t.Errorf("publish after close = %v, want ErrClosed", err)
	}
	close(release)
	if err := <-published; err != nil {
		t.Errorf("the running publication = %v, want it to be acked", err)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Errorf("close: %v", err)
	}
}

// segmentio/kafka-go issue 1307: the driver's Close hangs for ever when it comes while WriteMessages asks for metadata.
func TestCloseDuringAPublicationThatStillAsksForMetadataDoesNotHang(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Start(t), Config{})
	asked, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	b.broker.Cluster.ControlKey(int16(kmsg.Metadata), func(kmsg.Request) (kmsg.Response, error, bool) {
		b.broker.Cluster.KeepControl()
		once.Do(func() { close(asked) })
		b.broker.Cluster.SleepControl(func() { <-release })
		return nil, nil, false
	})
	published := make(chan error, 1)
	go func() { published <- b.Publish(t.Context(), result("k", "v")) }()
	<-asked
	closed := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		closed <- b.Close(ctx)
	}()
	for err := error(nil); !errors.Is(err, ErrClosed); {
		expired, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		err = b.Publish(expired, result("k", "probe"))
		cancel()
	}
	close(release)
	if err := <-published; err != nil {
		t.Errorf("the running publication = %v, want it to be acked", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("close: %v", err)
	}
}
