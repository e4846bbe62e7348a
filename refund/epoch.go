package refund

import "time"

// Epoch is what a store knows of its own forgetting. The zero value is a first epoch: nothing was ever forgotten.
type Epoch struct {
	// Began is when the store was refilled and opened again, by its own clock.
	Began time.Time
	// Since is the earliest moment of which it may have forgotten a claim; zero means any.
	Since time.Time
}

// doubt is what a later epoch makes of a record that says "never sent". What was published is back in the store, but a
// claim that was made and sent, and of which nothing was published yet, is not: its record is absent, or as it was
// before the claim.
//
// Every such claim was made before the epoch began, so its last byte was written by the end of a lease from then, was
// worked on by the end of a gateway timeout after that, and is shown by inquiries once it has settled. Until then the
// doubt is running, for every request: a duplicate need not be as old as the command that was sent. Afterwards it stays
// with what was on its way: the message is older than that moment, or the record is. It leaves them with the first send
// that an inquiry has let go.
type doubt struct {
	// doubtful: nothing is sent before an inquiry, whatever the account says otherwise.
	doubtful bool
	// running: an inquiry may not show yet what was sent, so a decline needs another answer that agrees.
	running bool
	// quarantined: running, and the gateway promises nothing about repeats. Only inquiries are made, and a pass that
	// finds nothing counts for nothing.
	quarantined bool
	// refused: our own side refuses the request, which it may say only of what was never sent: when the doubt has run out
	// and an inquiry has cleared it.
	refused bool
	// left is for how long it goes on running.
	left time.Duration
	// known is since when the request is known, by its message or its record.
	known time.Time
	// sentAfter is the earliest moment at which the request can have been sent, and age the time since then.
	sentAfter time.Time
	age       time.Duration
}

// doubtOf judges a granted claim. A record that says "maybe sent" needs no doubt: it is inquired anyway.
func (p *Processor) doubtOf(in input, acct Account, c Claim) doubt {
	if c.Epoch == (Epoch{}) || c.Record.MaybeSent {
		return doubt{}
	}
	until := c.Epoch.Began.Add(p.cfg.Lease + p.cfg.GatewayTimeout + p.cfg.Settling)
	known := c.Record.FirstSeen
	if at := in.arrived(); at.Before(known) {
		known = at
	}
	if !known.Before(until) {
		return doubt{}
	}
	d := doubt{doubtful: true, left: max(until.Sub(c.Now), 0), known: known, sentAfter: known}
	d.running = d.left > 0
	d.quarantined = d.running && acct.ResendWindow == 0
	if c.Epoch.Since.After(known) {
		d.sentAfter = c.Epoch.Since
	}
	d.age = c.Now.Sub(d.sentAfter)
	return d
}

// adopts says whether the request has to be taken for maybe sent: it can have been sent before the window in which the
// gateway's contract makes a repeat safe, and is only inquired then. Where there is no such window, the quarantine and
// the inquiry after it are the proof.
func (d doubt) adopts(acct Account) bool {
	return d.doubtful && acct.ResendWindow > 0 && d.age >= acct.ResendWindow
}

// clears says whether an inquiry proves that a refused request was never sent: what would let a first send go, once
// everything that can have been sent must show.
func (d doubt) clears(inquiry Result) bool {
	return d.doubtful && d.refused && !d.running && (inquiry.Verdict == Absent || inquiry.ShowsNone)
}

// holds says whether the pass was kept from sending by the doubt: then it has learned nothing that counts.
func (d doubt) holds(maybeSent bool) bool {
	return (d.quarantined || d.doubtful && d.refused) && !maybeSent
}
