package sandbox

import "time"

// vmpAnswer is what a call comes to. Its result is trade_status and return_status. Seq is the entry it rests on; 0 means
// none.
type vmpAnswer struct {
	result

	text     string
	record   *vmpRecord
	unsigned bool
	seq      int64
}

// vmpRecord is a refund or a sale as an answer shows it. What is zero is left out.
type vmpRecord struct {
	status, kind       string
	outTradeNo, wallet string
	// transactionID is the wallet's number, tradeNo the gateway's own number of a refund.
	refundNo, transactionID, tradeNo string
	minor, original                  int64
	currency                         string
	at                               time.Time
}

// body is the answer without its signature, in the order of the page's table. time comes only with a signature. buyer_id
// and tid are empty, as in the page's sample.
func (a vmpAnswer) body(m Merchant, signed bool, now time.Time) object {
	out := object{}.with(vmpStatus, a.code).with(vmpChar, a.text)
	if signed {
		out = out.with(vmpTime, inHongKong(now).Format(stampLayout))
	}
	r := a.record
	if r == nil {
		return out
	}
	texts := []struct{ name, value string }{
		{vmpOutTradeNo, r.outTradeNo},
		{"trade_status", r.status},
		{vmpKey, m.Key},
		{vmpTradeType, r.kind},
		{"transaction_id", r.transactionID},
		{"payment_type", r.wallet},
		{vmpTradeTime, timeText(r.at)},
		{vmpAmount, amountText(r.minor)},
		{vmpOriginal, amountText(r.original)},
		{vmpCurrency, r.currency},
		{vmpRefundNo, r.refundNo},
		{vmpTradeNo, r.tradeNo},
	}
	for _, f := range texts {
		if f.value != "" {
			out = out.with(f.name, f.value)
		}
	}
	return out.with("buyer_id", "").with("tid", "")
}

func timeText(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return inHongKong(at).Format(tradeLayout)
}

func amountText(minor int64) string {
	if minor == 0 {
		return ""
	}
	return majorText(minor)
}

// oddities are what the real gateway's answers have at times, each with one chance in four.
type oddities struct{ emptyChar, nullNumber, extra bool }

func drawOddities(seed uint64, op Operation, refundNo string, n int) oddities {
	bits := draw(seed, op, refundNo, n)
	return oddities{emptyChar: bits&3 == 0, nullNumber: bits>>2&3 == 0, extra: bits>>4&3 == 0}
}

// edit applies them where the answer has the field. An error keeps its text.
func (d oddities) edit(o object) object {
	if d.emptyChar && o.text(vmpStatus) == returnOK {
		o = o.with(vmpChar, "")
	}
	if d.nullNumber && o.has(vmpTradeNo) {
		o = o.with(vmpTradeNo, nil)
	}
	if d.extra {
		o = o.vmpExtras()
	}
	return o
}
