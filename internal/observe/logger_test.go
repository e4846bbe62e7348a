package observe

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestAJSONLineHasItsTimeInUTCWithMilliseconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log, err := Logger(&out, "info", "json")
		if err != nil {
			t.Fatal(err)
		}
		child := log.With().Str("request_id", "r").Logger()
		child.Info().Int64("dur_ms", 7).Msg("settled")
		var line map[string]any
		if err := json.Unmarshal(out.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		// A bubble begins at this moment.
		if line["time"] != "2000-01-01T00:00:00.000Z" || line["level"] != "info" || line["request_id"] != "r" || line["message"] != "settled" {
			t.Errorf("got %v", line)
		}
	})
}

func TestTimesAreInUTCWhereverTheMachineIs(t *testing.T) {
	t.Parallel()
	hongKong := time.FixedZone("HKT", 8*60*60)
	if got := timestamp(time.Date(2026, 11, 22, 7, 30, 0, 5e6, hongKong)); got != "2026-11-21T23:30:00.005Z" {
		t.Errorf("got %s", got)
	}
}

func TestAConsoleLineIsTextWithTheSameTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log, err := Logger(&out, "info", "console")
		if err != nil {
			t.Fatal(err)
		}
		log.Warn().Str("addr", "a:1").Msg("hello")
		if got := out.String(); got != "2000-01-01T00:00:00.000Z WRN hello addr=a:1\n" {
			t.Errorf("got %q", got)
		}
	})
}

func TestLinesBelowTheLevelAreNotWritten(t *testing.T) {
	t.Parallel()
	levels := []string{"trace", "debug", "info", "warn", "error"}
	for i, level := range levels {
		var out bytes.Buffer
		log, err := Logger(&out, level, "json")
		if err != nil {
			t.Fatal(err)
		}
		log.Trace().Msg("")
		log.Debug().Msg("")
		log.Info().Msg("")
		log.Warn().Msg("")
		log.Error().Msg("")
		if got, want := strings.Count(out.String(), "\n"), len(levels)-i; got != want {
			t.Errorf("%s wrote %d lines, want %d", level, got, want)
		}
		if stamps := regexp.MustCompile(`"time":"`).FindAllString(out.String(), -1); len(stamps) != len(levels)-i {
			t.Errorf("%s wrote %d times", level, len(stamps))
		}
	}
}

func TestUnknownLevelsAndFormatsAreRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ level, format, want string }{
		{"loud", "json", `log level "loud" is none of trace, debug, info, warn, error`},
		{"", "json", `log level "" is none of trace, debug, info, warn, error`},
		{"INFO", "json", `log level "INFO" is none of trace, debug, info, warn, error`},
		{"disabled", "json", `log level "disabled" is none of trace, debug, info, warn, error`},
		{"info", "xml", `log format "xml" is neither json nor console`},
		{"info", "", `log format "" is neither json nor console`},
	} {
		var out bytes.Buffer
		log, err := Logger(&out, tt.level, tt.format)
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s, %s: got %v", tt.level, tt.format, err)
		}
		log.Error().Msg("")
		if out.Len() > 0 {
			t.Errorf("%s, %s: the logger of an error wrote %q", tt.level, tt.format, out.String())
		}
	}
}

func TestLinesFromManyGoroutinesDoNotMix(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer // not safe by itself: the race detector watches
	log, err := Logger(&out, "info", "json")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				log.Info().Msg("a line")
			}
		})
	}
	wg.Wait()
	if lines := strings.Count(out.String(), "\n"); lines != 400 {
		t.Errorf("%d lines, want 400", lines)
	}
}
