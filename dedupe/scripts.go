package dedupe

import (
	"embed"
	"fmt"
	"strconv"

	"refundworker/refund"

	"github.com/redis/go-redis/v9"
)

//go:embed *.lua
var luaFiles embed.FS

// scripts are the texts Redis runs, each with the common helpers in front.
type scripts struct {
	recordClaim, recordSettle, recordWait, recordRelease       *redis.Script
	recordLook                                                 *redis.Script
	paymentAcquire, paymentSettle, paymentWait, paymentRelease *redis.Script
	probe                                                      *redis.Script
	recordRestore, paymentRestore                              *redis.Script
	epochBeat, epochSwap, lockKeep                             *redis.Script
}

func loadScripts() (scripts, error) {
	var s scripts
	common, err := luaFiles.ReadFile("common.lua")
	if err != nil {
		return s, fmt.Errorf("load scripts: %w", err)
	}
	for name, into := range map[string]**redis.Script{
		"record_claim": &s.recordClaim, "record_settle": &s.recordSettle,
		"record_wait": &s.recordWait, "record_release": &s.recordRelease,
		"record_look":     &s.recordLook,
		"payment_acquire": &s.paymentAcquire, "payment_settle": &s.paymentSettle,
		"payment_wait": &s.paymentWait, "payment_release": &s.paymentRelease,
		"probe":          &s.probe,
		"record_restore": &s.recordRestore, "payment_restore": &s.paymentRestore,
		"epoch_beat": &s.epochBeat, "epoch_swap": &s.epochSwap, "lock_keep": &s.lockKeep,
	} {
		text, err := luaFiles.ReadFile(name + ".lua")
		if err != nil {
			return s, fmt.Errorf("load scripts: %w", err)
		}
		*into = redis.NewScript(string(common) + "\n" + string(text))
	}
	return s, nil
}

func (s scripts) all() []*redis.Script {
	return []*redis.Script{
		s.recordClaim, s.recordSettle, s.recordWait, s.recordRelease, s.recordLook,
		s.paymentAcquire, s.paymentSettle, s.paymentWait, s.paymentRelease, s.probe,
		s.recordRestore, s.paymentRestore, s.epochBeat, s.epochSwap, s.lockKeep,
	}
}

// scriptCall is one script with its keys and arguments.
type scriptCall struct {
	script *redis.Script
	keys   []string
	args   []any
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// kindOf tells a claim's script what the message is.
func kindOf(q refund.ClaimRequest) string {
	if q.Signal {
		return "s"
	}
	return flag(q.Copy)
}

// sentMark is how a record says that something may have been sent.
func sentMark(q refund.WaitRequest) string {
	if q.Contradicted {
		return "2"
	}
	return flag(q.MaybeSent)
}

func withFingerprints(args []any, prints []refund.Fingerprint) []any {
	for _, p := range prints {
		args = append(args, strconv.Itoa(p.Version), fingerprintDigest(p))
	}
	return args
}

func (r *Redis) recordScript(c recordCall) scriptCall {
	ttl, outcomeTTL := r.cfg.TombstoneTTL.Milliseconds(), r.cfg.OutcomeTTL.Milliseconds()
	switch {
	case c.claim != nil:
		q := c.claim
		b := bucket(q.RequestID)
		key := []string{r.keys.inBucket(b, q.RequestID, 'r'), r.keys.inBucket(b, q.RequestID, 'o'), r.keys.epoch(b)}
		return scriptCall{r.scripts.recordClaim, key, withFingerprints([]any{
			escape(q.Token), q.Lease.Milliseconds(), r.cfg.MaxLease.Milliseconds(), ttl, q.Hop, kindOf(*q), q.Attempt,
			millis(q.FirstSeen), escape(q.Via), escape(q.Account), escape(q.GatewayKey), paymentDigest(q.Payment), maxTakeovers,
		}, q.Fingerprints)}
	case c.settle != nil:
		q := c.settle
		return scriptCall{r.scripts.recordSettle, r.keys.ofRequest(q.RequestID), withFingerprints([]any{
			escape(q.Token), flag(q.Proof), ttl, outcomeTTL, q.Outcome, packStatus(q.Status), packCode(q.Status, q.Code),
			millis(q.Claim.FirstSeen), paymentDigest(q.Claim.Payment), q.RequestID, r.cfg.MaxLease.Milliseconds(),
		}, q.Claim.Fingerprints)}
	case c.wait != nil:
		q := c.wait
		key := []string{r.keys.record(q.RequestID), r.keys.message(q.RequestID), r.keys.schedule(bucket(q.RequestID)), r.keys.epoch(bucket(q.RequestID))}
		return scriptCall{r.scripts.recordWait, key, []any{
			escape(q.Token), q.Hop, q.Attempt, sentMark(*q), escape(string(q.Code)), millis(q.Due),
			escape(q.GatewayRefundID), escape(q.Via), flag(q.Review), ttl, q.RequestID, packMessage(q.Message), millis(q.LookAt), millis(q.SentSince),
		}}
	case c.look != nil:
		return scriptCall{r.scripts.recordLook, r.keys.ofRequest(*c.look), []any{*c.look, r.cfg.MaxLease.Milliseconds(), flag(c.announced)}}
	default:
		q := c.release
		return scriptCall{r.scripts.recordRelease, []string{r.keys.record(q.RequestID)}, []any{escape(q.Token), ttl}}
	}
}

func (r *Redis) paymentScript(c paymentCall) scriptCall {
	key, ttl := []string{r.keys.payment(c.ref)}, r.cfg.TombstoneTTL.Milliseconds()
	token := escape(c.token)
	switch {
	case c.acquire != nil:
		return scriptCall{r.scripts.paymentAcquire, append(key, r.keys.epoch(bucket(paymentName(c.ref)))), []any{
			token, c.requestID, c.acquire.lease.Milliseconds(), r.cfg.MaxLease.Milliseconds(), ttl, c.ref.Minor, c.ref.OriginalMinor,
			c.acquire.mode,
		}}
	case c.settle != nil:
		result := "s"
		if c.settle.declined {
			result = "d"
		}
		return scriptCall{r.scripts.paymentSettle, key, []any{token, c.requestID, ttl, c.ref.Minor, result, c.settle.mode}}
	case c.wait != nil:
		return scriptCall{r.scripts.paymentWait, key, []any{token, c.requestID, ttl, c.ref.Minor, flag(c.wait.maybeSent)}}
	default:
		return scriptCall{r.scripts.paymentRelease, key, []any{token, c.requestID, ttl, flag(c.release.stray)}}
	}
}
