package main

import (
	"bytes"
	"strings"
	"testing"

	"refundworker/gateway/sandbox"
	"refundworker/schemas"
)

// The reconciliation is an oracle: each kind of disagreement has to be found.
func TestEveryDisagreementIsFound(t *testing.T) {
	t.Parallel()
	entry := sandbox.Entry{RequestID: "rf-1", PaymentID: "p-1", Minor: 5, Currency: "HKD", State: sandbox.Succeeded}
	other := entry
	other.Minor = 6
	for name, tc := range map[string]struct {
		status schemas.Status
		ledger []sandbox.Entry
		twist  func(*book)
		want   string
	}{
		"all agrees":                  {status: schemas.Success, ledger: []sandbox.Entry{entry}},
		"a decline and no money":      {status: schemas.Failed},
		"lost":                        {want: "line 1 (rf-1): nothing came back"},
		"success without money":       {status: schemas.Success, want: "rf-1: called success, and the gateway moved nothing"},
		"failed with money":           {status: schemas.Failed, ledger: []sandbox.Entry{entry}, want: "rf-1: called failed, and the gateway moved the money"},
		"moved twice":                 {status: schemas.Success, ledger: []sandbox.Entry{entry, entry}, want: "rf-1: the gateway moved the money 2 times"},
		"another amount":              {status: schemas.Success, ledger: []sandbox.Entry{other}, want: "the ledger HKD 6"},
		"money without an outcome":    {status: schemas.Success, ledger: []sandbox.Entry{entry, {RequestID: "rf-2", State: sandbox.Succeeded}}, want: "rf-2: the gateway moved money and no outcome says so"},
		"a processing entry is none":  {status: schemas.Failed, ledger: []sandbox.Entry{{RequestID: "rf-1", State: sandbox.Processing}}},
		"two finals that differ":      {status: schemas.Success, ledger: []sandbox.Entry{entry}, want: "rf-1: two final outcomes differ", twist: func(b *book) { b.requests["rf-1"].values = [][]byte{{1}, {2}} }},
		"a result that is unreadable": {status: schemas.Success, ledger: []sandbox.Entry{entry}, want: "boom", twist: func(b *book) { b.unreadable = []string{"boom"} }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBook()
			l := &line{number: 1, Kind: "k", command: schemas.Command{RequestID: "rf-1"}}
			b.sent(l, schemas.Origin{Topic: "t"})
			if tc.status != "" {
				b.outcome(schemas.Outcome{
					RequestID: "rf-1", PaymentID: "p-1", Status: tc.status, Final: true,
					Amount: schemas.Money{Minor: 5, Currency: "HKD"},
				}, []byte("bytes"))
			}
			if tc.twist != nil {
				tc.twist(b)
			}
			var out bytes.Buffer
			agrees := b.report(&out, tc.ledger)
			if agrees != (tc.want == "") || !strings.Contains(out.String(), tc.want) {
				t.Errorf("agrees %v, want %q:\n%s", agrees, tc.want, out.String())
			}
		})
	}
}
