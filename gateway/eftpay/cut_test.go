package eftpay

import (
	"io"
	"net"
	"strconv"
	"sync"
	"testing"

	"refundworker/refund"
)

// The gateway's answer, cut at every byte of it, by a connection that ends there: never final, never absent.
func TestAnAnswerCutAnywhereIsNeverFinal(t *testing.T) {
	t.Parallel()
	head := "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	for name, body := range map[string]string{
		"success": refunded().with("return_char", "").signed(),
		"failure": refunded().with("trade_status", "TRADE_FAIL", "currency", nil).signed(),
		"absent":  failing("77").signed(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, frame := range []struct{ name, head string }{
				{"counted", head + "Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n"},
				{"to the end", head + "Connection: close\r\n\r\n"},
			} {
				s := newCutter(t)
				c := newClient(t, testConfig("http://"+s.address))
				whole := frame.head + body
				for cut := 0; cut <= len(whole); cut++ {
					s.answers <- whole[:cut]
					call := c.Refund
					if name == "absent" || cut%2 == 1 {
						call = c.Inquire
					}
					res, err := call(t.Context(), testRequest())
					if cut == len(whole) {
						if res.Verdict == refund.Unknown {
							t.Errorf("%s: the whole answer is %s, %v", frame.name, short(res), err)
						}
						continue
					}
					if res.Verdict != refund.Unknown || res.ShowsNone || err == nil {
						t.Fatalf("%s, cut at %d: %s, %v", frame.name, cut, short(res), err)
					}
				}
			}
		})
	}
}

// cutter answers each connection with the next text, and ends it.
type cutter struct {
	address string
	answers chan string
}

func newCutter(t *testing.T) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed by the test
	if err != nil {
		t.Fatal(err)
	}
	s := &cutter{address: l.Addr().String(), answers: make(chan string, 1)}
	var done sync.WaitGroup
	done.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			buf := make([]byte, 4096)
			if _, err := conn.Read(buf); err == nil {
				_, _ = io.WriteString(conn, <-s.answers)
			}
			_ = conn.Close()
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		done.Wait()
	})
	return s
}
