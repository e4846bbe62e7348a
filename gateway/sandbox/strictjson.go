package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"time"
)

var errTrailing = errors.New("data after the JSON document")

// decodeStrict reads one JSON document and refuses unknown fields and anything behind it: a misspelt fault that is
// silently ignored would make a test pass for nothing.
func decodeStrict(raw []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errTrailing
	}
	return nil
}

func durationText(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

func parseDuration(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	return time.ParseDuration(text)
}
