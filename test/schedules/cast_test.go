package schedules

import (
	"encoding/json"
	"strconv"
	"time"

	"pgregory.net/rapid"

	"refundworker/schemas"
)

// armed is the full amount of a payment whose commands state it.
const armed = 100

// cast draws the requests of a schedule: few, on few payments, so that they meet. Nothing that a gateway does by itself
// takes longer than the longest.
func (b *bank) cast(t *rapid.T, forgetful bool, longest time.Duration) {
	for _, gw := range []schemas.Gateway{schemas.Antom, schemas.EftPay} {
		at := b.books[gw]
		at.repeats = repeats(rapid.IntRange(0, int(refuses)).Draw(t, "repeats"))
		at.unknowns = unknowns(rapid.IntRange(0, int(saysEcho)).Draw(t, "unknowns"))
		if gw == schemas.Antom && forgetful {
			at.memory = rapid.SampledFrom([]time.Duration{0, 6 * time.Hour}).Draw(t, "memory")
		}
	}
	caps := rapid.Bool().Draw(t, "caps")
	for i := range rapid.SampledFrom([]int{1, 2, 2, 3, 3, 4}).Draw(t, "requests") {
		r := &request{
			id: "rf-" + strconv.Itoa(i+1), gateway: rapid.SampledFrom([]schemas.Gateway{schemas.Antom, schemas.Antom, schemas.EftPay}).Draw(t, "gateway"),
		}
		cmd := schemas.Command{
			SchemaVersion: schemas.CommandVersion, RequestID: r.id, Gateway: r.gateway,
			PaymentID: "pay-" + strconv.Itoa(rapid.SampledFrom([]int{1, 1, 1, 2}).Draw(t, "payment")),
			Amount:    schemas.Money{Minor: rapid.SampledFrom([]int64{30, 30, 40, 70}).Draw(t, "minor"), Currency: "HKD"},
		}
		if caps {
			cmd.OriginalAmount = &schemas.Money{Minor: armed, Currency: "HKD"}
		}
		if r.gateway == schemas.EftPay {
			cmd.EftPay = &schemas.EftPayFields{PaymentType: "ALIPAYHK"}
		}
		if rapid.IntRange(0, 7).Draw(t, "named") == 0 {
			cmd.Account = "first"
		}
		if d := rapid.SampledFrom([]time.Duration{0, 0, 0, 0, time.Hour, 3 * time.Minute, 0, 0}).Draw(t, "deadline"); d > 0 {
			cmd.Deadline = &schemas.Time{Time: time.Now().Add(d)}
		}
		other := cmd
		if rapid.Bool().Draw(t, "other payment") {
			other.PaymentID = "pay-3"
		} else {
			other.Amount.Minor++
		}
		r.variants = []schemas.Command{cmd, other}
		for range rapid.SampledFrom([]int{1, 2, 0, 1}).Draw(t, "sends") {
			r.sends = append(r.sends, moods(longest).Draw(t, "send"))
		}
		for range rapid.SampledFrom([]int{0, 1, 2, 0}).Draw(t, "asks") {
			r.asks = append(r.asks, asks().Draw(t, "ask"))
		}
		b.requests[r.id] = r
		b.order = append(b.order, r)
	}
}

// moods draws what a gateway does with a refund call: mostly one thing out of the ordinary.
func moods(longest time.Duration) *rapid.Generator[mood] {
	return rapid.Custom(func(t *rapid.T) mood {
		m := mood{
			reach:  rapid.SampledFrom([]reach{arrives, arrives, lost, arrives, arrives, late, cut, arrives}).Draw(t, "reach"),
			ending: ending(rapid.SampledFrom([]int{0, 0, 1, 3, 0, 4, 2, 5, 0, 6, 7, 8, 0, 0, 4}).Draw(t, "ending")),
			answer: rapid.SampledFrom([]answering{given, dropped, hang, given, dropped, given, slow, panics, hang, given, given}).Draw(t, "answer"),
			hide:   rapid.SampledFrom([]time.Duration{0, 0, 0, 20 * time.Second, 5 * time.Minute}).Draw(t, "hide"),
			after:  rapid.SampledFrom([]time.Duration{20 * time.Second, 2 * time.Minute, 25 * time.Minute, 5 * time.Hour}).Draw(t, "after"),
			blame:  rapid.IntRange(0, 2).Draw(t, "blame") == 0,
			hint:   rapid.Bool().Draw(t, "hint"),
		}
		m.after = min(m.after, longest)
		if m.reach == late {
			m.after = min(m.after, 25*time.Minute)
		}
		return m
	})
}

func asks() *rapid.Generator[ask] {
	return rapid.SampledFrom([]ask{askHonest, askDropped, askCut, askHang, askThrottled, askHonest, askPanic, askRejected})
}

// message encodes a command.
func message(cmd schemas.Command) []byte {
	raw, err := json.Marshal(cmd)
	if err != nil {
		panic(err)
	}
	return raw
}
