package schemas

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDecodeCommandReadsEveryFieldOfTheContract(t *testing.T) {
	t.Parallel()
	want := Command{
		SchemaVersion: 1, RequestID: "rf_20261121_000042", Gateway: Antom, Account: "hk-stores",
		PaymentID:         "20260101194010800100188000000000001",
		Amount:            Money{Minor: 1001, Currency: "HKD"},
		OriginalAmount:    &Money{Minor: 5000, Currency: "HKD"},
		Reason:            "item returned",
		ReferenceRefundID: "shop-778",
		Deadline:          &Time{time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)},
		BatchID:           "recall-2026-11",
		Metadata:          map[string]string{"orderId": "SO-9912"},
	}
	got, err := DecodeCommand(golden(t, "accepted")["full"])
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("command (-want +got):\n%s", diff)
	}
}

func TestDecodeCommandReads(t *testing.T) {
	t.Parallel()
	wechat := &EftPayFields{Service: "service.wechat.qrcode.Refund", PayType: "WeChat", PaymentType: "WECHATHK", BuyerType: "others"}
	for name, tc := range map[string]struct {
		file string
		pick func(Command) any
		want any
	}{
		"an escaped name and escaped values":          {"escapes", func(c Command) any { return c.RequestID + c.PaymentID + c.Reason }, `ra/b🙂 "q"`},
		"the version by its value":                    {"version-as-decimal", func(c Command) any { return c.SchemaVersion }, 1},
		"names with regard to case":                   {"names-are-case-sensitive", func(c Command) any { return c.RequestID }, "rf_20261121_000042"},
		"a deadline in UTC, cut to milliseconds":      {"deadline-with-offset", func(c Command) any { return c.Deadline.Time }, time.Date(2026, 11, 28, 0, 0, 0, 123e6, time.UTC)},
		"metadata untouched":                          {"unicode", func(c Command) any { return c.Metadata }, map[string]string{"備註": "\u2028<&>", "": "empty name", "quote": "\"\\\x00"}},
		"the largest amount":                          {"largest-amount", func(c Command) any { return c.Amount.Minor }, int64(999_999_999_999_999)},
		"eftPay's fields with defaults":               {"eftpay-defaults", func(c Command) any { return c.EftPay }, wechat},
		"contradicting eftPay fields as they stand":   {"eftpay-service-conflict", func(c Command) any { return c.EftPay.Service }, "service.alipay.qrcode.Refund"},
		"an amount above eftPay's limit":              {"eftpay-above-limit", func(c Command) any { return c.Amount.Minor }, int64(10_000_000)},
		"absent optional fields as zero values":       {"minimal", func(c Command) any { return c }, Command{SchemaVersion: 1, RequestID: "r", Gateway: Antom, PaymentID: "p", Amount: Money{1, "JPY"}}},
		"nothing of the fields that it does not know": {"unknown-fields", func(c Command) any { return c.Amount }, Money{1001, "HKD"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd, err := DecodeCommand(golden(t, "accepted")[tc.file])
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, tc.pick(cmd)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeCommandGivesEveryAcceptedGoldenBackWhenItIsEncodedAgain(t *testing.T) {
	t.Parallel()
	for name, raw := range golden(t, "accepted") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd, err := DecodeCommand(raw)
			if err != nil {
				t.Fatal(err)
			}
			again, err := DecodeCommand(marshal(t, cmd))
			if err != nil {
				t.Fatalf("encoded again: %v", err)
			}
			if diff := cmp.Diff(cmd, again); diff != "" {
				t.Errorf("(-first +again):\n%s", diff)
			}
		})
	}
}

func TestDecodeCommandRefusesEveryRefusedGoldenWithItsCodeAndPointer(t *testing.T) {
	t.Parallel()
	type refusal struct {
		Code         Code   `json:"code"`
		Pointer      string `json:"pointer"`
		RequestID    string `json:"requestId"`
		NewerVersion bool   `json:"newerVersion"`
	}
	raw, err := os.ReadFile("testdata/refused.json")
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]refusal
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	files := golden(t, "refused")
	if len(files) != len(want) {
		t.Errorf("%d files, %d expectations", len(files), len(want))
	}
	for name, raw := range files {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd, err := DecodeCommand(raw)
			var e *DecodeError
			if !errors.As(err, &e) {
				t.Fatalf("error %v is no DecodeError; command %+v", err, cmd)
			}
			got := refusal{e.Code, e.Pointer, e.RequestID, e.NewerVersion}
			if diff := cmp.Diff(want[name], got); diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
			if e.Detail == "" {
				t.Error("no detail")
			}
			if errors.Is(err, ErrNewerVersion) != e.NewerVersion {
				t.Error("errors.Is(err, ErrNewerVersion) differs from NewerVersion")
			}
		})
	}
}

func TestDecodeCommandHoldsItsLimitsToTheByte(t *testing.T) {
	t.Parallel()
	const head = `{"schemaVersion":1,"requestId":"r","gateway":"antom","paymentId":"p","amount":{"currency":"HKD","value":"1"}`
	pad := func(total int) string { return head + strings.Repeat(" ", total-len(head)-1) + "}" }
	metadata := func(bytes int) string { return head + `,"metadata":{"é":"` + strings.Repeat("x", bytes-2) + `"}}` }
	nest := func(depth int) string {
		return head + `,"x":` + strings.Repeat("[", depth-1) + strings.Repeat("]", depth-1) + "}"
	}
	for name, tc := range map[string]struct {
		raw  string
		code Code
	}{
		"a message of 256 KiB":          {pad(MaxCommandBytes), ""},
		"a message of 256 KiB + 1":      {pad(MaxCommandBytes + 1), CodeTooLarge},
		"metadata of 16 KiB":            {metadata(MaxMetadataBytes), ""},
		"metadata of 16 KiB + 1":        {metadata(MaxMetadataBytes + 1), CodeTooLarge},
		"16 levels":                     {nest(MaxDepth), ""},
		"17 levels":                     {nest(MaxDepth + 1), CodeUnreadable},
		"a number of 64 characters":     {head + `,"x":` + strings.Repeat("1", 64) + "}", ""},
		"an exponent of three digits":   {head + `,"x":1e-999}`, ""},
		"an exponent of four digits":    {head + `,"x":1e1000}`, CodeUnreadable},
		"a name beyond sixteen members": {head + strings.Repeat(`,"x":1`, 1) + manyMembers(40) + "}", ""},
		"a late duplicate of many":      {head + manyMembers(40) + `,"m17":1}`, CodeUnreadable},
		"a late duplicate of the first": {head + manyMembers(40) + `,"requestId":"r"}`, CodeUnreadable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := DecodeCommand([]byte(tc.raw))
			var e *DecodeError
			if errors.As(err, &e); e == nil && tc.code != "" || e != nil && e.Code != tc.code {
				t.Errorf("error %v, want code %q", err, tc.code)
			}
		})
	}
}

func manyMembers(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(`,"m` + string(rune('0'+i/10)) + string(rune('0'+i%10)) + `":0`)
	}
	return b.String()
}

func TestDecodeErrorsNeverHoldValuesOfTheMessage(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t value"
	for _, field := range []string{"requestId", "gateway", "account", "paymentId", "referenceRefundId", "deadline"} {
		fields := map[string]any{
			"schemaVersion": 1, "requestId": "r", "gateway": "antom", "paymentId": "p",
			"amount": map[string]string{"currency": "HKD", "value": "1"},
		}
		fields[field] = secret
		_, err := DecodeCommand(marshal(t, fields))
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: error %v", field, err)
		}
	}
}

func TestADecodeErrorTellsCodePlaceAndRemedy(t *testing.T) {
	t.Parallel()
	for want, e := range map[string]*DecodeError{
		"SCHEMA_VIOLATION at /amount: mend it": {Code: CodeSchemaViolation, Pointer: "/amount", Detail: "mend it"},
		"UNREADABLE: mend it":                  {Code: CodeUnreadable, Detail: "mend it"},
	} {
		if got := e.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestAPointerIsCutAtATokenWhenANameIsTooLong(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", 300)
	_, err := DecodeCommand([]byte(`{"x":{"` + long + `":[1,}}`))
	var e *DecodeError
	if !errors.As(err, &e) || e.Pointer != "/x" {
		t.Errorf("error %v, want pointer /x", err)
	}
}
