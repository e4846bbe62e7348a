package reload

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"
)

// bundle is a folder as Kubernetes mounts a Secret, with a pair of files whose halves agree when they are equal, and a
// watcher of it.
type bundle struct {
	t       *testing.T
	dir     string
	version int
	watcher *Watcher

	mu  sync.Mutex
	log bytes.Buffer
	// used are the contents that were put to use, in order.
	used []string
	// refusal, when set, is what every content is refused with.
	refusal error
}

// Write is the watcher's log.
func (b *bundle) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.Write(line)
}

func (b *bundle) logged() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.String()
}

// inBubble runs a test under fake time, with a watcher at work from the files' first content on.
func inBubble(t *testing.T, test func(*bundle)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &bundle{t: t, dir: t.TempDir()}
		b.swap("first", "first")
		for _, name := range []string{"cert", "key"} {
			if err := os.Symlink(filepath.Join("..data", name), filepath.Join(b.dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		b.watcher = New([]Source{{
			Setting: "kafka.tls", Account: "shop", InUse: []string{"first", "first"}, ReadFunc: b.read, UseFunc: b.use,
		}}, zerolog.New(b), prometheus.NewRegistry())
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.watcher.Run(ctx, Interval) }()
		// Between two looks from here on, so that no change meets one.
		<-time.After(Interval / 2)
		test(b)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		for _, word := range []string{"first", "second", "third"} {
			if strings.Contains(b.logged(), word) {
				t.Errorf("the log holds a content:\n%s", b.logged())
			}
		}
	})
}

func (b *bundle) read() ([]string, error) {
	read := make([]string, 2)
	for i, name := range []string{"cert", "key"} {
		raw, err := os.ReadFile(filepath.Join(b.dir, name))
		if err != nil {
			return nil, errors.New(name + " is not there")
		}
		read[i] = string(raw)
	}
	return read, nil
}

func (b *bundle) use(content []string) (string, error) {
	if content[0] != content[1] {
		return "", errors.New("the halves do not agree")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refusal != nil {
		return "", b.refusal
	}
	b.used = append(b.used, content[0])
	return "serial " + strconv.Itoa(len(b.used)), nil
}

// swap replaces both files at once, as the kubelet does: a new folder, and a link that is renamed over the old one.
func (b *bundle) swap(cert, key string) {
	b.t.Helper()
	b.version++
	folder := "..version" + strconv.Itoa(b.version)
	if err := os.Mkdir(filepath.Join(b.dir, folder), 0o700); err != nil {
		b.t.Fatal(err)
	}
	for name, text := range map[string]string{"cert": cert, "key": key} {
		if err := os.WriteFile(filepath.Join(b.dir, folder, name), []byte(text), 0o600); err != nil {
			b.t.Fatal(err)
		}
	}
	next := filepath.Join(b.dir, "..data_tmp")
	if err := errors.Join(os.Symlink(folder, next), os.Rename(next, filepath.Join(b.dir, "..data"))); err != nil {
		b.t.Fatal(err)
	}
}

// write changes one file in place.
func (b *bundle) write(name, text string) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// looks lets the watcher look so often.
func (b *bundle) looks(n int) {
	<-time.After(time.Duration(n) * Interval)
	synctest.Wait()
}

// want compares what was put to use, how many alarms were logged, and the metrics.
func (b *bundle) want(used string, alarms int, unfit, refused float64) {
	b.t.Helper()
	b.mu.Lock()
	got, times := strings.Join(b.used, " "), len(b.used)
	b.mu.Unlock()
	if got != used {
		b.t.Errorf("in use were %q, want %q", got, used)
	}
	if got := strings.Count(b.logged(), `"alarm":"unfit-files"`); got != alarms {
		b.t.Errorf("%d alarms, want %d:\n%s", got, alarms, b.logged())
	}
	m := b.watcher.metrics
	for _, tt := range []struct {
		name      string
		got, want float64
	}{
		{"unfit", testutil.ToFloat64(m.unfit.WithLabelValues("kafka.tls", "shop")), unfit},
		{"used", testutil.ToFloat64(m.changes.WithLabelValues("kafka.tls", "shop", resultUsed)), float64(times)},
		{"refused", testutil.ToFloat64(m.changes.WithLabelValues("kafka.tls", "shop", resultRefused)), refused},
	} {
		if tt.got != tt.want {
			b.t.Errorf("metric %s is %v, want %v", tt.name, tt.got, tt.want)
		}
	}
}

func TestFilesThatDoNotChangeAreLeftAlone(t *testing.T) {
	inBubble(t, func(b *bundle) {
		b.looks(100)
		b.swap("first", "first") // a new link to the same content
		b.looks(100)
		b.want("", 0, 0, 0)
		if b.logged() != "" {
			t.Errorf("it says:\n%s", b.logged())
		}
	})
}

func TestAChangeIsInUseAfterTwoLooksAndIsLoggedOnce(t *testing.T) {
	for name, change := range map[string]func(*bundle){
		"a link is swapped":      func(b *bundle) { b.swap("second", "second") },
		"files are written anew": func(b *bundle) { b.write("cert", "second"); b.write("key", "second") },
		"a link becomes a file": func(b *bundle) {
			for _, file := range []string{"cert", "key"} {
				if err := os.Remove(filepath.Join(b.dir, file)); err != nil {
					b.t.Fatal(err)
				}
				b.write(file, "second")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bundle) {
				b.looks(3)
				change(b)
				b.looks(1)
				b.want("", 0, 0, 0)
				b.looks(1)
				b.want("second", 0, 0, 0)
				b.looks(500)
				b.want("second", 0, 0, 0)
				want := `{"level":"info","setting":"kafka.tls","account":"shop","content":"serial 1","message":"files have changed and are in use"}` + "\n"
				if b.logged() != want {
					t.Errorf("the log is\n%s, want\n%s", b.logged(), want)
				}
			})
		})
	}
}

// Whoever writes one file after the other, or one in pieces, has not changed anything until he is done.
func TestWhatOneLookAloneFindsDoesNotCount(t *testing.T) {
	inBubble(t, func(b *bundle) {
		b.write("cert", "second")
		b.looks(1)
		b.write("key", "second")
		b.looks(1)
		b.want("", 0, 0, 0)
		b.looks(1)
		b.want("second", 0, 0, 0)

		// Both halves agree after every write, and are whole after the last.
		for _, piece := range []string{"t", "th", "thi", "third"} {
			b.swap(piece, piece)
			b.looks(1)
		}
		b.want("second", 0, 0, 0)
		b.looks(1)
		b.want("second third", 0, 0, 0)
	})
}

func TestAnUnfitChangeKeepsWhatIsInUseAndRaisesOneAlarm(t *testing.T) {
	for name, change := range map[string]func(*bundle){
		"one half of a pair": func(b *bundle) { b.write("cert", "second") },
		"a file is gone": func(b *bundle) {
			if err := os.Remove(filepath.Join(b.dir, "key")); err != nil {
				b.t.Fatal(err)
			}
		},
		"the folder is gone": func(b *bundle) {
			if err := os.Remove(filepath.Join(b.dir, "..data")); err != nil {
				b.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bundle) {
				change(b)
				b.looks(1)
				b.want("", 0, 0, 0)
				b.looks(1)
				b.want("", 1, 1, 1)
				b.looks(int(sayAgain/Interval) - 1)
				b.want("", 1, 1, 1)
				b.looks(1)
				b.want("", 2, 1, 1)
			})
		})
	}
}

func TestAnAlarmEndsWithTheNextFitContentOrWithTheOldOne(t *testing.T) {
	inBubble(t, func(b *bundle) {
		b.write("cert", "second")
		b.looks(2)
		b.want("", 1, 1, 1)
		b.write("cert", "first")
		b.looks(1)
		b.want("", 1, 0, 1)
		if !strings.Contains(b.logged(), "files are as they were; the alarm is over") {
			t.Errorf("the end is not logged:\n%s", b.logged())
		}
		b.write("cert", "second")
		b.looks(2)
		b.want("", 2, 1, 2)
		b.write("key", "second")
		b.looks(2)
		b.want("second", 2, 0, 2)
	})
}

func TestAnotherFaultIsAnotherAlarm(t *testing.T) {
	inBubble(t, func(b *bundle) {
		b.write("cert", "second")
		b.looks(10)
		b.want("", 1, 1, 1)
		if err := os.Remove(filepath.Join(b.dir, "cert")); err != nil {
			t.Fatal(err)
		}
		b.looks(10)
		b.want("", 2, 1, 2)
		for _, fault := range []string{"the halves do not agree", "cert is not there"} {
			if !strings.Contains(b.logged(), `"fault":"`+fault+`"`) {
				t.Errorf("the log does not say %q:\n%s", fault, b.logged())
			}
		}
	})
}

// A content that is refused today, such as a certificate that does not count yet, may be fit tomorrow.
func TestARefusedContentIsTriedAgain(t *testing.T) {
	inBubble(t, func(b *bundle) {
		refuse := func(err error) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.refusal = err
		}
		refuse(errors.New("too early"))
		b.swap("second", "second")
		b.looks(10)
		b.want("", 1, 1, 1)
		refuse(nil)
		b.looks(1)
		b.want("second", 1, 0, 1)
	})
}
