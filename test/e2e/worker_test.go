package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary is the worker, built once per run of the suite.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "refund-worker-e2e-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "worker")
	out, err := exec.Command("go", "build", "-o", path, "refundworker/cmd/worker").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the worker: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// process is a worker process, with its log.
type process struct {
	cmd    *exec.Cmd
	health string
	log    *logBuffer
	done   chan struct{}
	err    error
}

// logBuffer keeps a process's log; it is written by the process's copier and read by the test.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// command runs a command of the worker to its end and returns its exit code and what it printed.
func command(t *testing.T, env []string, args ...string) (int, string) {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("run worker %v: %v", args, err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// startWorker starts `worker run`, with more flags if there are any, and ends it with the test.
func (s *setup) startWorker(t *testing.T, flags ...string) *process {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	health := freeAddress(t)
	//nolint:noctx // ended by pid below
	p := &process{
		cmd: exec.Command(path, slices.Concat(
			[]string{"run", "--config", s.config, "--http-listen", health, "--log-level", "debug"}, s.flags, flags)...),
		health: health, log: &logBuffer{}, done: make(chan struct{}),
	}
	p.cmd.Env = append(os.Environ(), s.variables...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start worker: %v", err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	s.workers = append(s.workers, p)
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("log of worker %d:\n%s", p.cmd.Process.Pid, tail(p.log.String()))
		}
	})
	return p
}

// ready waits until the worker's readiness is true.
func (p *process) ready(t *testing.T) {
	t.Helper()
	until(t, "readiness", 60*time.Second, func(ctx context.Context) bool { return p.readiness(ctx) == http.StatusOK })
}

// readiness is the status of /readyz; 0 when nobody answers.
func (p *process) readiness(ctx context.Context) int {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.health+"/readyz", http.NoBody)
	if err != nil {
		return 0
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// terminate sends SIGTERM and returns how long the process took to end, and its exit code.
func (p *process) terminate(t *testing.T, within time.Duration) (time.Duration, int) {
	t.Helper()
	started := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.done:
	case <-time.After(within):
		t.Fatalf("SIGTERM: the worker did not end within %v", within)
	}
	return time.Since(started), p.cmd.ProcessState.ExitCode()
}

// kill ends the process as a crash does.
func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.done
}

// killWorker ends the newest worker as a crash does.
func (s *setup) killWorker(t *testing.T) {
	t.Helper()
	s.workers[len(s.workers)-1].kill(t)
	s.killed = true
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// tail keeps a failing test's output readable.
func tail(log string) string {
	const most = 60
	lines := strings.Split(log, "\n")
	return strings.Join(lines[max(0, len(lines)-most):], "\n")
}
