// Command worker takes refund commands from Kafka, claims them in Redis, calls the payment gateway and publishes what
// became of them.
//
// Exit codes: 0 done; 1 failed while running; 2 usage, configuration, or something a person has to mend first, such as
// a missing topic.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"refundworker/internal/config"
	"refundworker/internal/observe"
	"refundworker/internal/worker"
)

const (
	exitDone   = 0
	exitFailed = 1
	exitUnfit  = 2
)

// version is set by the build: -ldflags "-X main.version=v1.2.3".
var version = "dev"

type cli struct {
	config.Flags

	Run     runCmd     `cmd:"" help:"Work: consume commands until SIGTERM. A second signal ends the process at once."`
	Init    initCmd    `cmd:"" help:"Create the topics that are missing and the layout in Redis. Safe to repeat."`
	Check   checkCmd   `cmd:"" help:"Check configuration, Kafka and Redis, and say what is wrong."`
	Rebuild rebuildCmd `cmd:"" help:"Refill what Redis has forgotten from the results topic, as running workers do by themselves. Safe to repeat, and beside them."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

type (
	runCmd     struct{}
	initCmd    struct{}
	checkCmd   struct{}
	versionCmd struct{}
	rebuildCmd struct {
		All bool `help:"Everything from the beginning, also where nothing was noticed; running workers go on meanwhile."`
	}
)

func main() {
	ctx, stop := signalled()
	code := run(ctx, os.Args[1:], config.Host(), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// signalled ends the context at the first SIGTERM or SIGINT, and the process at the second.
func signalled() (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	go func() {
		<-signals
		cancel()
		<-signals
		os.Exit(exitFailed)
	}()
	return ctx, cancel
}

func run(ctx context.Context, args []string, src config.Source, stdout, stderr io.Writer) int {
	var c cli
	exit := -1
	parser, err := kong.New(&c,
		kong.Name("worker"),
		kong.Description("Refunds from Kafka, once each: claimed in Redis, sent to Antom or eftPay, answered with outcome events."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exit = code }),
		kong.ValueFormatter(config.FlagHelp),
	)
	if err != nil {
		return complain(stderr, err, exitFailed)
	}
	kctx, err := parser.Parse(args)
	if exit >= 0 {
		return exit // --help has been printed
	}
	if err != nil {
		return complain(stderr, fmt.Errorf("%w; see worker --help", err), exitUnfit)
	}
	err = c.do(ctx, kctx.Command(), src, stdout, stderr)
	var unfit *worker.UnfitError
	var bad *configError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &unfit), errors.As(err, &bad):
		return complain(stderr, err, exitUnfit)
	}
	return complain(stderr, err, exitFailed)
}

// configError marks what the configuration alone is to blame for.
type configError struct{ error }

func (c *cli) do(ctx context.Context, command string, src config.Source, stdout, stderr io.Writer) error {
	if command == "version" {
		_, err := fmt.Fprintln(stdout, version)
		return err
	}
	scope := config.WithAccounts
	if command == "init" || command == "rebuild" {
		scope = config.WithoutAccounts
	}
	cfg, err := config.Load(c.Flags, scope, src)
	if err != nil {
		return &configError{err}
	}
	log, err := observe.Logger(stderr, cfg.Log.Level, cfg.Log.Format)
	if err != nil {
		return &configError{err}
	}
	switch command {
	case "init":
		return worker.Init(ctx, cfg, log, stdout)
	case "check":
		return worker.Check(ctx, cfg, log, stdout)
	case "rebuild":
		shown := newProgress(stdout)
		defer shown.end()
		return worker.Rebuild(ctx, cfg, c.Rebuild.All, log, stdout, shown.tell)
	}
	w, err := worker.New(cfg, version, log) //nolint:contextcheck // New connects to nothing, so it takes no context
	if err != nil {
		return &configError{err}
	}
	return w.Run(ctx)
}

// complain prints a line for every fault, so that each can be read, and grepped, on its own.
func complain(stderr io.Writer, err error, code int) int {
	for line := range strings.Lines(err.Error()) {
		_, _ = fmt.Fprintln(stderr, "worker: "+strings.TrimRight(line, "\n"))
	}
	return code
}
