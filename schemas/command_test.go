package schemas

import (
	"encoding/json"
	"testing"
	"time"
)

func TestTimeIsWrittenInUTCWithMilliseconds(t *testing.T) {
	t.Parallel()
	hongKong := time.FixedZone("HKT", 8*3600)
	for want, at := range map[string]time.Time{
		`"2026-11-28T00:00:00.000Z"`: time.Date(2026, 11, 28, 8, 0, 0, 0, hongKong),
		`"2026-11-28T00:00:00.999Z"`: time.Date(2026, 11, 28, 0, 0, 0, 999_999_999, time.UTC),
	} {
		if got := string(marshal(t, Time{at})); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestTimeReadsAnyRFC3339MomentAndKeepsItInUTC(t *testing.T) {
	t.Parallel()
	var got Time
	if err := json.Unmarshal([]byte(`"2026-11-28T08:00:00.5+08:00"`), &got); err != nil {
		t.Fatal(err)
	}
	if want := time.Date(2026, 11, 28, 0, 0, 0, 5e8, time.UTC); got.Time != want {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, raw := range []string{`"tomorrow"`, `1700000000`, `""`} {
		if err := json.Unmarshal([]byte(raw), new(Time)); err == nil {
			t.Errorf("%s is taken for a time", raw)
		}
	}
}

func TestTimePtrIsNilForTheZeroTime(t *testing.T) {
	t.Parallel()
	if got := TimePtr(time.Time{}); got != nil {
		t.Errorf("got %v", got)
	}
	at := time.Date(2026, 11, 28, 8, 0, 0, 0, time.FixedZone("HKT", 8*3600))
	if got := TimePtr(at); got == nil || !got.Equal(at) || got.Location() != time.UTC {
		t.Errorf("got %v", got)
	}
}
