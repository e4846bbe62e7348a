package sandbox

import "time"

// query is the operation, https://vmp.eftpay.com.cn/vmp-docs/en/api-reference/scene/qrcode/Query.html: with a refund_no
// it is about that refund, without one about the sale.
func (b *eftpayBook) query(m Merchant, req vmpRequest, now time.Time) vmpAnswer {
	if req.queryType != "OUT_TRADE" || !req.hasRightFields() {
		return b.failure(b.cfg.Codes.BadField, 0)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	payment, code := b.sale(m, req)
	if code != "" {
		return b.failure(code, 0)
	}
	if req.refundNo == "" {
		return b.saleAnswer(m, payment, req.wallet, now)
	}
	var ours []*eftpayRefund
	for _, r := range b.numbers[requestKey{m.Key, req.refundNo}] {
		if r.entry.PaymentID == payment.ID {
			ours = append(ours, r)
		}
	}
	// This query counts only once its own answer is made: until then the refund stays hidden from every mode.
	defer func() {
		for _, r := range ours {
			r.hiddenQueries = max(r.hiddenQueries-1, 0)
		}
	}()
	found := best(b.visible(ours, now))
	if found == nil {
		return b.unknownAnswer(m, payment, req, now)
	}
	b.look(found, payment, now)
	return b.recordAnswer(found, req.wallet)
}

// unknownAnswer is for a refund_no that is not known, or not yet.
func (b *eftpayBook) unknownAnswer(m Merchant, payment *Payment, req vmpRequest, now time.Time) vmpAnswer {
	if b.cfg.Unknown == AnswerSale {
		return b.saleAnswer(m, payment, req.wallet, now)
	}
	if b.cfg.Unknown == AnswerOther {
		// One that is known by this number is hidden, or the number would not be unknown.
		other := best(b.visible(b.sales[saleKey{m.Key, payment.ID}], now))
		if other != nil && other.entry.State != Failed {
			return b.recordAnswer(other, req.wallet)
		}
	}
	return b.failure(b.cfg.Codes.UnknownRefund, 0)
}

// saleAnswer shows the sale as the refunds that can be seen have left it. TRADE_CLOSED is ambiguous, as in life: all
// refunded, or closed without payment.
func (b *eftpayBook) saleAnswer(m Merchant, p *Payment, wallet string, now time.Time) vmpAnswer {
	var moved, seq int64
	for _, r := range b.visible(b.sales[saleKey{m.Key, p.ID}], now) {
		seq = max(seq, r.entry.Seq)
		if r.entry.State == Succeeded {
			moved += r.entry.Minor
		}
	}
	status := tradeSuccess
	switch {
	case p.Status == Unpaid:
		status = tradeProcessing
	case p.Status == Cancelled || moved >= p.Minor:
		status = tradeClosed
	case moved > 0:
		status = tradeRefund
	}
	if p.Wallet != "" {
		wallet = p.Wallet
	}
	return success(seq, vmpRecord{
		status: status, kind: typeSale, outTradeNo: p.ID, wallet: wallet, transactionID: "W" + p.ID,
		minor: p.Minor, original: p.Minor, currency: m.Currency,
	})
}
