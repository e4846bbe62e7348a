package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Kind names a way to misbehave. The list is closed. What is not said to be of one gateway exists at both. "Before" means that the request is not processed and never will
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

	// The next seven are Antom's.

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

	// The next six are eftPay's.

	// SystemExceptionBefore and SystemExceptionAfter answer 51 with a text that ends in SYSTEM_EXCEPTION, signed: the
	// channel itself does not know.
	SystemExceptionBefore Kind = "system-exception-before"
	SystemExceptionAfter  Kind = "system-exception-after"
	// ReturnBefore and ReturnAfter answer Code as the return_status, with Status as the trade_status when there is one
	// and Text as the return_char; signed if Code is not negative.
	ReturnBefore Kind = "return-before"
	ReturnAfter  Kind = "return-after"
	// SloppyEcho processes, and answers as the page's own sample does: refund_no is out_trade_no, trade_type is SALE,
	// trade_time has no separators. https://vmp.eftpay.com.cn/vmp-docs/en/api-reference/scene/qrcode/Refund.html
	SloppyEcho Kind = "sloppy-echo"
	// Unpadded processes, and writes "100" and "540.2" for 100.00 and 540.20.
	Unpadded Kind = "unpadded"

	// HTTPBefore and HTTPAfter answer HTTPStatus with a page of HTML and no signature, as a proxy does; with
	// RetryAfter also that header.
	HTTPBefore Kind = "http-before"
	HTTPAfter  Kind = "http-after"

	// All that follow process the request and spoil the answer.

	// BadSignature signs another text than the answer; NoSignature leaves the header, or the field, out.
	BadSignature Kind = "bad-signature"
	NoSignature  Kind = "no-signature"
	// WrongClient answers in the name of another client, at Antom with a signature that fits that name, at eftPay, where
	// the answer names one, under the secret of the right one.
	WrongClient Kind = "wrong-client"
	// Truncated ends the connection in the middle of the body.
	Truncated Kind = "truncated"
	// ExtraFields adds fields that no page names; Reordered turns the order of the fields round. Both are harmless.
	ExtraFields Kind = "extra-fields"
	Reordered   Kind = "reordered"
	// OtherAmount, OtherCurrency, OtherRequestID and OtherPaymentID echo another value than was asked for, where the
	// answer has the field. At eftPay the request ID is refund_no and the payment ID out_trade_no.
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
	// Status and Code are for Answer: the resultStatus (S, F or U) and the resultCode; and for ReturnBefore and
	// ReturnAfter: the trade_status, which may be empty, and the return_status. Text is the return_char of the latter
	// two; empty means one that fits the code.
	Status string `json:"status,omitempty"`
	Code   string `json:"code,omitempty"`
	Text   string `json:"text,omitempty"`

	// HideFor and HideQueries hide a refund that this call processes from eftPay's Query, in place of what
	// [EftPayConfig] says of all refunds. They go with every kind that processes.
	HideFor     time.Duration `json:"-"`
	HideQueries int           `json:"hideQueries,omitempty"`
}

type plainFault Fault

type wireFault struct {
	plainFault
	// The durations are Go's texts, such as "1.5s".
	Delay   string `json:"delay,omitempty"`
	HideFor string `json:"hideFor,omitempty"`
}

// MarshalJSON writes the durations as text, such as "1.5s".
func (f Fault) MarshalJSON() ([]byte, error) {
	return json.Marshal(wireFault{
		plainFault: plainFault(f), Delay: durationText(f.Delay), HideFor: durationText(f.HideFor),
	})
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
	hideFor, err := parseDuration(wire.HideFor)
	if err != nil {
		return err
	}
	*f = Fault(wire.plainFault)
	f.Delay, f.HideFor = delay, hideFor
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
	if !f.isNamed() {
		errs = append(errs, fmt.Errorf("fault %q: answer %q %q %q", f.Kind, f.Status, f.Code, f.Text))
	}
	if f.HideFor < 0 || f.HideQueries < 0 || f.hides() && (does.skip || does.gateway == gatewayAntom) {
		errs = append(errs, fmt.Errorf("fault %q: hidden for %s, %d queries", f.Kind, f.HideFor, f.HideQueries))
	}
	return errors.Join(errs...)
}

// isNamed says whether the answer is named if the kind needs it, and only then.
func (f Fault) isNamed() bool {
	if f.Kind == Answer {
		return f.Code != "" && (f.Status == statusS || f.Status == statusF || f.Status == statusU) && f.Text == ""
	}
	if f.Kind == ReturnBefore || f.Kind == ReturnAfter {
		return isReturnStatus(f.Code) && len(f.Status) <= maxTradeStatus && len(f.Text) <= maxReturnChar
	}
	return f.Code == "" && f.Status == "" && f.Text == ""
}

func (f Fault) hides() bool { return f.HideFor != 0 || f.HideQueries != 0 }

// gateway is the one gateway at which the fault exists; empty means both.
func (f Fault) gateway() string {
	if f.hides() {
		return gatewayEftPay
	}
	// An unknown kind is reported by Validate.
	does, _ := f.behaviour()
	return does.gateway
}

// behaviour is a kind taken apart into what the handler does, in the order in which it does it.
type behaviour struct {
	gateway string // the only one that has the kind

	waitBefore bool // wait before processing
	detached   bool // ... also when the client leaves
	skip       bool // do not process
	halfway    bool // process, but do not finish
	waitAfter  bool // wait after processing
	drop       bool // close without an answer
	html       bool // answer as a proxy would

	instead     *result // the answer, whatever the processing said: status and code of Antom, or trade and return status
	text        string  // the return_char of instead
	edit        func(object) object
	editVMP     func(object) object // the same for eftPay's answers, which are signed afterwards
	otherClient bool
	unsigned    bool
	badSign     bool
	truncate    bool

	// What hides the refund from Query.
	hides       bool
	hideFor     time.Duration
	hideQueries int
}

func (f Fault) behaviour() (behaviour, error) {
	does, err := f.kind()
	does.hides, does.hideFor, does.hideQueries = f.hides(), f.HideFor, f.HideQueries
	return does, err
}

func (f Fault) kind() (behaviour, error) {
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
		return behaviour{gateway: gatewayAntom, skip: true, instead: unknown}, nil
	case UnknownAfter:
		return behaviour{gateway: gatewayAntom, instead: unknown}, nil
	case UnknownHalfway:
		return behaviour{gateway: gatewayAntom, halfway: true, instead: unknown}, nil
	case ThrottleBefore:
		return behaviour{gateway: gatewayAntom, skip: true, instead: throttled}, nil
	case ThrottleAfter:
		return behaviour{gateway: gatewayAntom, instead: throttled}, nil
	case AccessDenied:
		return behaviour{gateway: gatewayAntom, skip: true, instead: &result{statusF, codeAccessDenied}}, nil
	case InvalidSignature:
		return behaviour{gateway: gatewayAntom, skip: true, instead: &result{statusF, codeInvalidSignature}, unsigned: true}, nil
	case Answer:
		return behaviour{gateway: gatewayAntom, skip: true, instead: &result{f.Status, f.Code}}, nil
	case SystemExceptionBefore:
		return behaviour{gateway: gatewayEftPay, skip: true, instead: &result{code: returnChannel}}, nil
	case SystemExceptionAfter:
		return behaviour{gateway: gatewayEftPay, instead: &result{code: returnChannel}}, nil
	case ReturnBefore:
		return behaviour{gateway: gatewayEftPay, skip: true, instead: &result{f.Status, f.Code}, text: f.Text}, nil
	case ReturnAfter:
		return behaviour{gateway: gatewayEftPay, instead: &result{f.Status, f.Code}, text: f.Text}, nil
	case SloppyEcho:
		return behaviour{gateway: gatewayEftPay, editVMP: object.vmpSloppy}, nil
	case Unpadded:
		return behaviour{gateway: gatewayEftPay, editVMP: object.vmpUnpadded}, nil
	case HTTPBefore:
		return behaviour{skip: true, html: true}, nil
	case HTTPAfter:
		return behaviour{html: true}, nil
	case BadSignature:
		return behaviour{badSign: true}, nil
	case NoSignature:
		return behaviour{unsigned: true}, nil
	case WrongClient:
		return behaviour{otherClient: true, editVMP: func(o object) object { return o.withOther(vmpKey) }}, nil
	case Truncated:
		return behaviour{truncate: true}, nil
	case ExtraFields:
		return behaviour{edit: object.withExtras, editVMP: object.vmpExtras}, nil
	case Reordered:
		return behaviour{edit: object.reversed, editVMP: object.reversed}, nil
	case OtherAmount:
		return behaviour{edit: object.withOtherAmount, editVMP: object.vmpOtherAmount}, nil
	case OtherCurrency:
		return behaviour{edit: object.withOtherCurrency, editVMP: object.vmpOtherCurrency}, nil
	case OtherRequestID:
		return behaviour{
			edit:    func(o object) object { return o.withOther(fieldRequestID) },
			editVMP: func(o object) object { return o.withOther(vmpRefundNo) },
		}, nil
	case OtherPaymentID:
		return behaviour{
			edit:    func(o object) object { return o.withOther(fieldPaymentID) },
			editVMP: func(o object) object { return o.withOther(vmpOutTradeNo) },
		}, nil
	}
	return behaviour{}, fmt.Errorf("fault kind %q is not known", f.Kind)
}
