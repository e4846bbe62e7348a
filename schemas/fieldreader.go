package schemas

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// need says whether a field must be there.
type need bool

const (
	required need = true
	optional need = false
)

// textRule is the rule of one string field; detail is what the producer reads when it is broken.
type textRule struct {
	valid  func(string) bool
	detail string
}

// fieldReader reads the members of one object and keeps the first fault; after it every method gives zero values.
type fieldReader struct {
	object *value
	fault  *fault
}

func (r *fieldReader) fail(name, detail string) {
	if r.fault == nil {
		r.fault = (&fault{detail: detail}).under(name)
	}
}

// get finds a member of the kind, or fails where it must be there or has another kind.
func (r *fieldReader) get(name string, n need, k kind) *value {
	if r.fault != nil {
		return nil
	}
	v, found := r.object.member(name)
	switch {
	case !found && n == required:
		r.fail(name, "this field is required")
		return nil
	case !found:
		return nil
	case v.kind != k:
		r.fail(name, k.String()+" is needed, not "+v.kind.String())
		return nil
	}
	return v
}

func (r *fieldReader) absent(name, detail string) {
	if _, found := r.object.member(name); found {
		r.fail(name, detail)
	}
}

func (r *fieldReader) version(known int64) int { //nolint:unparam // each message counts its versions by itself
	v := r.get("schemaVersion", required, kindNumber)
	if v == nil {
		return 0
	}
	if n := v.integer(); n == nil || n.Cmp(big.NewInt(known)) != 0 {
		r.fail("schemaVersion", "the schema version must be "+strconv.FormatInt(known, 10))
		return 0
	}
	return int(known)
}

func (r *fieldReader) text(name string, n need, rule textRule) string {
	v := r.get(name, n, kindString)
	if v == nil {
		return ""
	}
	if !rule.valid(v.text) {
		r.fail(name, rule.detail)
		return ""
	}
	return v.text
}

// nested reads an object's members with a reader of their own; false where there is no such object, or a faulty one.
func (r *fieldReader) nested(name string, n need, read func(in *fieldReader)) bool {
	v := r.get(name, n, kindObject)
	if v == nil {
		return false
	}
	in := fieldReader{object: v}
	read(&in)
	if in.fault != nil {
		r.fault = in.fault.under(name)
	}
	return in.fault == nil
}

func (r *fieldReader) money(name string, n need) *Money {
	var m Money
	found := r.nested(name, n, func(in *fieldReader) {
		m.Currency = in.text("currency", required, currencyRule)
		digits := in.get("value", required, kindString)
		if digits == nil {
			return
		}
		var err error
		if m.Minor, err = ParseMinor(digits.text); err != nil {
			in.fail("value", fmt.Sprintf("1 to %d digits of minor units are needed, at least 1, without sign or leading zero", MaxMinorDigits))
		}
	})
	if !found {
		return nil
	}
	return &m
}

func (r *fieldReader) boolean(name string) bool {
	v := r.get(name, required, kindBool)
	return v != nil && v.text == "true"
}

// count reads a whole number from 0 to the limit.
func (r *fieldReader) count(name string, limit int64) int64 {
	v := r.get(name, required, kindNumber)
	if v == nil {
		return 0
	}
	n := v.integer()
	if n == nil || n.Sign() < 0 || n.Cmp(big.NewInt(limit)) > 0 {
		r.fail(name, "a whole number from 0 to "+strconv.FormatInt(limit, 10)+" is needed")
		return 0
	}
	return n.Int64()
}

func (r *fieldReader) origin(name string) Origin {
	var o Origin
	r.nested(name, required, func(in *fieldReader) {
		o.Topic = in.text("topic", required, topicRule)
		o.Partition = int(in.count("partition", math.MaxInt32))
		o.Offset = in.count("offset", math.MaxInt64)
	})
	return o
}

func (r *fieldReader) texts(name string) map[string]string {
	v := r.get(name, optional, kindObject)
	if v == nil || len(v.members) == 0 {
		return nil
	}
	texts := make(map[string]string, len(v.members))
	for i := range v.members {
		m := &v.members[i]
		if m.value.kind != kindString {
			r.fault = (&fault{detail: "metadata holds strings only, not " + m.value.kind.String()}).under(m.name).under(name)
			return nil
		}
		texts[m.name] = m.value.text
	}
	return texts
}

// moment reads a producer's time: any RFC 3339 moment that [parseDateTime] takes.
func (r *fieldReader) moment(name string) *Time {
	v := r.get(name, optional, kindString)
	if v == nil {
		return nil
	}
	t, ok := parseDateTime(v.text)
	if !ok {
		r.fail(name, "an RFC 3339 moment is needed, such as 2026-11-28T00:00:00.000Z")
		return nil
	}
	return &Time{Time: t}
}

// time reads a time of ours, which has one form only: [TimeLayout].
func (r *fieldReader) time(name string, n need) *Time {
	v := r.get(name, n, kindString)
	if v == nil {
		return nil
	}
	t, err := time.Parse(TimeLayout, v.text)
	if err != nil || !encodableYear(t) || t.Format(TimeLayout) != v.text {
		r.fail(name, "a time such as 2026-11-28T00:00:00.000Z is needed, in UTC with milliseconds")
		return nil
	}
	return &Time{Time: t}
}

// timeOrNull reads a field that must be there and may be null.
func (r *fieldReader) timeOrNull(name string) *Time {
	if v, found := r.object.member(name); found && v.kind == kindNull {
		return nil
	}
	return r.time(name, required)
}

// parseDateTime reads an RFC 3339 moment and cuts it to the milliseconds the wire has. It is narrower than
// time.Parse: upper-case T and Z, a point before at most nine digits of fraction, an offset below 24 hours, and a year
// from 1000 to 2999.
func parseDateTime(s string) (time.Time, bool) {
	const shortest = len("2006-01-02T15:04:05Z")
	if len(s) < shortest || s[0] != '1' && s[0] != '2' || s[10] != 'T' {
		return time.Time{}, false
	}
	zone := s[shortest-1:]
	if fraction, found := strings.CutPrefix(zone, "."); found {
		zone = strings.TrimLeft(fraction, "0123456789")
		if len(fraction)-len(zone) > 9 {
			return time.Time{}, false
		}
	}
	if zone != "Z" && (len(zone) != len("+00:00") || zone[1:3] > "23" || zone[4:] > "59") {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, false
	}
	return t.UTC().Truncate(time.Millisecond), true
}

// encodableYear says whether a moment has the four-digit year, from 1000 to 2999, that the schemas' times are held to.
func encodableYear(t time.Time) bool {
	year := t.UTC().Year()
	return year >= 1000 && year <= 2999
}
