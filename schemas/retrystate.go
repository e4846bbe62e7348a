package schemas

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// RetryState is what a retry copy carries beside the command's own bytes.
type RetryState struct {
	// Hop is the schedule generation: every copy into a tier raises it by one.
	Hop int
	// Attempt counts the passes that may have reached the gateway.
	Attempt int
	// Due is when the copy may be worked on; FirstSeen when the command was first read. Whole milliseconds.
	Due, FirstSeen time.Time
	Origin         Origin
	// MaybeSent is sticky: true once a send was not provably unsent.
	MaybeSent bool
	// Account and GatewayKey are frozen at the first claim; empty on parked copies that were never claimed.
	Account, GatewayKey string
}

// maxWireMillis is 9999-12-31T23:59:59.999Z, the last moment RFC 3339 can write.
const maxWireMillis = 253402300799999

// ErrOrigin is wrapped by every error of [ParseOrigin].
var ErrOrigin = errors.New("invalid origin")

// HeaderError names the header of a retry copy that is missing, repeated or malformed. Its text never holds the value.
type HeaderError struct {
	Header string
	Detail string
}

// Error is "header <name>: <detail>".
func (e *HeaderError) Error() string { return "header " + e.Header + ": " + e.Detail }

// Headers is the wire form: times in milliseconds since the epoch, cut; maybe-sent, account and gateway key only where
// they say something.
func (s RetryState) Headers() []Header {
	hs := make([]Header, 0, 8)
	hs = append(hs,
		Header{HeaderHop, strconv.AppendInt(nil, int64(s.Hop), 10)},
		Header{HeaderAttempt, strconv.AppendInt(nil, int64(s.Attempt), 10)},
		Header{HeaderDue, strconv.AppendInt(nil, s.Due.UnixMilli(), 10)},
		Header{HeaderFirstSeen, strconv.AppendInt(nil, s.FirstSeen.UnixMilli(), 10)},
		Header{HeaderOrigin, []byte(s.Origin.String())},
	)
	if s.MaybeSent {
		hs = append(hs, Header{HeaderMaybeSent, []byte(HeaderSet)})
	}
	if s.Account != "" {
		hs = append(hs, Header{HeaderAccount, []byte(s.Account)})
	}
	if s.GatewayKey != "" {
		hs = append(hs, Header{HeaderGatewayKey, []byte(s.GatewayKey)})
	}
	return hs
}

// ParseRetryState reads what [RetryState.Headers] writes, among other headers. A copy in a tier has a hop of at least
// 1; a parked copy keeps the hop of its source, which may be 0: the caller knows which it reads. The error is a
// *[HeaderError]. Anything but the canonical form is refused, because a guessed due time blocks a tier and a guessed
// maybe-sent pays twice.
func ParseRetryState(hs []Header) (RetryState, error) {
	r := headerReader{headers: hs}
	s := RetryState{
		Hop:        int(r.count(HeaderHop, math.MaxInt32)),
		Attempt:    int(r.count(HeaderAttempt, math.MaxInt32)),
		Due:        time.UnixMilli(r.count(HeaderDue, maxWireMillis)).UTC(),
		FirstSeen:  time.UnixMilli(r.count(HeaderFirstSeen, maxWireMillis)).UTC(),
		Origin:     r.origin(HeaderOrigin),
		MaybeSent:  r.text(HeaderMaybeSent, func(v string) bool { return v == HeaderSet }) != "",
		Account:    r.text(HeaderAccount, validAccount),
		GatewayKey: r.text(HeaderGatewayKey, graphic(64)),
	}
	if r.err != nil {
		return RetryState{}, r.err
	}
	return s, nil
}

// ParseOrigin reads topic/partition/offset. A topic's name has dots but no slashes. The error wraps [ErrOrigin].
func ParseOrigin(s string) (Origin, error) {
	topic, rest, _ := strings.Cut(s, "/")
	partition, offset, _ := strings.Cut(rest, "/")
	p, partitionOK := parseCount(partition, math.MaxInt32)
	o, offsetOK := parseCount(offset, math.MaxInt64)
	if !validTopic(topic) || !partitionOK || !offsetOK {
		return Origin{}, fmt.Errorf("%w: topic/partition/offset is needed", ErrOrigin)
	}
	return Origin{Topic: topic, Partition: int(p), Offset: o}, nil
}

// headerReader reads headers and keeps the first error; after it every method gives zero values.
type headerReader struct {
	headers []Header
	err     error
}

func (r *headerReader) fail(key, detail string) {
	if r.err == nil {
		r.err = &HeaderError{Header: key, Detail: detail}
	}
}

// only finds the header with the key and refuses a second one: nobody could say which of the two is meant.
func (r *headerReader) only(key string) (text string, found bool) {
	for i := range r.headers {
		switch {
		case r.headers[i].Key != key:
		case found:
			r.fail(key, "appears twice")
			return "", false
		default:
			text, found = string(r.headers[i].Value), true
		}
	}
	return text, found
}

func (r *headerReader) count(key string, limit int64) int64 {
	text, found := r.only(key)
	if !found {
		r.fail(key, "is missing")
		return 0
	}
	n, ok := parseCount(text, limit)
	if !ok {
		r.fail(key, "is not a whole number from 0 to "+strconv.FormatInt(limit, 10))
	}
	return n
}

func (r *headerReader) origin(key string) Origin {
	text, found := r.only(key)
	if !found {
		r.fail(key, "is missing")
		return Origin{}
	}
	origin, err := ParseOrigin(text)
	if err != nil {
		r.fail(key, "is not topic/partition/offset")
	}
	return origin
}

// text is an optional header; a present one must be valid.
func (r *headerReader) text(key string, valid func(string) bool) string {
	text, found := r.only(key)
	if found && !valid(text) {
		r.fail(key, "has an invalid value")
		return ""
	}
	return text
}

// parseCount reads digits without sign or leading zero, up to a limit.
func parseCount(s string, limit int64) (int64, bool) {
	if s == "" || len(s) > 1 && s[0] == '0' || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n > limit {
		return 0, false
	}
	return n, true
}
