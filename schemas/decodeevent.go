package schemas

import "fmt"

// DecodeOutcome reads an outcome event by the rules of outcome.schema.json. Fields that the schema does not name are
// ignored. The error is a *[DecodeError]; a newer schema version is [ErrNewerVersion].
func DecodeOutcome(raw []byte) (Outcome, error) {
	root, e := parseEvent(raw, OutcomeVersion)
	if e != nil {
		return Outcome{}, e
	}
	o, f := readOutcome(&root)
	if f != nil {
		return Outcome{}, refuse(CodeSchemaViolation, f)
	}
	return o, nil
}

// DecodeRejection reads a rejection event by the rules of command-rejected.schema.json, otherwise as [DecodeOutcome].
func DecodeRejection(raw []byte) (Rejection, error) {
	root, e := parseEvent(raw, RejectionVersion)
	if e != nil {
		return Rejection{}, e
	}
	if err := validate(RejectionSchema, root.tree()); err != nil {
		return Rejection{}, err
	}
	// The schema has judged; the rules here only have to let pass what it let pass.
	r := fieldReader{object: &root}
	rejection := Rejection{
		SchemaVersion: r.version(RejectionVersion),
		RequestID:     r.text("requestId", optional, anyText()),
		Code:          Code(r.text("code", required, anyText())),
		Detail:        r.text("detail", required, anyText()),
		Pointer:       r.text("pointer", optional, anyText()),
		Origin:        r.origin("origin"),
	}
	if at := r.time("occurredAt", required); at != nil {
		rejection.OccurredAt = *at
	}
	if r.fault != nil {
		return Rejection{}, refuse(CodeSchemaViolation, r.fault)
	}
	return rejection, nil
}

// anyText is the rule of a text that a schema has judged already.
func anyText() textRule { return textRule{valid: func(string) bool { return true }} }

// parseEvent parses an event and tells a newer version from a broken one.
func parseEvent(raw []byte, version int64) (value, *DecodeError) {
	if len(raw) > MaxOutcomeBytes {
		return value{}, &DecodeError{
			Code:   CodeTooLarge,
			Detail: fmt.Sprintf("the event has %d bytes, the limit is %d", len(raw), MaxOutcomeBytes),
		}
	}
	root, f := parseJSON(raw)
	if f != nil {
		return value{}, refuse(CodeUnreadable, f)
	}
	if newer, isNewer := newerVersion(&root, version); isNewer {
		return value{}, newer
	}
	return root, nil
}
