package main

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// child is a process of the bench. It ends with the bench, because its standard input does, or by SIGTERM.
type child struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

// stopWithin bounds the end of a child.
const stopWithin = 30 * time.Second

// start runs a program; its output goes to a file of its own in dir.
func start(dir, name string, argv ...string) (*child, error) {
	log := filepath.Join(dir, name+".log")
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:gosec,noctx // our own programs; they are stopped by hand
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, out.Close())
	}
	c := &child{cmd: cmd, log: log, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		_ = out.Close()
		close(c.done)
	}()
	return c, nil
}

// startServer runs a program that prints a line of words when it is ready.
func startServer(argv ...string) (*child, []string, error) {
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:gosec,noctx // as in start
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if _, err := cmd.StdinPipe(); err != nil {
		return nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	c := &child{cmd: cmd, done: make(chan struct{})}
	line, err := bufio.NewReader(out).ReadString('\n')
	go func() {
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
		close(c.done)
	}()
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("start %s: %w", filepath.Base(argv[0]), err), c.stop())
	}
	return c, strings.Fields(line), nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// stop asks the child to end, and waits.
func (c *child) stop() error {
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	select {
	case <-c.done:
		return nil
	case <-time.After(stopWithin):
		return errors.Join(fmt.Errorf("%s did not end in %s", filepath.Base(c.cmd.Path), stopWithin), c.cmd.Process.Kill())
	}
}

//go:embed profiled.go.txt
var profiled []byte

// overlay is a build overlay that adds the profiler to the worker; the production binary has none.
func overlay(root, dir string) (string, error) {
	source, path := filepath.Join(dir, "profiled.go"), filepath.Join(dir, "overlay.json")
	text, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(root, "cmd", "worker", "profiled.go"): source}})
	if err != nil {
		return "", err
	}
	return path, errors.Join(os.WriteFile(source, profiled, 0o600), os.WriteFile(path, text, 0o600))
}

// build compiles programs into dir.
func build(ctx context.Context, root, dir string, profile bool) error {
	worker := []string{"./cmd/worker"}
	if profile {
		path, err := overlay(root, dir)
		if err != nil {
			return err
		}
		worker = []string{"-overlay", path, "./cmd/worker"}
	}
	for _, b := range []struct {
		in   string
		what []string
	}{
		{root, worker},
		{filepath.Join(root, "bench"), []string{"./gateway", "./embedded", "./subject/ceiling", "./subject/loop", "./subject/watermill"}},
	} {
		cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-trimpath", "-o", dir + "/"}, b.what...)...) //nolint:gosec // our own code
		cmd.Dir = b.in
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", strings.Join(b.what, " "), err, out)
		}
	}
	return nil
}
