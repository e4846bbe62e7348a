// Bench measures the worker beside other programs that do the same job, on a real broker and a real Redis, with a fake
// gateway of set latency; docs/performance.md has the method and the results. It is a module of its own because the
// programs it compares bring requirements that the worker must not have.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"refundworker/bench/report"
)

type options struct {
	Latency  []time.Duration `default:"0s,20ms,200ms" help:"Latencies of the gateway in the grid."`
	InFlight []int           `default:"64,256,1024" help:"Calls at once in the grid."`
	Refunds  int             `help:"Refunds per run; 0 scales each case to what can be measured."`
	Runs     int             `default:"3" help:"Runs per case; the median counts."`
	Only     []string        `default:"worker,ceiling,watermill,loop" help:"Subjects: worker, ceiling, watermill, loop."`
	Scenario []string        `default:"grid,slow,hot,lone,antom,workers,backlog" help:"Scenarios: grid, slow, hot, lone, antom, workers, backlog."`
	Backlog  []int           `default:"10000,100000" help:"Sizes of the backlogs in the scenario of that name."`
	Broker   string          `default:"real" enum:"real,embedded" help:"real or embedded."`
	Gateway  string          `default:"eftpay" enum:"eftpay,antom" help:"Whose refunds the worker makes: eftpay or antom."`
	JSON     string          `name:"json" type:"path" help:"File for the results, one object per case."`
	Profile  string          `type:"existingdir" help:"Folder for CPU and allocation profiles of the worker; they cost it a few percent."`
	SVG      string          `name:"svg" type:"path" help:"Folder for the plots."`
}

// Validate is called by kong.
func (o options) Validate() error {
	var errs []error
	known := func(name string, values []string, words ...string) {
		for _, v := range values {
			if !strings.Contains(" "+strings.Join(words, " ")+" ", " "+v+" ") {
				errs = append(errs, fmt.Errorf("--%s %q is not known: write some of %s", name, v, strings.Join(words, ", ")))
			}
		}
	}
	known("only", o.Only, "worker", "ceiling", "watermill", "loop")
	known("scenario", o.Scenario, "grid", "slow", "hot", "lone", "antom", "workers", "backlog")
	for _, d := range o.Latency {
		if d < 0 || d > time.Minute {
			errs = append(errs, fmt.Errorf("--latency %s is not between 0s and 1m: write such as 20ms", d))
		}
	}
	for name, values := range map[string][]int{"in-flight": o.InFlight, "backlog": o.Backlog, "runs": {o.Runs}} {
		for _, n := range values {
			if n < 1 {
				errs = append(errs, fmt.Errorf("--%s %d is not above 0", name, n))
			}
		}
	}
	if o.Refunds < 0 || o.Refunds%2 != 0 {
		errs = append(errs, fmt.Errorf("--refunds %d is not an even number above 0: there are two of each payment", o.Refunds))
	}
	return errors.Join(errs...)
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	var o options
	parser, err := kong.New(&o, kong.Name("bench"), kong.Writers(stdout, stderr))
	if err == nil {
		_, err = parser.Parse(args)
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "bench:", strings.ReplaceAll(err.Error(), "\n", "; "))
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	results, err := bench(ctx, o, stderr)
	if len(results) > 0 {
		results = report.Compare(results)
		err = errors.Join(err, report.Table(stdout, results), write(o, results))
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	return 0
}

// bench runs every case, subject after subject, run after run. A run that fails makes its case incomplete.
func bench(ctx context.Context, o options, progress io.Writer) ([]report.Result, error) {
	root, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "refund-worker-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if o.Profile != "" {
		if err := os.Setenv("BENCH_PROFILE", o.Profile); err != nil {
			return nil, err
		}
	}
	if err := build(ctx, root, dir, o.Profile != ""); err != nil {
		return nil, err
	}
	s, err := newStack(ctx, dir, o.Broker)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.stop() }()
	cases := plan(o)
	if len(cases) > 0 {
		warm := testCase{subject: "ceiling", scenario: "warm-up", gateway: o.Gateway, inFlight: 256, refunds: usual, workers: 1}
		if _, err := s.measure(ctx, warm); err != nil {
			return nil, fmt.Errorf("warm-up: %w", err)
		}
	}
	var results []report.Result
	for i, c := range cases {
		var runs []report.Result
		var failed error
		for n := range o.Runs {
			r, err := s.measure(ctx, c)
			if ctx.Err() != nil {
				return results, ctx.Err()
			}
			if err != nil {
				failed = err
				break
			}
			runs = append(runs, r)
			_, _ = fmt.Fprintf(progress, "%d/%d run %d: %s %s %s in flight %d, %d refunds: %.0f/s, %.2f CPU s/10k, p99 %.1f ms\n",
				i+1, len(cases), n+1, c.scenario, c.subject, c.latency, c.inFlight, c.refunds, r.RefundsPerS, r.CPUPer10k, r.P99AddedMS)
		}
		if failed != nil {
			_, _ = fmt.Fprintf(progress, "%d/%d: %s %s %s in flight %d: %v\n", i+1, len(cases), c.scenario, c.subject, c.latency, c.inFlight, failed)
			r := s.result(c, statistics{}, 0)
			r.Incomplete = strings.ReplaceAll(failed.Error(), "\n", " ")
			results = append(results, r)
			continue
		}
		results = append(results, median(runs))
	}
	return results, nil
}

// write writes what the options ask for.
func write(o options, results []report.Result) error {
	var errs []error
	file := func(path string, fill func(io.Writer) error) {
		f, err := os.Create(path) //nolint:gosec // the caller's own file
		if err == nil {
			err = errors.Join(fill(f), f.Close())
		}
		errs = append(errs, err)
	}
	if o.JSON != "" {
		file(o.JSON, func(w io.Writer) error { return report.WriteJSON(w, results) })
	}
	if o.SVG == "" {
		return errors.Join(errs...)
	}
	// Only what was run can be drawn.
	if slices.Contains(o.Scenario, "grid") {
		for _, latency := range o.Latency {
			file(filepath.Join(o.SVG, fmt.Sprintf("throughput-%dms.svg", latency.Milliseconds())), func(w io.Writer) error {
				return report.ThroughputSVG(w, results, latency.Milliseconds())
			})
		}
	}
	if slices.Contains(o.Scenario, "backlog") {
		file(filepath.Join(o.SVG, "backlog.svg"), func(w io.Writer) error { return report.BacklogSVG(w, results) })
	}
	return errors.Join(errs...)
}
