package reload

import (
	"context"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// Interval is how often a process looks at its files. A change is in use after two looks: 5 to 10 s.
const Interval = 5 * time.Second

// sayAgain is how often an alarm is repeated while nothing changes.
const sayAgain = 10 * time.Minute

// Source is a set of files that only make sense together, such as a certificate and its key.
type Source struct {
	// Setting is where the configuration names the files, and Account the account it belongs to, empty for none. Both
	// are labels of metrics.
	Setting, Account string
	// InUse is what the files held when they were put to use.
	InUse []string
	// ReadFunc reads all files. Its error may be logged.
	ReadFunc func() ([]string, error)
	// UseFunc checks what was read and puts it to use for everything that begins later, or changes nothing and says
	// why. It returns what may be said of the content, such as a fingerprint. Both may be logged.
	UseFunc func([]string) (string, error)
}

// Watcher looks at sources.
type Watcher struct {
	watched []*watched
	log     zerolog.Logger
	metrics *metrics
}

// New prepares a watcher and registers its metrics. It reads nothing.
func New(sources []Source, log zerolog.Logger, reg prometheus.Registerer) *Watcher {
	w := &Watcher{log: log, metrics: newMetrics(reg, sources)}
	for _, s := range sources {
		w.watched = append(w.watched, &watched{Source: s, last: found{content: s.InUse}})
	}
	return w
}

// Run looks at every source once per interval until ctx ends. It returns nil.
func (w *Watcher) Run(ctx context.Context, interval time.Duration) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		for _, s := range w.watched {
			w.look(s)
		}
	}
}

// watched is a source with what is known of it. Only Run touches it.
type watched struct {
	Source

	// last is what the look before found.
	last found
	// fault is the alarm that stands, "" for none, and said is when it was logged last.
	fault string
	said  time.Time
}

// found is what one look found: a content or a fault.
type found struct {
	content []string
	fault   string
}

func (f found) equal(other found) bool {
	return f.fault == other.fault && slices.Equal(f.content, other.content)
}

// look counts only what the look before has found, too. A file that is being written, and a set of which only one half
// was replaced yet, look fit or unfit for a moment only.
func (w *Watcher) look(s *watched) {
	var now found
	content, err := s.ReadFunc()
	if err != nil {
		now.fault = err.Error()
	} else {
		now.content = content
	}
	steady := now.equal(s.last)
	s.last = now
	switch {
	case now.fault == "" && slices.Equal(now.content, s.InUse):
		if w.endAlarm(s) {
			w.log.Info().Str("setting", s.Setting).Str("account", s.Account).Msg("files are as they were; the alarm is over")
		}
	case !steady:
	case now.fault != "":
		w.unfit(s, now.fault)
	default:
		shown, err := s.UseFunc(now.content)
		if err != nil {
			w.unfit(s, err.Error())
			return
		}
		s.InUse = now.content
		w.metrics.changes.WithLabelValues(s.Setting, s.Account, resultUsed).Inc()
		line := w.log.Info().Str("setting", s.Setting).Str("account", s.Account)
		if shown != "" {
			line = line.Str("content", shown)
		}
		line.Msg("files have changed and are in use")
		w.endAlarm(s)
	}
}

// endAlarm says whether there was one.
func (w *Watcher) endAlarm(s *watched) bool {
	stood := s.fault != ""
	s.fault = ""
	w.metrics.unfit.WithLabelValues(s.Setting, s.Account).Set(0)
	return stood
}

// unfit raises an alarm, and repeats it now and then.
func (w *Watcher) unfit(s *watched, fault string) {
	if s.fault != fault {
		w.metrics.changes.WithLabelValues(s.Setting, s.Account, resultRefused).Inc()
		w.metrics.unfit.WithLabelValues(s.Setting, s.Account).Set(1)
	} else if time.Since(s.said) < sayAgain {
		return
	}
	s.fault, s.said = fault, time.Now()
	w.log.Error().Str("alarm", "unfit-files").Str("setting", s.Setting).Str("account", s.Account).Str("fault", fault).
		Msg("files cannot be used; what was read before stays in use, until a restart")
}
