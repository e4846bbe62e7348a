package realtest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// redisStart bounds one start: process, port, and loading the append-only file.
	redisStart = 20 * time.Second
	// redisTries covers ports that somebody else bound between the look and the server's own bind.
	redisTries = 3
)

// RedisOptions says what a test's server does otherwise than the kit's default.
type RedisOptions struct {
	// Args are appended to the command line and win over the defaults, such as "--maxmemory", "32mb". The kit's own
	// readiness check does not authenticate; a server that answers "authentication required" counts as ready.
	Args []string
	// TLS makes the server speak TLS only; nil is plaintext.
	TLS *RedisTLS
}

// RedisTLS are the files of a server that demands a certificate of every client, and how the kit speaks to it.
type RedisTLS struct {
	// CertFile and KeyFile are the server's own, CAFile the authorities of its clients and of other servers: PEM.
	CertFile, KeyFile, CAFile string
	// Client is the configuration of the kit's readiness check.
	Client *tls.Config
}

// Redis is one real redis-server in a folder of its own, with an append-only file and no eviction: what is acked
// survives Stop and Kill. Its methods return errors instead of failing the test, so that any goroutine may call them;
// they are not safe for use by two at once.
type Redis struct {
	// Addr is host:port; it stays the same over restarts.
	Addr string

	server, dir string
	port        int
	args        []string
	tls         *RedisTLS
	proc        *process
}

// StartRedis starts a server of its own for the test, and ends it with the test. Without redis-server the test is
// skipped, or fails under [RequireEnv].
func StartRedis(tb testing.TB, opts RedisOptions) *Redis {
	tb.Helper()
	require(tb, Available().RedisMissing)
	r, err := RunRedis(tb.Context(), tb.TempDir(), opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if r.proc != nil {
			if err := r.Kill(); err != nil {
				tb.Error(err)
			}
		}
	})
	return r
}

// RunRedis is [StartRedis] for programs that are no tests: the server lives in dir until [Redis.Kill], and ends with the
// process at the latest. The error is Parts.RedisMissing where there is none.
func RunRedis(ctx context.Context, dir string, opts RedisOptions) (*Redis, error) {
	parts := Available()
	if parts.RedisMissing != nil {
		return nil, parts.RedisMissing
	}
	var faults []error
	for range redisTries {
		ports, err := freePorts(ctx, 1)
		if err != nil {
			return nil, err
		}
		r := &Redis{
			Addr:   loopback(ports[0]),
			server: parts.redisServer, dir: dir, port: ports[0], args: opts.Args, tls: opts.TLS,
		}
		if err := r.Start(); err != nil { //nolint:contextcheck // a start has a bound of its own
			faults = append(faults, err)
			continue
		}
		return r, nil
	}
	return nil, fmt.Errorf("start redis-server %s: %w", parts.Redis, errors.Join(faults...))
}

// PID is the server's process; 0 while it is stopped.
func (r *Redis) PID() int {
	if r.proc == nil {
		return 0
	}
	return r.proc.pid
}

var (
	errRunning = errors.New("redis-server is running")
	errStopped = errors.New("redis-server is stopped")
)

// Start runs the server again after [Redis.Stop] or [Redis.Kill], on the same port and folder, and returns when it
// answers, its data loaded.
func (r *Redis) Start() error {
	if r.proc != nil {
		return errRunning
	}
	argv := append([]string{
		r.server,
		"--bind", "127.0.0.1", "--dir", r.dir,
		"--daemonize", "no", "--loglevel", "notice", "--save", "",
		"--appendonly", "yes", "--maxmemory-policy", "noeviction",
	}, r.listen()...)
	argv = append(argv, r.args...)
	proc, err := startProcess(filepath.Join(r.dir, "redis.log"), "", argv...)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), redisStart)
	defer cancel()
	if err := proc.await(ctx, r.ready); err != nil {
		return errors.Join(err, proc.kill())
	}
	r.proc = proc
	return nil
}

// listen are the arguments that open the server's one port.
func (r *Redis) listen() []string {
	var args []string
	for _, setting := range r.tls.listen(r.port) {
		args = append(args, "--"+setting[0], setting[1])
	}
	return args
}

// listen are the settings that open one port, and make a server speak TLS to its peers as well. Nil is plaintext.
func (t *RedisTLS) listen(port int) [][2]string {
	if t == nil {
		return [][2]string{{"port", strconv.Itoa(port)}}
	}
	return [][2]string{
		{"port", "0"},
		{"tls-port", strconv.Itoa(port)},
		{"tls-auth-clients", "yes"},
		{"tls-replication", "yes"},
		{"tls-cert-file", t.CertFile},
		{"tls-key-file", t.KeyFile},
		{"tls-ca-cert-file", t.CAFile},
	}
}

// client is how the kit speaks to the server; nil is plaintext.
func (t *RedisTLS) client() *tls.Config {
	if t == nil {
		return nil
	}
	return t.Client
}

func (r *Redis) ready(ctx context.Context) error {
	answer, err := ask(ctx, r.Addr, r.tls.client(), "PING")
	if err != nil {
		return err
	}
	if !strings.HasPrefix(answer, "+PONG") && !strings.HasPrefix(answer, "-NOAUTH") {
		return fmt.Errorf("PING answered %q", answer)
	}
	return nil
}

// ask sends one command and returns what comes back at once. It speaks the protocol by hand, so that no client's
// pooling and retrying blurs the answer.
func ask(ctx context.Context, addr string, secure *tls.Config, command string) (string, error) {
	return askAs(ctx, addr, secure, "", command)
}

// askAs is ask behind a login, "user password"; empty is none.
func askAs(ctx context.Context, addr string, secure *tls.Config, login, command string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	var d interface {
		DialContext(ctx context.Context, network, address string) (net.Conn, error)
	} = &net.Dialer{}
	if secure != nil {
		d = &tls.Dialer{Config: secure}
	}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return "", err
		}
	}
	if login != "" {
		if answer, err := say(conn, "AUTH "+login); err != nil || answer != "+OK\r\n" {
			return "", fmt.Errorf("log in: %q, %w", answer, err)
		}
	}
	return say(conn, command)
}

func say(conn net.Conn, command string) (string, error) {
	if _, err := conn.Write([]byte(command + "\r\n")); err != nil {
		return "", err
	}
	answer := make([]byte, 16<<10)
	n, err := conn.Read(answer)
	return string(answer[:n]), err
}

// Stop ends the server in good order, as a restart by an operator does.
func (r *Redis) Stop() error { return r.end((*process).terminate) }

// Kill ends the server at once, paused or not, as a crash of its process does. What it has answered is in the kernel's
// page cache and survives.
func (r *Redis) Kill() error { return r.end((*process).kill) }

func (r *Redis) end(how func(*process) error) error {
	if r.proc == nil {
		return errStopped
	}
	proc := r.proc
	r.proc = nil
	return how(proc)
}

// Pause freezes the server: connections stay up, nothing is answered until [Redis.Resume].
func (r *Redis) Pause() error { return r.signal(syscall.SIGSTOP) }

// Resume lets a paused server go on; it then answers what has queued up.
func (r *Redis) Resume() error { return r.signal(syscall.SIGCONT) }

func (r *Redis) signal(sig syscall.Signal) error {
	if r.proc == nil {
		return errStopped
	}
	return r.proc.signal(sig)
}
