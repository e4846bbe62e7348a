package sandbox

import "time"

// refund is the operation, https://vmp.eftpay.com.cn/vmp-docs/en/api-reference/scene/qrcode/Refund.html. A number that is
// known comes before the rules of the sale; what comes of it is the mode.
func (b *eftpayBook) refund(m Merchant, req vmpRequest, does behaviour, now time.Time) vmpAnswer {
	minor, err := parseMajor(req.amount)
	if err != nil || req.refundNo == "" || !req.hasRightFields() {
		return b.failure(b.cfg.Codes.BadField, 0)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if known := best(b.numbers[requestKey{m.Key, req.refundNo}]); known != nil {
		switch b.cfg.Duplicate {
		case Replay:
			b.ripen(known, now)
			return b.refundAnswer(known, req.wallet)
		case Reject:
			return b.failure(b.cfg.Codes.Duplicate, known.entry.Seq)
		case RefundAgain:
		}
	}
	entry := Entry{
		Gateway: gatewayEftPay, ClientID: m.Key, RequestID: req.refundNo, PaymentID: req.outTradeNo,
		Minor: minor, Currency: m.Currency, State: Succeeded, Time: now.UTC(),
	}
	payment, code := b.sale(m, req)
	if code == "" {
		code = b.decline(payment, minor, now)
	}
	if code != "" {
		entry.State, entry.Code = Failed, code
		return b.failure(code, b.enter(entry).entry.Seq)
	}
	if payment.Async != nil {
		entry.State = Processing
	}
	r := b.enter(entry)
	hideFor, queries := b.cfg.HideFor, b.cfg.HideQueries
	if does.hides {
		hideFor, queries = does.hideFor, does.hideQueries
	}
	r.hiddenUntil, r.hiddenQueries = now.Add(hideFor), queries
	return b.refundAnswer(r, req.wallet)
}

// sale finds the sale for this merchant and wallet; without one there is a code.
func (b *eftpayBook) sale(m Merchant, req vmpRequest) (*Payment, string) {
	p := b.payments.find(req.outTradeNo)
	switch {
	case p == nil || p.ClientID != "" && p.ClientID != m.Key || p.Currency != m.Currency:
		return nil, b.cfg.Codes.UnknownOrder
	case p.Wallet != "" && p.Wallet != req.wallet:
		return nil, b.cfg.Codes.WrongWallet
	}
	return p, ""
}

// decline is the first rule of the sale that the refund breaks, as its code; empty when there is none.
func (b *eftpayBook) decline(p *Payment, minor int64, now time.Time) string {
	used := b.used[p.ID]
	switch {
	case p.Status != Paid,
		!p.WindowEnd.IsZero() && now.After(p.WindowEnd),
		p.SingleRefund && used.refunds > 0,
		p.FullOnly && minor < p.Minor,
		minor < p.MinRefund:
		return b.cfg.Codes.NotRefundable
	case minor > p.Minor-used.minor:
		return b.cfg.Codes.Exceeded
	}
	return ""
}

// refundAnswer says where the refund stands. What was declined at once is answered with its code, as it was then.
func (b *eftpayBook) refundAnswer(r *eftpayRefund, wallet string) vmpAnswer {
	if r.declined {
		return b.failure(r.entry.Code, r.entry.Seq)
	}
	return b.recordAnswer(r, wallet)
}

// recordAnswer shows the refund. A sale that is not known any more has no amount to compare with.
func (b *eftpayBook) recordAnswer(r *eftpayRefund, wallet string) vmpAnswer {
	entry := r.entry
	var original int64
	if p := b.payments.find(entry.PaymentID); p != nil {
		original = p.Minor
		if p.Wallet != "" {
			wallet = p.Wallet
		}
	}
	status := tradeRefund
	switch {
	case entry.State == Processing:
		status = tradeProcessing
	case entry.State == Failed:
		status = tradeFail
	case r.upTo >= original:
		status = tradeClosed
	}
	return success(entry.Seq, vmpRecord{
		status: status, kind: typeRefund, outTradeNo: entry.PaymentID, wallet: wallet,
		refundNo: entry.RequestID, transactionID: "W" + entry.RefundID, tradeNo: entry.RefundID,
		minor: entry.Minor, original: original, currency: entry.Currency, at: entry.Time,
	})
}

func success(seq int64, record vmpRecord) vmpAnswer {
	return vmpAnswer{result: result{record.status, returnOK}, text: "SUCCESS", record: &record, seq: seq}
}

// failure is an error code with a text that depends on nothing else, so that a replayed one reads the same.
func (b *eftpayBook) failure(code string, seq int64) vmpAnswer {
	codes := b.cfg.Codes
	text := "refused"
	switch code {
	case codes.BadField:
		text = "a field is missing or wrong"
	case codes.UnknownOrder:
		text = "no such order"
	case codes.WrongWallet:
		text = "payment_type is not the order's"
	case codes.NotRefundable:
		text = "the order cannot be refunded"
	case codes.Exceeded:
		text = "more than the rest of the order"
	case codes.Duplicate:
		text = "refund_no was used before"
	case codes.UnknownRefund:
		text = "no such refund"
	}
	return vmpAnswer{result: result{code: code}, text: text, seq: seq}
}
