package schemas_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"refundworker/schemas"
)

func TestAMemoIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	whole := schemas.Memo{FingerprintVersion: 12, FingerprintSum: "0a:1b", FirstSeen: time.UnixMilli(1795262400000).UTC(), GatewayKey: "R1"}
	for name, want := range map[string]schemas.Memo{
		"whole": whole, "nothing": {}, "fingerprint alone": {FingerprintVersion: 1, FingerprintSum: "f"},
	} {
		among := append([]schemas.Header{{Key: schemas.HeaderCEID, Value: []byte("a/final")}}, want.Headers()...)
		got, err := schemas.ParseMemo(among)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got)\n%s", name, err, diff)
		}
	}
}

func TestABrokenMemoIsNotBelieved(t *testing.T) {
	t.Parallel()
	for _, broken := range []schemas.Header{
		{Key: schemas.HeaderFingerprint, Value: []byte("abc")},
		{Key: schemas.HeaderFingerprint, Value: []byte("0:abc")},
		{Key: schemas.HeaderFingerprint, Value: []byte("01:abc")},
		{Key: schemas.HeaderFingerprint, Value: []byte("1:")},
		{Key: schemas.HeaderFingerprint, Value: []byte("1:a b")},
		{Key: schemas.HeaderFirstSeen, Value: []byte("-1")},
		{Key: schemas.HeaderFirstSeen, Value: []byte("")},
		{Key: schemas.HeaderGatewayKey, Value: []byte("")},
	} {
		good := schemas.Memo{FingerprintVersion: 1, FingerprintSum: "f", FirstSeen: time.UnixMilli(1), GatewayKey: "k"}.Headers()
		for i := range good {
			if good[i].Key == broken.Key {
				good[i] = broken
			}
		}
		twice := append(schemas.Memo{FingerprintVersion: 1, FingerprintSum: "f", FirstSeen: time.UnixMilli(1), GatewayKey: "k"}.Headers(), broken)
		for name, hs := range map[string][]schemas.Header{"broken": good, "twice": twice} {
			var fault *schemas.HeaderError
			got, err := schemas.ParseMemo(hs)
			if !errors.As(err, &fault) || fault.Header != broken.Key || got != (schemas.Memo{}) {
				t.Errorf("%s %s %q: %+v, %v", name, broken.Key, broken.Value, got, err)
			}
		}
	}
}
