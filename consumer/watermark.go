package consumer

import "sync"

// watermark is the offset of one partition below which everything is done. Slots are added in the order of the log
// and finished in any order; the mark advances over the finished prefix only. Offsets may have gaps.
type watermark struct {
	mu sync.Mutex
	// next is the offset to commit: one past the last slot of the finished prefix.
	next int64
	// committed is the last offset the group has accepted.
	committed int64
	// open holds the slots from the first unfinished one on.
	open []*place
}

// place is a slot in a watermark.
type place struct {
	offset int64
	done   bool
}

// newWatermark starts at the offset that will be fetched first. committed is what the group holds; it differs from
// start when there is no commit yet or when the log has lost that offset, and then start is committed at once.
func newWatermark(start, committed int64) *watermark {
	return &watermark{next: start, committed: committed}
}

// add takes the next offset of the log, which is above every one added before.
func (w *watermark) add(offset int64) *place {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := &place{offset: offset}
	w.open = append(w.open, p)
	return p
}

// finish marks a slot done and advances over the finished prefix.
func (w *watermark) finish(p *place) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p.done = true
	n := 0
	for n < len(w.open) && w.open[n].done {
		w.next = w.open[n].offset + 1
		w.open[n] = nil
		n++
	}
	w.open = w.open[n:]
}

// position is the offset to commit, and whether the group does not know it yet.
func (w *watermark) position() (offset int64, dirty bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.next, w.next != w.committed
}

// accepted records what the group has taken.
func (w *watermark) accepted(offset int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.committed = offset
}
