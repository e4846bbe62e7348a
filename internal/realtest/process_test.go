package realtest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// leaveEnv makes this test binary start a child and end without any clean-up, in the way it names.
const leaveEnv = "REALTEST_LEAVE_BY"

func TestMain(m *testing.M) {
	if how := os.Getenv(leaveEnv); how != "" {
		leave(how)
	}
	os.Exit(m.Run())
}

// leave prints the number of a child that would live for minutes, and goes.
func leave(how string) {
	dir := os.Getenv("REALTEST_DIR")
	p, err := startProcess(filepath.Join(dir, "child.log"), dir, "sleep", "300")
	if err != nil {
		panic(err)
	}
	if _, err := os.Stdout.WriteString(strconv.Itoa(p.pid) + "\n"); err != nil {
		panic(err)
	}
	if how == "panic" {
		panic("the test process panics")
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

func TestAChildEndsAndItsFolderGoesHoweverTheTestProcessEnds(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"panic", "kill"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "child")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), leaveEnv+"="+how, "REALTEST_DIR="+dir)
			out, err := cmd.Output()
			if err == nil {
				t.Fatal("the process ended in good order, so this test proves nothing")
			}
			pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "the child is gone", func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) })
			eventually(t, "the folder is gone", func() bool {
				_, err := os.Stat(dir)
				return errors.Is(err, os.ErrNotExist)
			})
		})
	}
}

func TestKillEndsAFrozenChild(t *testing.T) {
	t.Parallel()
	p := startSleep(t)
	if err := p.signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := p.kill(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(p.pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("signal to the killed child: %v, want no such process", err)
	}
	if err := p.signal(syscall.SIGTERM); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("signal after the end: %v, want no such process", err)
	}
}

func TestTerminateLetsAChildEndByItself(t *testing.T) {
	t.Parallel()
	mark := filepath.Join(t.TempDir(), "mark")
	log := filepath.Join(t.TempDir(), "log")
	p, err := startProcess(log, "", "/bin/sh", "-c", `trap 'echo bye >"$0"; exit 0' TERM; echo up; while :; do sleep 0.05; done`, mark)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the child is up", func() bool { return strings.Contains(p.logTail(), "up") })
	if err := p.terminate(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(mark); err != nil || string(got) != "bye\n" {
		t.Errorf("the child left %q, %v; it was not given the time to end", got, err)
	}
}

func TestAwaitReportsAChildThatEndsEarlyWithItsLastWords(t *testing.T) {
	t.Parallel()
	p, err := startProcess(filepath.Join(t.TempDir(), "log"), "", "/bin/sh", "-c", "echo no such port; exit 3")
	if err != nil {
		t.Fatal(err)
	}
	notYet := errors.New("not yet")
	err = p.await(t.Context(), func(context.Context) error { return notYet })
	if !errors.Is(err, notYet) || !strings.Contains(err.Error(), "no such port") {
		t.Errorf("await: %v, want the readiness error and the child's log", err)
	}
}

func TestAwaitGivesUpWhenItsTimeIsOver(t *testing.T) {
	t.Parallel()
	p := startSleep(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err := p.await(ctx, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("await: %v, want the deadline", err)
	}
	if err := p.kill(); err != nil {
		t.Fatal(err)
	}
}

func TestACommandThatDoesNotExistIsReportedByItsLog(t *testing.T) {
	t.Parallel()
	p, err := startProcess(filepath.Join(t.TempDir(), "log"), "", "/no/such/server")
	if err != nil {
		t.Fatal(err)
	}
	err = p.await(t.Context(), func(context.Context) error { return errors.New("not yet") })
	if err == nil || !strings.Contains(err.Error(), "/no/such/server") {
		t.Errorf("await: %v, want the command's name", err)
	}
}

func TestFreePortsDifferAndCanBeBound(t *testing.T) {
	t.Parallel()
	ports, err := freePorts(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	if len(ports) != 3 || ports[0] == ports[1] || ports[1] == ports[2] || ports[0] == ports[2] {
		t.Errorf("ports %v, want three different ones", ports)
	}
}

func startSleep(t *testing.T) *process {
	t.Helper()
	p, err := startProcess(filepath.Join(t.TempDir(), "log"), "", "sleep", "300")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatalf("never came true: %s", what)
		case <-tick.C:
		}
	}
}
