package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
)

// sayEvery is how often progress is a line, where there is no terminal to draw a bar on.
const sayEvery = 10 * time.Second

// progress shows how far a command is: a bar on a terminal, a line now and then elsewhere.
type progress struct {
	out   io.Writer
	drawn bool
	bar   *progressbar.ProgressBar
	said  time.Time
}

func newProgress(out io.Writer) *progress {
	p := &progress{out: out, said: time.Now()}
	if file, ok := out.(*os.File); ok {
		info, err := file.Stat()
		p.drawn = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

// tell is called by one goroutine at a time.
func (p *progress) tell(done, total int64) {
	switch {
	case p.drawn && p.bar == nil:
		p.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(p.out), progressbar.OptionSetDescription("events"),
			progressbar.OptionShowCount(), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionSetPredictTime(true))
	case p.drawn:
		_ = p.bar.Set64(done) // what cannot be drawn is not worth an end of the work
	case time.Since(p.said) >= sayEvery:
		p.said = time.Now()
		_, _ = fmt.Fprintf(p.out, "%d of %d events\n", done, total)
	}
}

// end leaves the bar's line.
func (p *progress) end() {
	if p.bar != nil {
		_, _ = fmt.Fprintln(p.out)
	}
}
