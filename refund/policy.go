package refund

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"refundworker/schemas"
)

// Policy is when to try again and when to stop.
type Policy struct {
	// Tiers are the delays of the retry topics, ascending, at least one.
	Tiers []time.Duration
	// Horizon is how long a request may stay unknown or pending, from its first send on, before it goes to review; 0 means
	// for ever. A request of which nothing was ever sent has no horizon.
	Horizon time.Duration
	// LapseAfter is how long after its due time a waiting request is looked at without its retry copy, which is late or
	// lost. Default of the worker: 10 m.
	LapseAfter time.Duration
	// ReviewInterval is how often the gateway is asked again about a request in review. Default of the worker: 24 h.
	ReviewInterval time.Duration
}

// Validate joins every fault.
func (p Policy) Validate() error {
	var errs []error
	if len(p.Tiers) == 0 {
		errs = append(errs, errors.New("retry tiers: at least one is needed"))
	}
	if !slices.IsSorted(p.Tiers) {
		errs = append(errs, fmt.Errorf("retry tiers: %v are not ascending", p.Tiers))
	}
	if p.Horizon < 0 {
		errs = append(errs, fmt.Errorf("horizon: %v is negative", p.Horizon))
	}
	if p.LapseAfter <= 0 {
		errs = append(errs, fmt.Errorf("lapse after: %v is not positive", p.LapseAfter))
	}
	if p.ReviewInterval <= 0 {
		errs = append(errs, fmt.Errorf("review interval: %v is not positive", p.ReviewInterval))
	}
	return errors.Join(errs...)
}

// lookAt is when a request is put on the store's schedule: a waiting one some time after its copy is due, one in review
// at the pace of reviews. Of one whose evidence contradicts itself no answer proves anything any more.
func (p Policy) lookAt(d decision, due, now time.Time) time.Time {
	switch {
	case d.contradicted:
		return time.Time{}
	case d.next == nextReview:
		return now.Add(p.ReviewInterval)
	}
	return due.Add(p.LapseAfter)
}

// firstTier is where the waits begin, by what the gateway said. What a person has to mend, or what was asked to slow
// down, is not tried again after the shortest delay; with the default tiers it begins at 1 m. All else begins at the
// shortest:
//
//   - of a refund that Antom has accepted, no page gives a pace for inquiries; other pages of the same family ask every 5 s
//     for a minute, and for an unknown one Antom names 2 m, 10 m, 10 m, 1 h (https://docs.antom.com/ac/questions/refund_question);
//   - eftPay documents nothing. Its inquiries may not show yet what was sent (so a refund that may have been sent there begins
//     one tier later), and a first send that was held back for want of an answer is what the customer waits for.
func firstTier(gateway schemas.Gateway, code schemas.Code) int {
	pause := code == schemas.CodeThrottled || code == schemas.CodeAccountRejected
	if pause || code == schemas.CodeUnknownOutcome && gateway == schemas.EftPay {
		return 1
	}
	return 0
}

// tier is the delay after a pass at the given hop: the tiers one by one from the first that fits the reason, then the last
// for ever. With the default tiers 10 s, 1 m, 10 m, 1 h the waits are 10 s, 1 m, 10 m and then 1 h each; 24 h are reached
// after 27 hops. A pause that the gateway asked for is kept by taking the first tier that is long enough, or the last.
func (p Policy) tier(first, hop int, retryAfter time.Duration) time.Duration {
	i := min(first+max(hop, 0), len(p.Tiers)-1)
	for i < len(p.Tiers)-1 && p.Tiers[i] < retryAfter {
		i++
	}
	return p.Tiers[i]
}

// tierFor is the shortest tier that lasts until a given pause is over: the topic a copy is written to again when only
// its due time is known.
func (p Policy) tierFor(pause time.Duration) time.Duration { return p.tier(0, 0, pause) }

// parkTier is where messages wait that this build cannot take yet (a newer schema, an account not configured): long
// enough not to spin, short enough for a rolling deploy.
func (p Policy) parkTier() time.Duration { return p.tier(0, 0, time.Minute) }
