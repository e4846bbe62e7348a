package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Kind names a way to misbehave. The list is closed. "Before" means that the request is not processed and never will
// be; "after" means that it is processed first, and the client learns nothing of it.
type Kind string

// The kinds.
const (
	// None lets the call through; it is a placeholder in scripts.
	None Kind = "none"

	// DropBefore and DropAfter close the connection without an answer.
	DropBefore Kind = "drop-before"
	DropAfter  Kind = "drop-after"
	// DelayBefore waits for Delay, then processes and answers; a client that leaves meanwhile is not served at all.
	DelayBefore Kind = "delay-before"
	// Late waits for Delay, then processes, also when the client has left: the refund appears after its timeout.
	Late Kind = "late"
	// DelayAfter processes, then waits for Delay before it answers.
	DelayAfter Kind = "delay-after"

	// UnknownBefore and UnknownAfter answer U UNKNOWN_EXCEPTION.
	UnknownBefore Kind = "unknown-before"
	UnknownAfter  Kind = "unknown-after"
	// UnknownHalfway accepts the refund, leaves it unfinished and answers U UNKNOWN_EXCEPTION; the same refund sent
	// again is carried to its end. Only for refunds; one that is known already is answered as without the fault, but U.
	UnknownHalfway Kind = "unknown-halfway"
	// ThrottleBefore and ThrottleAfter answer U REQUEST_TRAFFIC_EXCEED_LIMIT.
	ThrottleBefore Kind = "throttle-before"
	ThrottleAfter  Kind = "throttle-after"
	// AccessDenied answers F ACCESS_DENIED, signed; InvalidSignature answers F INVALID_SIGNATURE, unsigned. Neither
	// processes the request.
	AccessDenied     Kind = "access-denied"
	InvalidSignature Kind = "invalid-signature"
	// Answer answers Code with Status, signed, without processing the request: for codes that have no kind of their own.
	Answer Kind = "answer"

	// HTTPBefore and HTTPAfter answer HTTPStatus with a page of HTML and no signature, as a proxy does; with
	// RetryAfter also that header.
	HTTPBefore Kind = "http-before"
	HTTPAfter  Kind = "http-after"

	// All that follow process the request and spoil the answer.

	// BadSignature signs another text than the answer; NoSignature leaves the header out.
	BadSignature Kind = "bad-signature"
	NoSignature  Kind = "no-signature"
	// WrongClient answers in the name of another client, with a signature that fits that name.
	WrongClient Kind = "wrong-client"
	// Truncated ends the connection in the middle of the body.
	Truncated Kind = "truncated"
	// ExtraFields adds fields that no page names; Reordered turns the order of the fields round. Both are harmless.
	ExtraFields Kind = "extra-fields"
	Reordered   Kind = "reordered"
	// OtherAmount, OtherCurrency, OtherRequestID and OtherPaymentID echo another value than was asked for, where the
	// answer has the field.
	OtherAmount    Kind = "other-amount"
	OtherCurrency  Kind = "other-currency"
	OtherRequestID Kind = "other-request-id"
	OtherPaymentID Kind = "other-payment-id"
)

// Fault is one misbehaviour.
type Fault struct {
	Kind Kind `json:"kind"`
	// Delay is for DelayBefore, Late and DelayAfter; above 0 there, 0 elsewhere.
	Delay time.Duration `json:"-"`
	// HTTPStatus is for HTTPBefore and HTTPAfter: 200 to 599.
	HTTPStatus int `json:"httpStatus,omitempty"`
	// RetryAfter is for HTTPBefore and HTTPAfter, in seconds; 0 leaves the header out.
	RetryAfter int `json:"retryAfter,omitempty"`
	// Status and Code are for Answer: the resultStatus (S, F or U) and the resultCode.
	Status string `json:"status,omitempty"`
	Code   string `json:"code,omitempty"`
}

type plainFault Fault

type wireFault struct {
	plainFault
	// Delay is a Go duration text such as "1.5s".
	Delay string `json:"delay,omitempty"`
}

// MarshalJSON writes the delay as text, such as "1.5s".
func (f Fault) MarshalJSON() ([]byte, error) {
	return json.Marshal(wireFault{plainFault: plainFault(f), Delay: durationText(f.Delay)})
}

// UnmarshalJSON reads what MarshalJSON writes, and refuses unknown fields.
func (f *Fault) UnmarshalJSON(raw []byte) error {
	var wire wireFault
	if err := decodeStrict(raw, &wire); err != nil {
		return err
	}
	delay, err := parseDuration(wire.Delay)
	if err != nil {
		return err
	}
	*f = Fault(wire.plainFault)
	f.Delay = delay
	return nil
}

// Validate reports all faults of the fault, joined.
func (f Fault) Validate() error {
	does, err := f.behaviour()
	errs := []error{err}
	if waits := does.waitBefore || does.waitAfter; waits != (f.Delay > 0) || f.Delay < 0 {
		errs = append(errs, fmt.Errorf("fault %q: delay %s", f.Kind, f.Delay))
	}
	if f.HTTPStatus != 0 && (!does.html || f.HTTPStatus < 200 || f.HTTPStatus > 599) || does.html && f.HTTPStatus == 0 {
		errs = append(errs, fmt.Errorf("fault %q: HTTP status %d", f.Kind, f.HTTPStatus))
	}
	if f.RetryAfter < 0 || f.RetryAfter > 0 && !does.html {
		errs = append(errs, fmt.Errorf("fault %q: retry after %d", f.Kind, f.RetryAfter))
	}
	named := f.Code != "" && (f.Status == statusS || f.Status == statusF || f.Status == statusU)
	if none := f.Code == "" && f.Status == ""; f.Kind == Answer && !named || f.Kind != Answer && !none {
		errs = append(errs, fmt.Errorf("fault %q: answer %q %q", f.Kind, f.Status, f.Code))
	}
	return errors.Join(errs...)
}

// behaviour is a kind taken apart into what the handler does, in the order in which it does it.
type behaviour struct {
	waitBefore bool // wait before processing
	detached   bool // ... also when the client leaves
	skip       bool // do not process
	halfway    bool // process, but do not finish
	waitAfter  bool // wait after processing
	drop       bool // close without an answer
	html       bool // answer as a proxy would

	instead     *result // the answer, whatever the processing said
	edit        func(object) object
	otherClient bool
	unsigned    bool
	badSign     bool
	truncate    bool
}

func (f Fault) behaviour() (behaviour, error) {
	unknown := &result{statusU, codeUnknownException}
	throttled := &result{statusU, codeTrafficLimit}
	switch f.Kind {
	case None, "":
		return behaviour{}, nil
	case DropBefore:
		return behaviour{skip: true, drop: true}, nil
	case DropAfter:
		return behaviour{drop: true}, nil
	case DelayBefore:
		return behaviour{waitBefore: true}, nil
	case Late:
		return behaviour{waitBefore: true, detached: true}, nil
	case DelayAfter:
		return behaviour{waitAfter: true}, nil
	case UnknownBefore:
		return behaviour{skip: true, instead: unknown}, nil
	case UnknownAfter:
		return behaviour{instead: unknown}, nil
	case UnknownHalfway:
		return behaviour{halfway: true, instead: unknown}, nil
	case ThrottleBefore:
		return behaviour{skip: true, instead: throttled}, nil
	case ThrottleAfter:
		return behaviour{instead: throttled}, nil
	case AccessDenied:
		return behaviour{skip: true, instead: &result{statusF, codeAccessDenied}}, nil
	case InvalidSignature:
		return behaviour{skip: true, instead: &result{statusF, codeInvalidSignature}, unsigned: true}, nil
	case Answer:
		return behaviour{skip: true, instead: &result{f.Status, f.Code}}, nil
	case HTTPBefore:
		return behaviour{skip: true, html: true}, nil
	case HTTPAfter:
		return behaviour{html: true}, nil
	case BadSignature:
		return behaviour{badSign: true}, nil
	case NoSignature:
		return behaviour{unsigned: true}, nil
	case WrongClient:
		return behaviour{otherClient: true}, nil
	case Truncated:
		return behaviour{truncate: true}, nil
	case ExtraFields:
		return behaviour{edit: object.withExtras}, nil
	case Reordered:
		return behaviour{edit: object.reversed}, nil
	case OtherAmount:
		return behaviour{edit: object.withOtherAmount}, nil
	case OtherCurrency:
		return behaviour{edit: object.withOtherCurrency}, nil
	case OtherRequestID:
		return behaviour{edit: func(o object) object { return o.withOther(fieldRequestID) }}, nil
	case OtherPaymentID:
		return behaviour{edit: func(o object) object { return o.withOther(fieldPaymentID) }}, nil
	}
	return behaviour{}, fmt.Errorf("fault kind %q is not known", f.Kind)
}
