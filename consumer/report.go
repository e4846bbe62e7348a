package consumer

import (
	"sync"
	"time"
)

// pacer lets one log line per interval pass, so that a broker that is away for an hour does not fill the log.
type pacer struct {
	interval time.Duration
	mu       sync.Mutex
	last     time.Time
}

func (p *pacer) pass() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if !p.last.IsZero() && now.Sub(p.last) < p.interval {
		return false
	}
	p.last = now
	return true
}
