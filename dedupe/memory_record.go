package dedupe

import (
	"bytes"

	"refundworker/refund"
	"refundworker/schemas"
)

type memoryState uint8

const (
	memoryClaimed memoryState = iota + 1
	memoryWaiting
	memoryReview
	memorySettled
)

// memoryRecord is a record as the scripts pack it; a stored one is never changed, only replaced.
type memoryRecord struct {
	state     memoryState
	print     refund.Fingerprint // Sum is the digest
	payment   string
	token     string
	lease     int64
	hop       int
	attempt   int
	maybeSent bool
	// sentSince is since when; 0 where that is not known.
	sentSince int64
	// contradicted implies maybeSent.
	contradicted bool
	takeovers    int
	account      string
	gatewayKey   string
	refundID     string
	firstSeen    int64
	code         schemas.Code
	due          int64
	via          string
	status       schemas.Status
	beforeClaim  *memoryRecord
	expires      int64
}

// memoryOutcome is a text that expires: an outcome's bytes, or a packed message.
type memoryOutcome struct {
	value   []byte
	expires int64
}

func (m *Memory) record(requestID string, now int64) *memoryRecord {
	if r := m.records[requestID]; r != nil && now < r.expires {
		return r
	}
	delete(m.records, requestID)
	return nil
}

func (m *Memory) outcome(requestID string, now int64) []byte {
	return unexpired(m.outcomes, requestID, now)
}

func unexpired(texts map[string]memoryOutcome, requestID string, now int64) []byte {
	if o, found := texts[requestID]; found && now < o.expires {
		return bytes.Clone(o.value)
	}
	delete(texts, requestID)
	return nil
}

func (m *Memory) storeRecord(requestID string, r memoryRecord, now int64) {
	r.expires = now + m.cfg.TombstoneTTL.Milliseconds()
	m.records[requestID] = &r
}

func digested(prints []refund.Fingerprint) []refund.Fingerprint {
	short := make([]refund.Fingerprint, 0, len(prints))
	for _, p := range prints {
		short = append(short, refund.Fingerprint{Version: p.Version, Sum: fingerprintDigest(p)})
	}
	return short
}

// compare is "" when the record carries one of the fingerprints, else what a claim has found.
func (r *memoryRecord) compare(prints []refund.Fingerprint, payment refund.PaymentRef) string {
	if r.print.Version == unprinted {
		if r.payment == paymentDigest(payment) {
			return ""
		}
		return foundConflict
	}
	for _, p := range digested(prints) {
		if p.Version != r.print.Version {
			continue
		}
		if p.Sum == r.print.Sum {
			return ""
		}
		return foundConflict
	}
	return foundVersion
}

func (r *memoryRecord) answer(found string, now int64) recordAnswer {
	a := recordAnswer{found: found, now: fromMillis(now), payment: r.payment}
	if found == foundVersion {
		return a
	}
	if r.state == memorySettled {
		a.settled = refund.SettledAs{Status: r.status, Code: r.code}
	}
	if found == foundConflict {
		return a
	}
	if r.state == memorySettled {
		a.record = refund.Record{FirstSeen: fromMillis(r.firstSeen)}
		return a
	}
	a.record = refund.Record{Hop: r.hop, Attempt: r.attempt, FirstSeen: fromMillis(r.firstSeen), GatewayRefundID: r.refundID}
	a.record.MaybeSent, a.record.Contradicted, a.record.Takeovers = r.maybeSent, r.contradicted, r.takeovers
	a.record.Account, a.record.GatewayKey = r.account, r.gatewayKey
	a.record.Token, a.record.Code, a.record.Due = r.token, r.code, fromMillis(r.due)
	a.record.Via, a.record.SentSince = r.via, fromMillis(r.sentSince)
	a.born = r.beforeClaim == nil
	a.fresh = a.born && !r.maybeSent
	return a
}

func (m *Memory) claimRecord(req refund.ClaimRequest, now int64) recordAnswer {
	granted := func(r memoryRecord) recordAnswer {
		r.state, r.token, r.lease = memoryClaimed, req.Token, now+req.Lease.Milliseconds()
		m.storeRecord(req.RequestID, r, now)
		return r.answer(foundGranted, now)
	}
	first := millis(req.FirstSeen)
	old := m.record(req.RequestID, now)
	if old == nil {
		if first == 0 {
			first = now
		}
		return granted(memoryRecord{
			print: digested(req.Fingerprints)[0], payment: paymentDigest(req.Payment), hop: req.Hop, attempt: req.Attempt,
			maybeSent: req.Copy, account: req.Account, gatewayKey: req.GatewayKey, firstSeen: first,
		})
	}
	if found := old.compare(req.Fingerprints, req.Payment); found != "" {
		return old.answer(found, now)
	}
	next := *old
	switch old.state {
	case memorySettled:
		answer := old.answer(foundTombstone, now)
		if outcome := m.outcome(req.RequestID, now); outcome != nil {
			answer.found, answer.outcome = foundSettled, outcome
		}
		return answer
	case memoryReview:
		if !req.Signal || old.contradicted {
			return old.answer(foundReview, now)
		}
	case memoryWaiting:
		if req.Hop < old.hop && !req.Signal {
			if !req.Copy || req.Via == old.via || old.via == "" {
				return old.answer(foundHere, now)
			}
			return old.answer(foundWaiting, now)
		}
		if req.Hop > old.hop {
			next.maybeSent, next.attempt = true, max(old.attempt, req.Attempt)
		}
	case memoryClaimed:
		if old.token == req.Token {
			return granted(next)
		}
		next.lease = min(old.lease, now+m.cfg.MaxLease.Milliseconds())
		if next.lease > now {
			if next.lease != old.lease {
				m.storeRecord(req.RequestID, next, now)
			}
			answer := next.answer(foundBusy, now)
			answer.retryIn = durationOf(next.lease - now)
			return answer
		}
		next.takeovers, next.maybeSent, next.attempt = old.takeovers+1, true, max(old.attempt+1, req.Attempt)
		if !old.maybeSent {
			next.sentSince = now
		}
		if next.takeovers > maxTakeovers {
			next.state, next.lease, next.code, next.due, next.beforeClaim = memoryReview, 0, schemas.CodeNeedsReview, 0, nil
			m.storeRecord(req.RequestID, next, now)
			return next.answer(foundReview, now)
		}
	}
	next.beforeClaim = old
	next.hop = max(old.hop, req.Hop)
	if first > 0 && (old.firstSeen == 0 || first < old.firstSeen) {
		next.firstSeen = first
	}
	return granted(next)
}

func (m *Memory) settleRecord(req refund.SettleRequest, now int64) recordAnswer {
	old := m.record(req.RequestID, now)
	if old == nil {
		if !req.Proof {
			return recordAnswer{found: foundLost}
		}
		old = &memoryRecord{
			print: digested(req.Claim.Fingerprints)[0], payment: paymentDigest(req.Claim.Payment), firstSeen: millis(req.Claim.FirstSeen),
		}
		if old.firstSeen == 0 {
			old.firstSeen = now
		}
	}
	if old.state == memorySettled {
		answer := old.answer(foundTombstone, now)
		if outcome := m.outcome(req.RequestID, now); outcome != nil {
			answer.found, answer.outcome = foundSettled, outcome
		}
		return answer
	}
	if !req.Proof && (old.state != memoryClaimed || old.token != req.Token) {
		return recordAnswer{found: foundLost}
	}
	next := memoryRecord{
		state: memorySettled, print: old.print, payment: old.payment, firstSeen: old.firstSeen, status: req.Status, code: req.Code,
	}
	if req.Proof && old.compare(req.Claim.Fingerprints, req.Claim.Payment) != "" {
		next.print, next.payment = digested(req.Claim.Fingerprints)[0], paymentDigest(req.Claim.Payment)
	}
	m.outcomes[req.RequestID] = memoryOutcome{value: bytes.Clone(req.Outcome), expires: now + m.cfg.OutcomeTTL.Milliseconds()}
	m.storeRecord(req.RequestID, next, now)
	delete(m.messages, req.RequestID)
	if old.state == memoryClaimed && old.token == req.Token {
		delete(m.schedule, req.RequestID)
	} else {
		m.schedule[req.RequestID] = now + m.cfg.MaxLease.Milliseconds()
	}
	return next.answer(foundMine, now)
}

func (m *Memory) waitRecord(req refund.WaitRequest, now int64) recordAnswer {
	old := m.record(req.RequestID, now)
	if old == nil || old.state == memorySettled || old.token != req.Token {
		return recordAnswer{found: foundLost}
	}
	if old.state != memoryClaimed {
		if old.hop == req.Hop {
			return recordAnswer{found: foundStored}
		}
		return recordAnswer{found: foundLost}
	}
	if req.Hop <= old.hop {
		return recordAnswer{found: foundLost}
	}
	next := *old
	next.state = memoryWaiting
	if req.Review {
		next.state = memoryReview
	}
	next.lease, next.hop, next.attempt = 0, req.Hop, req.Attempt
	next.contradicted = old.contradicted || req.Contradicted
	next.maybeSent, next.sentSince = req.MaybeSent || next.contradicted, millis(req.SentSince)
	next.code, next.due, next.via, next.beforeClaim = req.Code, millis(req.Due), req.Via, nil
	if req.GatewayRefundID != "" {
		next.refundID = req.GatewayRefundID
	}
	m.storeRecord(req.RequestID, next, now)
	m.messages[req.RequestID] = memoryOutcome{value: packMessage(req.Message), expires: now + m.cfg.TombstoneTTL.Milliseconds()}
	if req.LookAt.IsZero() {
		delete(m.schedule, req.RequestID)
	} else {
		m.schedule[req.RequestID] = millis(req.LookAt)
	}
	return recordAnswer{found: foundStored}
}

func (m *Memory) releaseRecord(req refund.ReleaseRequest, now int64) recordAnswer {
	old := m.record(req.RequestID, now)
	if old == nil || old.state != memoryClaimed || old.token != req.Token || old.lease <= now {
		return recordAnswer{found: foundKept}
	}
	if old.beforeClaim == nil {
		delete(m.records, req.RequestID)
	} else {
		m.storeRecord(req.RequestID, *old.beforeClaim, now)
	}
	return recordAnswer{found: foundReleased}
}

func (m *Memory) lookRecord(requestID string, announced bool, now int64) recordAnswer {
	r := m.record(requestID, now)
	if r == nil {
		delete(m.schedule, requestID)
		return recordAnswer{found: foundAbsent}
	}
	if r.state == memorySettled {
		if announced {
			delete(m.schedule, requestID)
		}
		answer := r.answer(foundTombstone, now)
		if outcome := m.outcome(requestID, now); outcome != nil {
			answer.found, answer.outcome = foundSettled, outcome
		}
		return answer
	}
	answer := r.answer(foundWaiting, now)
	if r.state == memoryReview {
		answer.found = foundReview
	}
	if r.state == memoryClaimed {
		answer.found = foundClaimed
		answer.retryIn = durationOf(max(0, min(r.lease, now+m.cfg.MaxLease.Milliseconds())-now))
	}
	if answer.message = unexpired(m.messages, requestID, now); answer.message == nil {
		delete(m.schedule, requestID)
	}
	return answer
}
