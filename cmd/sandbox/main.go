package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

const (
	exitAgrees = 0
	exitFailed = 1
	exitUsage  = 2
)

//go:embed refunds.jsonl
var refunds []byte

type cli struct {
	File    string        `help:"JSONL file to feed; empty means the mixed set that is built in. Its format is in docs/sandbox.md." placeholder:"FILE"`
	Serve   bool          `help:"Stay up after the table, and say how to produce and watch with any Kafka client."`
	Timeout time.Duration `help:"How long the commands may take to come to their end." default:"90s"`
	Log     string        `help:"Level of the worker's own log on standard error: off, debug, info, warn or error." default:"off"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var c cli
	exit := -1
	parser, err := kong.New(&c,
		kong.Name("sandbox"),
		kong.Description("The whole refund worker on one machine, with nothing installed."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exit = code }),
	)
	if err != nil {
		return complain(stderr, err, exitFailed)
	}
	_, err = parser.Parse(args)
	switch {
	case exit >= 0:
		return exit
	case err != nil:
		return complain(stderr, fmt.Errorf("%w; see --help", err), exitUsage)
	}
	raw, name := refunds, "refunds.jsonl"
	if c.File != "" {
		name = c.File
		if raw, err = os.ReadFile(c.File); err != nil {
			return complain(stderr, err, exitUsage)
		}
	}
	lines, err := readLines(name, raw)
	if err != nil {
		return complain(stderr, err, exitUsage)
	}
	agrees, err := play(ctx, c, lines, stdout, stderr)
	switch {
	case err != nil:
		return complain(stderr, err, exitFailed)
	case !agrees:
		return exitFailed
	}
	return exitAgrees
}

func complain(stderr io.Writer, err error, code int) int {
	_, _ = fmt.Fprintln(stderr, "sandbox:", err)
	return code
}

// play starts everything, feeds the lines, waits for their ends and holds the three books against each other.
func play(ctx context.Context, c cli, lines []line, stdout, stderr io.Writer) (agrees bool, err error) {
	st, err := startStack(ctx, lines, c.Log, stderr)
	if err != nil {
		return false, err
	}
	defer func() {
		if stopErr := st.stop(); err == nil && stopErr != nil {
			agrees, err = false, stopErr
		}
	}()
	_, _ = fmt.Fprintf(stdout, "kafka %s · redis %s · gateways %s\n\n", st.kafkaAddr(), st.redis.Addr(), st.gatewayURL)

	book := newBook()
	feeding, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	if err := st.feed(feeding, lines, book); err != nil {
		return false, err
	}
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	events := st.watch(watching)
	// What is not at its end when the time is up is told by the table.
	if err := book.follow(feeding, events, stdout); err != nil {
		return false, err
	}
	told := st.gateway.Deliveries()
	_, _ = fmt.Fprintf(stdout, "\nAntom sent %d notifications, and %d were acknowledged\n", told.Sent, told.Acknowledged)
	agrees = book.report(stdout, st.gateway.Ledger())
	if c.Serve {
		serveNote(stdout, st)
		book.followUntil(ctx, events, stdout)
	}
	return agrees, nil
}
