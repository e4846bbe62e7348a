package dedupe

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"refundworker/refund"
	"refundworker/schemas"
)

// The numbers of fields in a packed record, as common.lua writes them. An unsettled one is followed by the record that
// was there before the claim, if any.
const (
	unsettledFields = 19
	settledFields   = 8
)

// recordFormat is the first field of every record; common.lua calls it FORMAT.
const recordFormat = "1"

// stateSettled marks a settled record in its second field.
const stateSettled = "s"

// escape makes a text safe inside a packed record: gateways' IDs may hold any character.
func escape(text string) string {
	if !strings.ContainsAny(text, "|%") {
		return text
	}
	return strings.ReplaceAll(strings.ReplaceAll(text, "%", "%25"), "|", "%7C")
}

func unescape(text string) string {
	if !strings.Contains(text, "%") {
		return text
	}
	return strings.ReplaceAll(strings.ReplaceAll(text, "%7C", "|"), "%25", "%")
}

// millis is a moment in a record: milliseconds since the epoch, 0 for the zero time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// fields reads a packed record field by field and remembers the first that makes no sense.
type fields struct {
	texts []string
	next  int
	err   error
}

func (f *fields) text() string {
	text := unescape(f.texts[f.next])
	f.next++
	return text
}

func (f *fields) int64() int64 {
	n, err := strconv.ParseInt(f.texts[f.next], 10, 64)
	if err != nil && f.err == nil {
		f.err = fmt.Errorf("%w: field %d of a record is no number", ErrCorrupt, f.next+1)
	}
	f.next++
	return n
}

// base36 is a number as the scripts pack the time of a settled record.
func (f *fields) base36() int64 {
	n, err := strconv.ParseInt(f.texts[f.next], 36, 64)
	if err != nil && f.err == nil {
		f.err = fmt.Errorf("%w: field %d of a record is no number", ErrCorrupt, f.next+1)
	}
	f.next++
	return n
}

// The packed statuses of a settled record.
const (
	packedSuccess = "s"
	packedFailed  = "f"
)

func packStatus(s schemas.Status) string {
	if s == schemas.Success {
		return packedSuccess
	}
	return packedFailed
}

// packCode leaves out the code that a success has anyway.
func packCode(s schemas.Status, c schemas.Code) string {
	if s == schemas.Success && c == schemas.CodeRefunded {
		return ""
	}
	return escape(string(c))
}

func (f *fields) settled() refund.SettledAs {
	as := refund.SettledAs{Status: schemas.Failed}
	switch f.text() {
	case packedSuccess:
		as.Status = schemas.Success
	case packedFailed:
	default:
		f.err = fmt.Errorf("%w: field %d of a record is no status", ErrCorrupt, f.next)
	}
	if as.Code = schemas.Code(f.text()); as.Code == "" && as.Status == schemas.Success {
		as.Code = schemas.CodeRefunded
	}
	return as
}

func (f *fields) int() int { return int(f.int64()) }

// readPacked fills an answer with a packed record of the format common.lua writes.
func (a *recordAnswer) readPacked(raw string) error {
	texts := strings.SplitN(raw, "|", unsettledFields+1)
	if len(texts) < settledFields+1 {
		return fmt.Errorf("%w: a record of %d fields", ErrCorrupt, len(texts))
	}
	f := &fields{texts: texts, next: 4}
	a.payment = f.text()
	if texts[1] == stateSettled {
		a.settled = f.settled()
		a.record = refund.Record{FirstSeen: fromMillis(f.base36())}
		return f.err
	}
	if len(texts) != unsettledFields+1 {
		return fmt.Errorf("%w: an unsettled record of %d fields", ErrCorrupt, len(texts))
	}
	a.record.Token = f.text()
	f.next++ // the lease's end is only for the scripts
	a.record.Hop, a.record.Attempt = f.int(), f.int()
	mark := f.text()
	a.record.MaybeSent, a.record.Contradicted = mark != "0", mark == "2"
	a.record.Takeovers = f.int()
	a.record.Account, a.record.GatewayKey, a.record.GatewayRefundID = f.text(), f.text(), f.text()
	a.record.FirstSeen = fromMillis(f.int64())
	a.record.Code, a.record.Due = schemas.Code(f.text()), fromMillis(f.int64())
	a.record.Via, a.record.SentSince = f.text(), fromMillis(f.int64())
	// An adopted record has no past either, but may have been sent.
	a.born = texts[unsettledFields] == ""
	a.fresh = a.born && !a.record.MaybeSent
	return f.err
}

// readStored fills an answer with the record and the outcome that a script handed over.
func (a *recordAnswer) readStored(packed, outcome string) error {
	if outcome != "" {
		a.outcome = []byte(outcome)
	}
	switch a.found {
	case foundVersion, foundLost:
		return nil
	case foundConflict:
		// The first command's record is nothing to its rival; only its payment matters, and whether it has ended.
		var first recordAnswer
		err := first.readPacked(packed)
		a.payment, a.settled = first.payment, first.settled
		return err
	}
	return a.readPacked(packed)
}
