package realtest

import (
	"bufio"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestRedisKeepsWhatItAckedOverStopAndKill(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		end  func(*Redis) error
	}{
		{"stop", (*Redis).Stop},
		{"kill", (*Redis).Kill},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := StartRedis(t, RedisOptions{})
			client := redis.NewClient(&redis.Options{Addr: r.Addr})
			t.Cleanup(func() { _ = client.Close() })
			if err := client.Set(t.Context(), "k", "v", 0).Err(); err != nil {
				t.Fatal(err)
			}
			if err := tt.end(r); err != nil {
				t.Fatal(err)
			}
			if conn, err := net.DialTimeout("tcp", r.Addr, time.Second); err == nil { //nolint:noctx // a probe of a closed port
				conn.Close()
				t.Fatal("the server still listens")
			}
			if err := r.Start(); err != nil {
				t.Fatal(err)
			}
			got, err := client.Get(t.Context(), "k").Result()
			if err != nil || got != "v" {
				t.Errorf("after the restart: %q, %v; want v", got, err)
			}
		})
	}
}

func TestAPausedRedisAnswersAfterResumeOnly(t *testing.T) {
	t.Parallel()
	r := StartRedis(t, RedisOptions{})
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := r.Pause(); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(conn)
	if err := conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if got, err := answers.ReadString('\n'); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a paused server answered %q, %v", got, err)
	}
	if err := r.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if got, err := answers.ReadString('\n'); err != nil || got != "+PONG\r\n" {
		t.Errorf("the resumed server answered %q, %v; want +PONG", got, err)
	}
}

func TestRedisArgumentsWinOverTheDefaults(t *testing.T) {
	t.Parallel()
	r := StartRedis(t, RedisOptions{Args: []string{"--maxmemory-policy", "allkeys-lru", "--requirepass", "secret"}})
	client := redis.NewClient(&redis.Options{Addr: r.Addr, Password: "secret"})
	t.Cleanup(func() { _ = client.Close() })
	got, err := client.ConfigGet(t.Context(), "maxmemory-policy").Result()
	if err != nil || got["maxmemory-policy"] != "allkeys-lru" {
		t.Errorf("maxmemory-policy: %v, %v; want allkeys-lru", got, err)
	}
}

func TestRedisMethodsRefuseTheWrongState(t *testing.T) {
	t.Parallel()
	r := StartRedis(t, RedisOptions{})
	if err := r.Start(); !errors.Is(err, errRunning) {
		t.Errorf("Start of a running server: %v", err)
	}
	if err := r.Stop(); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{"Stop": r.Stop, "Kill": r.Kill, "Pause": r.Pause, "Resume": r.Resume} {
		if err := call(); !errors.Is(err, errStopped) {
			t.Errorf("%s of a stopped server: %v", name, err)
		}
	}
}

func TestAServerThatCannotStartSaysWhy(t *testing.T) {
	t.Parallel()
	r := StartRedis(t, RedisOptions{})
	if err := r.Stop(); err != nil {
		t.Fatal(err)
	}
	r.args = []string{"--no-such-option", "1"}
	if err := r.Start(); err == nil || !strings.Contains(err.Error(), "no-such-option") {
		t.Errorf("Start: %v, want the option's name", err)
	}
}
