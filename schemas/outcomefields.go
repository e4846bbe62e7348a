package schemas

import (
	"math"
	"strings"
	"unicode/utf8"
)

// The rules of the string fields that only events have.
//
//nolint:gochecknoglobals // constant tables
var (
	statusRule   = textRule{oneOf(string(Success), string(Failed), string(RetryPending)), "a status of the contract is needed"}
	codeRule     = textRule{outcomeCode, "a code of outcomes is needed"}
	topicRule    = textRule{validTopic, "a Kafka topic name is needed"}
	refundIDRule = textRule{chars(1, maxGatewayRefundID), "1 to 128 characters are needed, or no such field"}
	rawCodeRule  = textRule{chars(1, maxGatewayCode), "1 to 64 characters are needed, or no such field"}
	messageRule  = textRule{chars(1, maxGatewayMessage), "1 to 256 characters are needed, or no such field"}
	pairRule     = textRule{chars(0, maxCurrencyPair), "at most 32 characters"}
	priceRule    = textRule{chars(0, maxPrice), "at most 64 characters"}
	quoteIDRule  = textRule{chars(1, maxQuoteID), "1 to 64 characters are needed, or no such field"}
)

func chars(least, most int) func(string) bool {
	return func(s string) bool {
		n := utf8.RuneCountInString(s)
		return n >= least && n <= most
	}
}

func outcomeCode(s string) bool {
	info, known := Code(s).Info()
	return known && info.Status != ""
}

// readOutcome is outcome.schema.json compiled by hand for reading, as readCommand is for commands: a worker reads every
// outcome that it publishes again. A test holds it equal to the schema.
func readOutcome(root *value) (Outcome, *fault) {
	if root.kind != kindObject {
		return Outcome{}, &fault{detail: "an outcome is a JSON object, not " + root.kind.String()}
	}
	r := fieldReader{object: root}
	o := Outcome{
		SchemaVersion:   r.version(OutcomeVersion),
		RequestID:       r.text("requestId", required, requestIDRule),
		Status:          Status(r.text("status", required, statusRule)),
		Final:           r.boolean("final"),
		NeedsReview:     r.boolean("needsReview"),
		Code:            Code(r.text("code", required, codeRule)),
		Gateway:         Gateway(r.text("gateway", required, gatewayRule)),
		Account:         r.text("account", required, accountRule),
		PaymentID:       r.text("paymentId", required, paymentIDRule),
		RefundedAmount:  r.money("refundedAmount", optional),
		GatewayRefundID: r.text("gatewayRefundId", optional, refundIDRule),
		GatewayCode:     r.text("gatewayCode", optional, rawCodeRule),
		GatewayMessage:  r.text("gatewayMessage", optional, messageRule),
		RefundTime:      r.time("refundTime", optional),
		Settlement:      readSettlement(&r),
		Attempt:         int(r.count("attempt", math.MaxInt32)),
		Hop:             int(r.count("hop", math.MaxInt32)),
		NextAttemptAt:   r.timeOrNull("nextAttemptAt"),
		GiveUpAt:        r.timeOrNull("giveUpAt"),
		Origin:          r.origin("origin"),
		BatchID:         r.text("batchId", optional, batchRule),
		Metadata:        r.texts("metadata"),
	}
	if amount := r.money("amount", required); amount != nil {
		o.Amount = *amount
	}
	if at := r.time("occurredAt", required); at != nil {
		o.OccurredAt = *at
	}
	if r.fault != nil {
		return Outcome{}, r.fault
	}
	var c checker
	c.status(&o)
	return o, c.fault
}

func readSettlement(r *fieldReader) *Settlement {
	var s Settlement
	found := r.nested("settlement", optional, func(in *fieldReader) {
		s.Amount = in.money("amount", optional)
		var q Quote
		if in.nested("quote", optional, func(in *fieldReader) {
			q.CurrencyPair = in.text("currencyPair", required, pairRule)
			q.Price = in.text("price", required, priceRule)
			q.ID = in.text("id", optional, quoteIDRule)
		}) {
			s.Quote = &q
		}
	})
	if !found {
		return nil
	}
	return &s
}

// check is outcome.schema.json compiled by hand for writing: the general validator costs several times what
// the encoding does. The schema stays the authority: a test holds the two equal.
func (o *Outcome) check() *fault {
	var c checker
	c.that(o.SchemaVersion == OutcomeVersion, "/schemaVersion", "the schema version must be 1")
	c.text(o.RequestID, "/requestId", requestIDRule)
	c.text(string(o.Gateway), "/gateway", gatewayRule)
	c.text(o.Account, "/account", accountRule)
	c.text(o.PaymentID, "/paymentId", paymentIDRule)
	c.money(&o.Amount, "/amount")
	c.money(o.RefundedAmount, "/refundedAmount")
	c.that(fits(o.GatewayRefundID, maxGatewayRefundID), "/gatewayRefundId", "too long")
	c.that(fits(o.GatewayCode, maxGatewayCode), "/gatewayCode", "too long")
	c.that(fits(o.GatewayMessage, maxGatewayMessage), "/gatewayMessage", "too long")
	c.time(o.RefundTime, "/refundTime")
	c.settlement(o.Settlement)
	c.count(int64(o.Attempt), math.MaxInt32, "/attempt")
	c.count(int64(o.Hop), math.MaxInt32, "/hop")
	c.time(o.NextAttemptAt, "/nextAttemptAt")
	c.time(o.GiveUpAt, "/giveUpAt")
	c.that(validTopic(o.Origin.Topic), "/origin/topic", topicRule.detail)
	c.count(int64(o.Origin.Partition), math.MaxInt32, "/origin/partition")
	c.count(o.Origin.Offset, math.MaxInt64, "/origin/offset")
	c.that(o.BatchID == "" || batchRule.valid(o.BatchID), "/batchId", batchRule.detail)
	c.time(&o.OccurredAt, "/occurredAt")
	c.status(o)
	return c.fault
}

// checker keeps the first fault.
type checker struct{ fault *fault }

func (c *checker) that(holds bool, pointer, detail string) {
	if !holds && c.fault == nil {
		c.fault = &fault{pointer, detail}
	}
}

func (c *checker) text(s, pointer string, rule textRule) {
	c.that(rule.valid(s), pointer, rule.detail)
}

func (c *checker) money(m *Money, pointer string) {
	if m == nil {
		return
	}
	c.that(ValidCurrency(m.Currency), pointer+"/currency", currencyRule.detail)
	c.that(m.Minor >= 1 && m.Minor <= maxMinor, pointer+"/value", "an amount of at least 1 and at most 15 digits is needed")
}

func (c *checker) time(t *Time, pointer string) {
	c.that(t == nil || encodableYear(t.Time), pointer, "a time in the years 1000 to 2999 is needed")
}

func (c *checker) count(n, limit int64, pointer string) {
	c.that(n >= 0 && n <= limit, pointer, "out of range")
}

func (c *checker) settlement(s *Settlement) {
	if s == nil {
		return
	}
	c.money(s.Amount, "/settlement/amount")
	if q := s.Quote; q != nil {
		c.that(fits(q.CurrencyPair, maxCurrencyPair), "/settlement/quote/currencyPair", "too long")
		c.that(fits(q.Price, maxPrice), "/settlement/quote/price", "too long")
		c.that(fits(q.ID, maxQuoteID), "/settlement/quote/id", "too long")
	}
}

// status holds status, code and what follows from them together.
func (c *checker) status(o *Outcome) {
	c.that(o.Status == Success || o.Status == Failed || o.Status == RetryPending, "/status", "an unknown status")
	info, known := o.Code.Info()
	c.that(known && info.Status == o.Status, "/code", "not a code of this status")
	final := o.Status != RetryPending
	c.that(o.Final == final, "/final", "success and failed are final, retry-pending is not")
	c.that(!final || !o.NeedsReview, "/needsReview", "a final outcome needs no review")
	c.that(o.Code != CodeNeedsReview || o.NeedsReview, "/needsReview", "NEEDS_REVIEW needs a review")
	c.that(!final || o.NextAttemptAt == nil, "/nextAttemptAt", "a final outcome promises no attempt")
	c.that(!final || o.GiveUpAt == nil, "/giveUpAt", "a final outcome promises no end of trying")
}

// validTopic is Kafka's own rule for topic names.
func validTopic(s string) bool {
	return s != "" && len(s) <= 249 && !strings.ContainsFunc(s, func(r rune) bool {
		return !isLetterOrDigit(r) && r != '.' && r != '_' && r != '-'
	})
}
