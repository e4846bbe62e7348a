package schemas

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Memo is what an outcome event carries in its headers for the workers themselves: with it the event is enough to
// rebuild the request's record when the store has forgotten it. A ledger needs none of it.
type Memo struct {
	// FingerprintVersion and FingerprintSum tell whether a later command under this request ID is the same one. The sum
	// is opaque.
	FingerprintVersion int
	FingerprintSum     string
	// FirstSeen is when the command was read first, in whole milliseconds; zero when it is not known.
	FirstSeen time.Time
	// GatewayKey is the gateway's idempotency key, frozen at the first claim; only progress has one.
	GatewayKey string
}

// Headers is the wire form; what is not known is left out.
func (m Memo) Headers() []Header {
	var hs []Header
	if m.FingerprintSum != "" {
		hs = append(hs, Header{HeaderFingerprint, []byte(strconv.Itoa(m.FingerprintVersion) + ":" + m.FingerprintSum)})
	}
	if !m.FirstSeen.IsZero() {
		hs = append(hs, Header{HeaderFirstSeen, strconv.AppendInt(nil, m.FirstSeen.UnixMilli(), 10)})
	}
	if m.GatewayKey != "" {
		hs = append(hs, Header{HeaderGatewayKey, []byte(m.GatewayKey)})
	}
	return hs
}

// ParseMemo reads what [Memo.Headers] writes, among other headers. What is missing stays zero; what is repeated or not
// in the canonical form is a *[HeaderError], and then nothing is believed.
func ParseMemo(hs []Header) (Memo, error) {
	r := headerReader{headers: hs}
	var m Memo
	m.FingerprintVersion, m.FingerprintSum, _ = parseFingerprint(r.text(HeaderFingerprint, func(v string) bool {
		_, _, ok := parseFingerprint(v)
		return ok
	}))
	if _, found := r.only(HeaderFirstSeen); found {
		m.FirstSeen = time.UnixMilli(r.count(HeaderFirstSeen, maxWireMillis)).UTC()
	}
	m.GatewayKey = r.text(HeaderGatewayKey, graphic(64))
	if r.err != nil {
		return Memo{}, r.err
	}
	return m, nil
}

func parseFingerprint(text string) (version int, sum string, ok bool) {
	number, sum, _ := strings.Cut(text, ":")
	n, counted := parseCount(number, math.MaxInt32)
	if !counted || n == 0 || !graphic(64)(sum) {
		return 0, "", false
	}
	return int(n), sum, true
}
