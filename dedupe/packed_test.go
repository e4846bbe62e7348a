package dedupe

import (
	"errors"
	"strings"
	"testing"
)

// Whatever stands where a record should: it is read, or called corrupt, and never panics.
func FuzzReadPacked(f *testing.F) {
	sum := strings.Repeat("0", 64)
	for _, seed := range []string{
		"", "|", "1|s|1|" + sum + "|pay|s||mia3f2k1|", "1|s|1|" + sum + "|pay|f|CODE%7C|0|", "1|s|1|" + sum + "|pay|f|CODE|5", "1|s|1|" + sum + "|pay|x||5|", "1|r|1|" + sum + "|pay|t|0|1|1|1|0|a",
		"1|r|1|" + sum + "|pay|t|0|1|1|1|0|a|g||5|CODE|0|via|",
		"1|w|1|" + sum + "|pay|t|0|1|1|0|0|a|g|g%7C%25|5|CODE|7|via|1|w|1|a|record|of|the|past", "1|r|1|" + sum + "|pay|t|0|x|1|1|0|a|g||5|CODE|0|via|",
		strings.Repeat("|", 40), "1|s" + strings.Repeat("|9223372036854775808", 11),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if text := unescape(escape(raw)); text != raw || strings.Contains(escape(raw), "|") {
			t.Fatalf("%q is packed as %q, and unpacked as %q", raw, escape(raw), text)
		}
		var a recordAnswer
		err := a.readPacked(raw)
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatalf("%q: %v", raw, err)
		}
		if err == nil && strings.Count(raw, "|") < settledFields {
			t.Fatalf("%q is read as %+v", raw, a.record)
		}
	})
}
