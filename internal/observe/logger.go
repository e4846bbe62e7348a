package observe

import (
	"fmt"
	"io"
	"time"

	"github.com/rs/zerolog"
)

// timeLayout is RFC 3339 with milliseconds. Log times are in UTC.
const timeLayout = "2006-01-02T15:04:05.000Z07:00"

// The formats of log lines.
const (
	formatJSON    = "json"
	formatConsole = "console"
)

// Logger returns a logger that writes lines of the level (trace, debug, info, warn or error) and above to w, as json
// or, for people, as console. Every line has its time, in UTC with milliseconds. Another level or format is an error.
func Logger(w io.Writer, level, format string) (zerolog.Logger, error) {
	least, err := leastLevel(level)
	if err != nil {
		return zerolog.Nop(), err
	}
	// Every part of the process logs; a line is one Write, and only a file takes those from several goroutines.
	w = zerolog.SyncWriter(w)
	switch format {
	case formatJSON:
	case formatConsole:
		w = zerolog.ConsoleWriter{Out: w, NoColor: true, TimeFormat: timeLayout, TimeLocation: time.UTC}
	default:
		return zerolog.Nop(), fmt.Errorf("log format %q is neither %s nor %s", format, formatJSON, formatConsole)
	}
	return zerolog.New(w).Level(least).Hook(stamp{}), nil
}

func leastLevel(level string) (zerolog.Level, error) {
	for _, known := range []zerolog.Level{zerolog.TraceLevel, zerolog.DebugLevel, zerolog.InfoLevel, zerolog.WarnLevel, zerolog.ErrorLevel} {
		if known.String() == level {
			return known, nil
		}
	}
	return zerolog.NoLevel, fmt.Errorf("log level %q is none of trace, debug, info, warn, error", level)
}

// stamp adds the time. zerolog's own timestamp takes layout and zone from package variables, which would change every
// other logger of the process too.
type stamp struct{}

// Run is zerolog's hook.
func (stamp) Run(event *zerolog.Event, _ zerolog.Level, _ string) {
	event.Str(zerolog.TimestampFieldName, timestamp(time.Now()))
}

func timestamp(t time.Time) string { return t.UTC().Format(timeLayout) }
