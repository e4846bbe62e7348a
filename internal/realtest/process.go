package realtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// supervise runs a child and ends it when the pipe on its standard input closes: by our own hand, or by the kernel's
// when the test process is gone (a panic, a time-out, kill -9). Cleanup functions run in none of those cases.
// It ends itself with the child, which closes the pipe on its standard output. $0 is the child's log file, $1 a folder
// to remove afterwards, if any.
const supervise = `
remove=$1; shift
exec 3<&0 </dev/null
"$@" >>"$0" 2>&1 3<&- &
child=$!
echo "$child"
{ read -r _ <&3; kill -9 "$child"; } >/dev/null 2>&1 &
guard=$!
wait "$child"
kill "$guard" 2>/dev/null
[ -z "$remove" ] || rm -rf -- "$remove"
`

// endWithin bounds the wait for a process that was told to end.
const endWithin = 20 * time.Second

// process is one child under its supervisor.
type process struct {
	pid        int
	logFile    string
	supervisor *exec.Cmd
	// hold keeps the child alive; closing it ends the child. It is referenced for as long as the process is, because
	// its finaliser would close it.
	hold io.Closer
	out  *os.File
}

// startProcess starts argv. removeDir, when not empty, is removed after the child has ended.
func startProcess(logFile, removeDir string, argv ...string) (*process, error) {
	out, outW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	//nolint:noctx // it must outlive every test's context: it ends with the process
	cmd := exec.Command("/bin/sh", append([]string{"-c", supervise, logFile, removeDir}, argv...)...)
	cmd.Stdout = outW
	// A group of its own: Ctrl-C reaches the test process alone, and its end ends the child.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	hold, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	_ = outW.Close() // the child has its own copy
	if err != nil {
		_ = out.Close()
		return nil, fmt.Errorf("start %s: %w", argv[0], err)
	}
	p := &process{logFile: logFile, supervisor: cmd, hold: hold, out: out}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err == nil {
		p.pid, err = strconv.Atoi(strings.TrimSpace(line))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", argv[0], err), p.kill())
	}
	return p, nil
}

// lives waits for the child's end for at most d, and says whether it still lives.
func (p *process) lives(d time.Duration) bool {
	if err := p.out.SetReadDeadline(time.Now().Add(d)); err != nil {
		return false
	}
	_, err := p.out.Read(make([]byte, 1))
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// signal sends sig to the child, and to nobody else.
func (p *process) signal(sig syscall.Signal) error {
	if err := syscall.Kill(p.pid, sig); err != nil {
		return fmt.Errorf("signal %d with %v: %w", p.pid, sig, err)
	}
	return nil
}

// terminate asks the child to end and waits for it.
func (p *process) terminate() error {
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	if p.lives(endWithin) {
		return errors.Join(fmt.Errorf("process %d did not end %s after SIGTERM", p.pid, endWithin), p.kill())
	}
	return p.reap()
}

// kill ends the child at once, frozen or not, and waits until it is gone.
func (p *process) kill() error {
	// The supervisor's guard does it: it cannot hit another process that was given the child's number since.
	if err := p.hold.Close(); err != nil {
		return fmt.Errorf("let go of process %d: %w", p.pid, err)
	}
	if p.lives(endWithin) {
		return fmt.Errorf("process %d is still there %s after it was killed", p.pid, endWithin)
	}
	return p.reap()
}

func (p *process) reap() error {
	_ = p.out.Close()
	if err := p.supervisor.Wait(); err != nil {
		return fmt.Errorf("supervisor of %d: %w", p.pid, err)
	}
	return nil
}

// logTail is the end of what the child wrote, for a message that says why it did not come up.
func (p *process) logTail() string {
	raw, err := os.ReadFile(p.logFile)
	if err != nil {
		return err.Error()
	}
	const most = 2 << 10
	if len(raw) > most {
		raw = raw[len(raw)-most:]
	}
	return filepath.Base(p.logFile) + " ends:\n" + string(raw)
}

// await calls ready until it returns nil, and fails early when the child ends.
func (p *process) await(ctx context.Context, ready func(context.Context) error) error {
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		if !p.lives(50 * time.Millisecond) {
			return fmt.Errorf("process %d ended before it was ready: %w; %s", p.pid, err, p.logTail())
		}
		if ctx.Err() != nil {
			return fmt.Errorf("process %d was not ready in time: %w; %s", p.pid, err, p.logTail())
		}
	}
}

// freePorts finds n free loopback ports. They lie below the range from which the kernel gives ports to outgoing
// connections: a JVM takes its time between this look and its bind, and a neighbour's connection must not take the port
// meanwhile. Two callers can still choose the same one; so starts are tried again.
func freePorts(ctx context.Context, n int) ([]int, error) {
	const low, high = 20000, 32000
	var (
		ports []int
		lc    net.ListenConfig
	)
	for range 1000 {
		port := low + rand.IntN(high-low)
		l, err := lc.Listen(ctx, "tcp", loopback(port))
		if err != nil {
			continue
		}
		// Held until all are found, so that they differ.
		defer l.Close()
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("found %d of %d free ports between %d and %d", len(ports), n, low, high)
}

func loopback(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}
