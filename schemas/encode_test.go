package schemas

import (
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// sample is a valid success; every call gives a fresh one.
func sample(tb testing.TB) Outcome {
	tb.Helper()
	o, err := DecodeOutcome(golden(tb, "outcomes")["success"])
	if err != nil {
		tb.Fatal(err)
	}
	return o
}

func TestOutcomesAreReadAndWrittenAsTheGoldenExamples(t *testing.T) {
	t.Parallel()
	for name, raw := range golden(t, "outcomes") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, err := DecodeOutcome(raw)
			if err != nil {
				t.Fatal(err)
			}
			encoded, err := EncodeOutcome(o)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(canonical(t, raw), canonical(t, encoded)); diff != "" {
				t.Errorf("(-golden +encoded):\n%s", diff)
			}
			again, err := EncodeOutcome(o)
			if err != nil || string(again) != string(encoded) {
				t.Errorf("the same outcome gives other bytes: %v", err)
			}
		})
	}
}

func TestDecodeOutcomeReadsTheFieldsOfTheContract(t *testing.T) {
	t.Parallel()
	at := func(s, ms int) Time { return Time{time.Date(2026, 11, 21, 12, 1, s, ms*1e6, time.UTC)} }
	refundTime := at(1, 0)
	want := Outcome{
		SchemaVersion: 1, RequestID: "rf_20261121_000042", Status: Success, Final: true, Code: CodeRefunded,
		Gateway: Antom, Account: "hk-stores", PaymentID: "20260101194010800100188000000000001",
		Amount: Money{1001, "HKD"}, RefundedAmount: &Money{1001, "HKD"},
		GatewayRefundID: "2026010119401080010018800000001", GatewayCode: "SUCCESS", GatewayMessage: "success",
		RefundTime: &refundTime,
		Settlement: &Settlement{Amount: &Money{128, "USD"}, Quote: &Quote{CurrencyPair: "HKD/USD", Price: "0.128", ID: "q-1"}},
		Attempt:    1, Origin: Origin{Topic: "refunds.commands", Partition: 3, Offset: 1042},
		BatchID: "recall-2026-11", Metadata: map[string]string{"orderId": "SO-9912"}, OccurredAt: at(1, 123),
	}
	if diff := cmp.Diff(want, sample(t)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRejectionsAreReadAndWrittenAsTheGoldenExamples(t *testing.T) {
	t.Parallel()
	for name, raw := range golden(t, "rejections") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := DecodeRejection(raw)
			if err != nil {
				t.Fatal(err)
			}
			encoded, err := EncodeRejection(r)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(canonical(t, raw), canonical(t, encoded)); diff != "" {
				t.Errorf("(-golden +encoded):\n%s", diff)
			}
		})
	}
}

func TestEncodeFillsInTheSchemaVersion(t *testing.T) {
	t.Parallel()
	o := sample(t)
	o.SchemaVersion = 0
	raw, err := EncodeOutcome(o)
	if err != nil || !strings.Contains(string(raw), `"schemaVersion":1,`) {
		t.Errorf("%s, %v", raw, err)
	}
	raw, err = EncodeRejection(Rejection{
		Code: CodeUnreadable, Detail: "d", Origin: Origin{Topic: "t"}, OccurredAt: Time{time.Unix(0, 0)},
	})
	if err != nil || !strings.Contains(string(raw), `"schemaVersion":1,`) {
		t.Errorf("%s, %v", raw, err)
	}
}

func TestEncodeOutcomeRefusesWhatBreaksTheContract(t *testing.T) {
	t.Parallel()
	soon := Time{time.Date(2026, 11, 21, 13, 0, 0, 0, time.UTC)}
	pending := func(o *Outcome) { o.Status, o.Final, o.Code = RetryPending, false, CodeInProcess }
	for name, tc := range map[string]struct {
		change  func(*Outcome)
		pointer string
	}{
		"another schema version":            {func(o *Outcome) { o.SchemaVersion = 2 }, "/schemaVersion"},
		"no request ID":                     {func(o *Outcome) { o.RequestID = "" }, "/requestId"},
		"an unknown gateway":                {func(o *Outcome) { o.Gateway = "paypal" }, "/gateway"},
		"no account":                        {func(o *Outcome) { o.Account = "" }, "/account"},
		"a payment ID with a space":         {func(o *Outcome) { o.PaymentID = "a b" }, "/paymentId"},
		"no amount":                         {func(o *Outcome) { o.Amount.Minor = 0 }, "/amount/value"},
		"an amount of sixteen digits":       {func(o *Outcome) { o.Amount.Minor = maxMinor + 1 }, "/amount/value"},
		"an unknown currency":               {func(o *Outcome) { o.Amount.Currency = "ZZZ" }, "/amount/currency"},
		"a negative attempt":                {func(o *Outcome) { o.Attempt = -1 }, "/attempt"},
		"a hop beyond 31 bits":              {func(o *Outcome) { o.Hop = math.MaxInt32 + 1 }, "/hop"},
		"no origin":                         {func(o *Outcome) { o.Origin = Origin{} }, "/origin/topic"},
		"a negative partition":              {func(o *Outcome) { o.Origin.Partition = -1 }, "/origin/partition"},
		"a negative offset":                 {func(o *Outcome) { o.Origin.Offset = -1 }, "/origin/offset"},
		"a batch ID with a tab":             {func(o *Outcome) { o.BatchID = "a\tb" }, "/batchId"},
		"no time":                           {func(o *Outcome) { o.OccurredAt = Time{} }, "/occurredAt"},
		"an unknown status":                 {func(o *Outcome) { o.Status = "done" }, "/status"},
		"a code of another status":          {func(o *Outcome) { o.Code = CodeExpired }, "/code"},
		"a code of rejections":              {func(o *Outcome) { o.Code = CodeTooLarge }, "/code"},
		"an unknown code":                   {func(o *Outcome) { o.Code = "FINE" }, "/code"},
		"a success that is not final":       {func(o *Outcome) { o.Final = false }, "/final"},
		"a retry-pending that is final":     {func(o *Outcome) { pending(o); o.Final = true }, "/final"},
		"a final that needs review":         {func(o *Outcome) { o.NeedsReview = true }, "/needsReview"},
		"NEEDS_REVIEW without review":       {func(o *Outcome) { pending(o); o.Code = CodeNeedsReview }, "/needsReview"},
		"a final that promises an attempt":  {func(o *Outcome) { o.NextAttemptAt = &soon }, "/nextAttemptAt"},
		"a final that promises a give-up":   {func(o *Outcome) { o.GiveUpAt = &soon }, "/giveUpAt"},
		"a next attempt in the year zero":   {func(o *Outcome) { pending(o); o.NextAttemptAt = &Time{} }, "/nextAttemptAt"},
		"a give-up time beyond four digits": {func(o *Outcome) { pending(o); o.GiveUpAt = &Time{time.Unix(1<<40, 0)} }, "/giveUpAt"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := sample(t)
			tc.change(&o)
			raw, err := EncodeOutcome(o)
			var e *DecodeError
			if !errors.As(err, &e) || e.Code != CodeSchemaViolation || e.Pointer != tc.pointer {
				t.Errorf("error %v, want %s; bytes %s", err, tc.pointer, raw)
			}
		})
	}
}

func TestEncodeOutcomeHoldsTheGatewaysWordsToTheContract(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("長", 300)
	for name, tc := range map[string]struct {
		change func(*Outcome)
		want   func(*Outcome)
	}{
		"a long code is cut":            {func(o *Outcome) { o.GatewayCode = long }, func(o *Outcome) { o.GatewayCode = long[:64*3] }},
		"a long message is cut":         {func(o *Outcome) { o.GatewayMessage = long }, func(o *Outcome) { o.GatewayMessage = long[:256*3] }},
		"a broken message is mended":    {func(o *Outcome) { o.GatewayMessage = "a\xffb" }, func(o *Outcome) { o.GatewayMessage = "a\ufffdb" }},
		"a long refund ID is no ID":     {func(o *Outcome) { o.GatewayRefundID = long }, func(o *Outcome) { o.GatewayRefundID = "" }},
		"a broken refund ID is no ID":   {func(o *Outcome) { o.GatewayRefundID = "\xff" }, func(o *Outcome) { o.GatewayRefundID = "" }},
		"an impossible refund time":     {func(o *Outcome) { o.RefundTime = &Time{} }, func(o *Outcome) { o.RefundTime = nil }},
		"a refunded amount of zero":     {func(o *Outcome) { o.RefundedAmount = &Money{0, "HKD"} }, func(o *Outcome) { o.RefundedAmount = nil }},
		"a settlement of zero":          {func(o *Outcome) { o.Settlement.Amount = &Money{0, "USD"} }, func(o *Outcome) { o.Settlement.Amount = nil }},
		"a code of few characters":      {func(o *Outcome) { o.GatewayCode = long[:40*3] }, func(o *Outcome) { o.GatewayCode = long[:40*3] }},
		"a settlement beyond 15 digits": {func(o *Outcome) { o.Settlement.Amount = &Money{maxMinor + 1, "USD"} }, func(o *Outcome) { o.Settlement.Amount = nil }},
		"a settlement in gold":          {func(o *Outcome) { o.Settlement.Amount = &Money{1, "XAU"} }, func(o *Outcome) { o.Settlement.Amount = nil }},
		"a quote with a long pair":      {func(o *Outcome) { o.Settlement.Quote.CurrencyPair = long }, func(o *Outcome) { o.Settlement.Quote = nil }},
		"a quote with a long price":     {func(o *Outcome) { o.Settlement.Quote.Price = long }, func(o *Outcome) { o.Settlement.Quote = nil }},
		"a quote with a long ID":        {func(o *Outcome) { o.Settlement.Quote.ID = long }, func(o *Outcome) { o.Settlement.Quote = nil }},
		"a settlement of nothing":       {func(o *Outcome) { o.Settlement = &Settlement{} }, func(o *Outcome) { o.Settlement = nil }},
		"no settlement":                 {func(o *Outcome) { o.Settlement = nil }, func(o *Outcome) { o.Settlement = nil }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			given, want := sample(t), sample(t)
			tc.change(&given)
			tc.want(&want)
			before := string(marshal(t, given))
			raw, err := EncodeOutcome(given)
			if err != nil {
				t.Fatal(err)
			}
			got, err := DecodeOutcome(raw)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if after := string(marshal(t, given)); after != before {
				t.Errorf("the caller's outcome was changed: %s", after)
			}
		})
	}
}

// largest is an outcome with every field at its limit and metadata that escapes worst.
func largest(tb testing.TB) Outcome {
	tb.Helper()
	o := sample(tb)
	o.RequestID, o.Account, o.PaymentID = strings.Repeat("r", 64), strings.Repeat("a", 64), strings.Repeat(`"`, 64)
	o.GatewayRefundID, o.GatewayCode = strings.Repeat("<", maxGatewayRefundID), strings.Repeat("<", maxGatewayCode)
	o.GatewayMessage, o.BatchID = strings.Repeat("<", maxGatewayMessage), strings.Repeat("<", 64)
	o.Settlement.Quote = &Quote{strings.Repeat("<", maxCurrencyPair), strings.Repeat("<", maxPrice), strings.Repeat("<", maxQuoteID)}
	o.Origin = Origin{strings.Repeat("t", 249), math.MaxInt32, math.MaxInt64}
	// Names that need six bytes for each of theirs, as short as they can be to be different: their quotes and commas
	// weigh most.
	const sixfold = "\x00\x01\x02\x03\x04\x05\x06\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f<>&"
	o.Metadata = make(map[string]string)
	size := 0
	for _, names := range [][]string{combinations(sixfold, 1), combinations(sixfold, 2), combinations(sixfold, 3)} {
		for _, name := range names {
			if size += len(name); size > MaxMetadataBytes {
				return o
			}
			o.Metadata[name] = ""
		}
	}
	tb.Fatal("metadata is not full")
	return o
}

func combinations(letters string, length int) []string {
	if length == 0 {
		return []string{""}
	}
	var all []string
	for _, rest := range combinations(letters, length-1) {
		for _, c := range letters {
			all = append(all, string(c)+rest)
		}
	}
	return all
}

func TestTheLargestOutcomeFits(t *testing.T) {
	t.Parallel()
	raw, err := EncodeOutcome(largest(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(raw) < MaxOutcomeBytes*3/4 {
		t.Errorf("the largest outcome has %d bytes: the limit of %d is far from it", len(raw), MaxOutcomeBytes)
	}
	if _, err := DecodeOutcome(raw); err != nil {
		t.Error(err)
	}
}

func TestAnOutcomeWithMetadataThatNoCommandCouldHaveIsRefused(t *testing.T) {
	t.Parallel()
	o := sample(t)
	o.Metadata = map[string]string{"k": strings.Repeat("x", MaxOutcomeBytes)}
	_, err := EncodeOutcome(o)
	var e *DecodeError
	if !errors.As(err, &e) || e.Code != CodeTooLarge {
		t.Errorf("error %v, want TOO_LARGE", err)
	}
}

func TestEncodeRejectionHoldsForeignTextsToTheContract(t *testing.T) {
	t.Parallel()
	raw, err := EncodeRejection(Rejection{
		RequestID: "not a valid one", Code: CodeSchemaViolation, Detail: strings.Repeat("é", 600) + "\xff",
		Pointer: "/x/" + strings.Repeat("n", 300), Origin: Origin{Topic: "refunds.commands"},
		OccurredAt: Time{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)},
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := DecodeRejection(raw)
	if err != nil {
		t.Fatal(err)
	}
	if r.RequestID != "" || r.Pointer != "/x" || utf8.RuneCountInString(r.Detail) != maxDetail {
		t.Errorf("got %+v", r)
	}
}

func TestEncodeRejectionRefusesWhatBreaksTheContract(t *testing.T) {
	t.Parallel()
	for pointer, change := range map[string]func(*Rejection){
		"/code":          func(r *Rejection) { r.Code = CodeRefunded },
		"/detail":        func(r *Rejection) { r.Detail = "" },
		"/pointer":       func(r *Rejection) { r.Pointer = "no slash" },
		"/origin/topic":  func(r *Rejection) { r.Origin.Topic = "" },
		"/origin/offset": func(r *Rejection) { r.Origin.Offset = -1 },
		"/occurredAt":    func(r *Rejection) { r.OccurredAt = Time{} },
		"/schemaVersion": func(r *Rejection) { r.SchemaVersion = -1 },
	} {
		r, err := DecodeRejection(golden(t, "rejections")["schema-violation"])
		if err != nil {
			t.Fatal(err)
		}
		change(&r)
		_, err = EncodeRejection(r)
		var e *DecodeError
		if !errors.As(err, &e) || e.Pointer != pointer {
			t.Errorf("error %v, want %s", err, pointer)
		}
	}
}

// TestEveryErrorOfDecodeCommandCanBePublished: a rejection that cannot be encoded would block its partition.
func TestEveryErrorOfDecodeCommandCanBePublished(t *testing.T) {
	t.Parallel()
	files := golden(t, "refused")
	for _, name := range slices.Sorted(maps.Keys(files)) {
		_, err := DecodeCommand(files[name])
		var e *DecodeError
		if !errors.As(err, &e) {
			t.Fatalf("%s: %v", name, err)
		}
		_, err = EncodeRejection(Rejection{
			RequestID: e.RequestID, Code: e.Code, Detail: e.Detail, Pointer: e.Pointer,
			Origin: Origin{Topic: "t"}, OccurredAt: Time{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)},
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
