package cuttest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// raw sends a request and reads what comes until the connection ends.
func raw(t *testing.T, s *Server) ([]byte, error) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"); err != nil {
		t.Fatal(err)
	}
	return io.ReadAll(conn)
}

func TestEveryFrameIsReadWholeAndCutWhereItIsAsked(t *testing.T) {
	t.Parallel()
	body := strings.Repeat("0123456789", 25)
	var served atomic.Int32
	s := New(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		got, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Got", string(got))
		_, _ = io.WriteString(w, body)
	}))
	for _, frame := range Frames() {
		s.Next(Cut{Frame: frame, Whole: true})
		resp, err := http.Post(s.URL, "", strings.NewReader("{}")) //nolint:noctx // ended by the server
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || string(got) != body || resp.Header.Get("X-Got") != "{}" {
			t.Errorf("%s: %q, %v, head %v", frame, got, err, resp.Header)
		}

		s.Next(Cut{Frame: frame, Whole: true})
		whole, err := raw(t, s)
		if err != nil || len(whole) != s.Length() {
			t.Fatalf("%s: %d bytes of %d, %v", frame, len(whole), s.Length(), err)
		}
		for _, at := range []int{0, 1, len(whole) / 2, len(whole) - 1, len(whole), len(whole) + 9} {
			s.Next(Cut{Frame: frame, At: at})
			got, err := raw(t, s)
			if want := whole[:min(at, len(whole)-1)]; err != nil || !bytes.Equal(got, want) || s.Length() != len(whole) {
				t.Errorf("%s, cut at %d: %d bytes, %v", frame, at, len(got), err)
			}
			s.Next(Cut{Frame: frame, At: at, Reset: true})
			if _, err := raw(t, s); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%s, reset at %d: %v", frame, at, err)
			}
		}
	}
	if s.Longest() < s.Length() || s.Longest() > 2*len(body) {
		t.Errorf("the longest answer has %d bytes, the latest %d", s.Longest(), s.Length())
	}
	if s.Left() != 0 || served.Load() != 3*14 {
		t.Errorf("%d cuts are left, and %d requests were served", s.Left(), served.Load())
	}
	if s.Next(Cut{}); s.Left() != 1 {
		t.Errorf("%d cuts are left, want 1", s.Left())
	}
}
