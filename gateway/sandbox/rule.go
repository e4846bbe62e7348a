package sandbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"sync"
)

// Operation is a kind of call.
type Operation string

// The operations. A [Rule] with AnyOperation is asked for both others.
const (
	AnyOperation Operation = ""
	Refund       Operation = "refund"
	Inquiry      Operation = "inquiry"
)

// million is the denominator of Rule.PerMillion.
const million = 1_000_000

// Rule decides which calls are hit by a fault, in exactly one of four ways: a script of a request ID, the first calls,
// every n-th call, or by chance. What is called the request ID is refund_no at eftPay. Rules are asked in the order in which they were added, and the first that fires wins;
// counting rules count the calls that another rule takes, too.
type Rule struct {
	// ID is given by the server.
	ID string `json:"id,omitempty"`
	// Gateway narrows the rule to "antom" or "eftpay". Empty means both; or, when a fault of the rule exists at one
	// gateway only, that one.
	Gateway string `json:"gateway,omitempty"`
	// Operation narrows the rule to one operation; empty means both.
	Operation Operation `json:"operation,omitempty"`
	// Faults: a script uses them up one per call; the others use them in turn, or drawn by chance.
	Faults []Fault `json:"faults"`

	// RequestID makes the rule a script of this request.
	RequestID string `json:"requestId,omitempty"`
	// First hits the first n calls, Every each n-th call; of each request ID when PerRequest is set, else of all calls.
	First      int  `json:"first,omitempty"`
	Every      int  `json:"every,omitempty"`
	PerRequest bool `json:"perRequest,omitempty"`
	// PerMillion hits that many of a million calls, drawn from a hash of Seed, operation, request ID and call number.
	PerMillion int    `json:"perMillion,omitempty"`
	Seed       uint64 `json:"seed,omitempty"`
}

// Validate reports all faults of the rule, joined.
func (r Rule) Validate() error {
	var errs []error
	ways := 0
	for _, way := range []bool{r.RequestID != "", r.First != 0, r.Every != 0, r.PerMillion != 0} {
		if way {
			ways++
		}
	}
	if ways != 1 {
		errs = append(errs, errors.New("rule: exactly one of requestId, first, every and perMillion is needed"))
	}
	if r.First < 0 || r.Every < 0 || r.PerMillion < 0 || r.PerMillion > million {
		errs = append(errs, fmt.Errorf("rule: first %d, every %d, per million %d", r.First, r.Every, r.PerMillion))
	}
	if r.PerRequest && r.First == 0 && r.Every == 0 {
		errs = append(errs, errors.New("rule: perRequest is for first and every"))
	}
	if r.Seed != 0 && r.PerMillion == 0 {
		errs = append(errs, errors.New("rule: seed is for perMillion"))
	}
	if r.Operation != AnyOperation && r.Operation != Refund && r.Operation != Inquiry {
		errs = append(errs, fmt.Errorf("rule: operation %q", r.Operation))
	}
	if r.Gateway != "" && r.Gateway != gatewayAntom && r.Gateway != gatewayEftPay {
		errs = append(errs, fmt.Errorf("rule: gateway %q", r.Gateway))
	}
	if len(r.Faults) == 0 {
		errs = append(errs, errors.New("rule: no faults"))
	}
	side := r.side()
	for _, f := range r.Faults {
		errs = append(errs, f.Validate())
		if f.Kind == UnknownHalfway && r.Operation != Refund {
			errs = append(errs, fmt.Errorf("rule: %q is for operation %q only", f.Kind, Refund))
		}
		if f.hides() && r.Operation != Refund {
			errs = append(errs, fmt.Errorf("rule: hiding is for operation %q only", Refund))
		}
		if own := f.gateway(); own != "" && own != side {
			errs = append(errs, fmt.Errorf("rule: %q is for gateway %q, the rule for %q", f.Kind, own, side))
		}
	}
	return errors.Join(errs...)
}

// side is the gateway the rule is for; empty means both.
func (r Rule) side() string {
	if r.Gateway != "" {
		return r.Gateway
	}
	for _, f := range r.Faults {
		if own := f.gateway(); own != "" {
			return own
		}
	}
	return ""
}

type callKey struct {
	gateway   string
	operation Operation
	requestID string
}

// armed is a rule with its counters.
type armed struct {
	rule Rule
	side string
	// calls counts the calls seen; perRequest the same by request, kept only by rules that ask for it.
	calls      int
	perRequest map[callKey]int
	// fired is the number of faults of a script that are used up.
	fired int
}

// plan holds the rules.
type plan struct {
	mu    sync.Mutex
	last  int
	rules []*armed
}

func (p *plan) add(r Rule) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last++
	r.ID = strconv.Itoa(p.last)
	r.Faults = slices.Clone(r.Faults)
	p.rules = append(p.rules, &armed{rule: r, side: r.side(), perRequest: map[callKey]int{}})
	return r.ID
}

func (p *plan) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules = nil
}

// remove says whether there was such a rule.
func (p *plan) remove(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := len(p.rules)
	p.rules = slices.DeleteFunc(p.rules, func(a *armed) bool { return a.rule.ID == id })
	return len(p.rules) < before
}

func (p *plan) list() []Rule {
	p.mu.Lock()
	defer p.mu.Unlock()
	rules := make([]Rule, 0, len(p.rules))
	for _, a := range p.rules {
		rules = append(rules, a.rule)
	}
	return rules
}

// next is the fault of this call; None most of the time.
func (p *plan) next(gateway string, op Operation, requestID string) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	hit := Fault{Kind: None}
	found := false
	for _, a := range p.rules {
		if a.side != "" && a.side != gateway || a.rule.Operation != AnyOperation && a.rule.Operation != op {
			continue
		}
		if a.rule.RequestID != "" {
			// A script keeps its fault for the next call when another rule has taken this one.
			if !found && a.rule.RequestID == requestID && a.fired < len(a.rule.Faults) {
				hit, found = a.rule.Faults[a.fired], true
				a.fired++
			}
			continue
		}
		if f, ok := a.count(callKey{gateway, op, requestID}); ok && !found {
			hit, found = f, true
		}
	}
	return hit
}

// count notes the call and says whether it is hit.
func (a *armed) count(key callKey) (Fault, bool) {
	n := 0
	if a.rule.PerRequest || a.rule.PerMillion > 0 {
		a.perRequest[key]++
		n = a.perRequest[key]
	} else {
		a.calls++
		n = a.calls
	}
	faults := a.rule.Faults
	switch {
	case a.rule.PerMillion > 0:
		draw := draw(a.rule.Seed, key.operation, key.requestID, n)
		return faults[draw/million%uint64(len(faults))], draw%million < uint64(a.rule.PerMillion)
	case a.rule.First > 0:
		return faults[(n-1)%len(faults)], n <= a.rule.First
	default:
		return faults[(n-1)/a.rule.Every%len(faults)], n%a.rule.Every == 0
	}
}

// draw hashes what names the call, so that neither the clock nor the order of arrival has a say.
func draw(seed uint64, op Operation, requestID string, n int) uint64 {
	h := fnv.New64a()
	var number [16]byte
	binary.BigEndian.PutUint64(number[:8], seed)
	binary.BigEndian.PutUint64(number[8:], uint64(n)) //nolint:gosec // A count of calls is never negative.
	_, _ = h.Write(number[:])
	_, _ = h.Write([]byte(string(op) + "\x00" + requestID))
	// FNV leaves similar inputs with similar high bits; this finalizer (MurmurHash3) spreads them.
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return x
}
