package cuttest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// Frame is how an answer tells where its body ends.
type Frame string

// The frames of HTTP/1.1 (RFC 9112, 6.3). A body ToTheEnd that is cut by a clean close looks complete: nothing but the
// gateway's signature can tell.
const (
	Counted  Frame = "counted"
	Chunked  Frame = "chunked"
	ToTheEnd Frame = "to the end"
)

// Frames are all of them.
func Frames() []Frame { return []Frame{Counted, Chunked, ToTheEnd} }

// chunk is the length of a chunk: short, so that an answer has several.
const chunk = 100

// Cut is what becomes of one answer.
type Cut struct {
	Frame Frame
	// At is how many bytes leave, head included: at least 0, and never all of them. Whole lets all of them go.
	At    int
	Whole bool
	// Reset ends the connection with an error for the peer instead of an end of file.
	Reset bool
}

// Server answers one request per connection. Its requests come one after the other, as a test makes them.
type Server struct {
	// URL is the address, without a path.
	URL     string
	handler http.Handler
	cuts    chan Cut

	mu              sync.Mutex
	length, longest int
}

// New starts a server on a loopback port; it ends with the test.
func New(tb testing.TB, handler http.Handler) *Server {
	tb.Helper()
	l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	// More cuts than a test ever names at once.
	s := &Server{URL: "http://" + l.Addr().String(), handler: handler, cuts: make(chan Cut, 16)}
	var done sync.WaitGroup
	done.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if tcp, ok := conn.(*net.TCPConn); ok {
				s.serve(tcp)
			}
			_ = conn.Close()
		}
	})
	tb.Cleanup(func() {
		_ = l.Close()
		done.Wait()
	})
	return s
}

// Next says what becomes of the next answers, one cut each; those behind them leave whole.
func (s *Server) Next(cuts ...Cut) {
	for _, c := range cuts {
		s.cuts <- c
	}
}

// Left is how many of the cuts no answer has used yet.
func (s *Server) Left() int { return len(s.cuts) }

// Length is how long the latest answer was before it was cut, head included.
func (s *Server) Length() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.length
}

// Longest is how long the longest answer so far was before it was cut.
func (s *Server) Longest() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.longest
}

// serve reads a request whole, lets the handler work on it, and answers.
func (s *Server) serve(conn *net.TCPConn) {
	req, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	rec := httptest.NewRecorder()
	s.handler.ServeHTTP(rec, req)

	cut := Cut{Frame: Counted, Whole: true}
	select {
	case cut = <-s.cuts:
	default:
	}
	answer := text(rec, cut.Frame)
	s.mu.Lock()
	s.length = len(answer)
	s.longest = max(s.longest, s.length)
	s.mu.Unlock()
	if !cut.Whole {
		answer = answer[:min(cut.At, len(answer)-1)]
	}
	if _, err := conn.Write(answer); err == nil && cut.Reset {
		// Without lingering, the close is a reset.
		_ = conn.SetLinger(0)
	}
}

// text is an answer as its bytes. Every frame says that the connection ends with it, so that none is kept that is just
// being closed.
func text(rec *httptest.ResponseRecorder, frame Frame) []byte {
	header, body := rec.Header().Clone(), rec.Body.Bytes()
	header.Del("Content-Length")
	var out bytes.Buffer
	fmt.Fprintf(&out, "HTTP/1.1 %d %s\r\n", rec.Code, http.StatusText(rec.Code))
	// A buffer takes everything.
	_ = header.Write(&out)
	switch frame {
	case Counted:
		fmt.Fprintf(&out, "Content-Length: %d\r\n", len(body))
	case Chunked:
		out.WriteString("Transfer-Encoding: chunked\r\n")
	case ToTheEnd:
	}
	out.WriteString("Connection: close\r\n\r\n")
	if frame != Chunked {
		out.Write(body)
		return out.Bytes()
	}
	for len(body) > 0 {
		n := min(chunk, len(body))
		fmt.Fprintf(&out, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	out.WriteString("0\r\n\r\n")
	return out.Bytes()
}
