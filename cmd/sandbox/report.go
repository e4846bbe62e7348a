package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"refundworker/gateway/sandbox"
	"refundworker/schemas"
)

// row is a line of the table.
type row struct {
	kind                                         string
	messages, success, failed, rejected, pending int
	refunds                                      int
	money                                        map[string]int64
}

// report prints the table and the verdict: "reconciled", or everything that differs. It returns whether all agrees.
func (b *book) report(out io.Writer, ledger []sandbox.Entry) bool {
	moved := make(map[string][]sandbox.Entry)
	for _, e := range ledger {
		if e.State == sandbox.Succeeded {
			id := cmp.Or(b.keys[e.RequestID], e.RequestID)
			moved[id] = append(moved[id], e)
		}
	}
	b.print(out, moved)
	faults := b.faults(moved)
	if len(faults) == 0 {
		_, _ = fmt.Fprintln(out, "\nreconciled")
		return true
	}
	_, _ = fmt.Fprintln(out, "\nNOT reconciled:")
	for _, f := range faults {
		_, _ = fmt.Fprintln(out, "  "+f)
	}
	return false
}

func (b *book) print(out io.Writer, moved map[string][]sandbox.Entry) {
	total := &row{kind: "total", money: make(map[string]int64)}
	rows := []*row{}
	byKind := make(map[string]*row)
	counted := make(map[string]struct{})
	for _, m := range b.messages {
		r, ok := byKind[m.line.Kind]
		if !ok {
			r = &row{kind: m.line.Kind, money: make(map[string]int64)}
			byKind[m.line.Kind], rows = r, append(rows, r)
		}
		// Money belongs to the first line of its request ID.
		var entries []sandbox.Entry
		if _, seen := counted[m.line.command.RequestID]; !seen {
			counted[m.line.command.RequestID] = struct{}{}
			entries = moved[m.line.command.RequestID]
		}
		for _, into := range []*row{r, total} {
			into.count(b.end(m).status)
			for _, e := range entries {
				into.refunds++
				into.money[e.Currency] += e.Minor
			}
		}
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "\nkind\tcommands\tsuccess\tfailed\trejected\tpending\tledger refunds\tledger money (minor units)")
	for _, r := range append(rows, total) {
		_, _ = fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n",
			r.kind, r.messages, r.success, r.failed, r.rejected, r.pending, r.refunds, moneyText(r.money))
	}
	_ = table.Flush()
}

func (r *row) count(status string) {
	r.messages++
	switch status {
	case string(schemas.Success):
		r.success++
	case string(schemas.Failed):
		r.failed++
	case rejected:
		r.rejected++
	case string(schemas.RetryPending):
		r.pending++
	}
}

func moneyText(money map[string]int64) string {
	parts := make([]string, 0, len(money))
	for _, currency := range slices.Sorted(maps.Keys(money)) {
		parts = append(parts, fmt.Sprintf("%s %d", currency, money[currency]))
	}
	return strings.Join(parts, ", ")
}

// faults is every way in which commands, outcomes and ledger do not agree, in a stable order.
func (b *book) faults(moved map[string][]sandbox.Entry) []string {
	faults := slices.Clone(b.unreadable)
	for _, m := range b.messages {
		e := b.end(m)
		name := cmp.Or(m.line.command.RequestID, "unreadable")
		switch want := m.line.Expect; {
		case e.status == "":
			faults = append(faults, fmt.Sprintf("line %d (%s): nothing came back", m.line.number, name))
		case want != nil && (e != end{want.Status, want.Code}):
			faults = append(faults, fmt.Sprintf("line %d (%s): expected %s %s, got %s %s",
				m.line.number, name, want.Status, want.Code, e.status, e.code))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(b.requests)) {
		faults = append(faults, b.requests[id].faults(id, moved[id])...)
	}
	for _, id := range slices.Sorted(maps.Keys(moved)) {
		if _, known := b.requests[id]; !known {
			faults = append(faults, id+": the gateway moved money and no outcome says so")
		}
		if len(moved[id]) > 1 {
			faults = append(faults, fmt.Sprintf("%s: the gateway moved the money %d times", id, len(moved[id])))
		}
	}
	return faults
}

func (r *request) faults(id string, moved []sandbox.Entry) []string {
	var faults []string
	for _, value := range r.values {
		if !bytes.Equal(value, r.values[0]) {
			faults = append(faults, id+": two final outcomes differ")
			break
		}
	}
	switch {
	case r.final == nil:
	case r.final.Status == schemas.Failed && len(moved) > 0:
		faults = append(faults, id+": called failed, and the gateway moved the money")
	case r.final.Status == schemas.Success && len(moved) == 0:
		faults = append(faults, id+": called success, and the gateway moved nothing")
	case r.final.Status == schemas.Success:
		if e := moved[0]; e.Minor != r.final.Amount.Minor || e.Currency != r.final.Amount.Currency || e.PaymentID != r.final.PaymentID {
			faults = append(faults, fmt.Sprintf("%s: the outcome says %s of %s, the ledger %s %d of %s",
				id, r.final.Amount, r.final.PaymentID, e.Currency, e.Minor, e.PaymentID))
		}
	}
	return faults
}
