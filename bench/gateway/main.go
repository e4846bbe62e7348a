// Gateway is the fake gateway of the benchmarks: eftPay, Antom and a plain one, with a set latency and next to no work,
// because it shares the machine with what is measured. It signs and verifies as the real ones do, keeps no ledger, and
// counts what a payment must never see: two refunds at once, and a later one begun first.
//
// It prints two addresses on one line, those of the gateway and of its control, and ends when its standard input does.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("gateway", flag.ContinueOnError)
	flags.SetOutput(stderr)
	secret := flags.String("eftpay-secret", "", "eftPay's secret")
	private := flags.String("antom-private", "", "the gateway's private key at Antom")
	public := flags.String("antom-public", "", "the merchant's public key at Antom")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	g := &gateway{secret: *secret, tally: newTally()}
	if *private != "" {
		var err error
		if g.antom, err = newSigner(*private, *public); err != nil {
			_, _ = fmt.Fprintln(stderr, "antom keys:", err)
			return 2
		}
	}
	g.behave(Behaviour{})
	if err := serve(g, stdin, stdout); err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

func serve(g *gateway, stdin io.Reader, stdout io.Writer) error {
	var listen net.ListenConfig
	var servers []*http.Server
	for i, handler := range []http.Handler{g, g.control()} {
		l, err := listen.Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		s := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
		if i == 0 {
			s.ConnState = g.connState
		}
		servers = append(servers, s)
		go func() {
			if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				panic(err)
			}
		}()
		_, _ = fmt.Fprint(stdout, l.Addr(), " ")
	}
	_, _ = fmt.Fprintln(stdout)
	_, err := io.Copy(io.Discard, stdin)
	for _, s := range servers {
		_ = s.Close() // the process ends with it
	}
	return err
}

// control answers GET with the statistics since the last POST, which starts them anew with a Behaviour.
func (g *gateway) control() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			var b Behaviour
			if err := json.NewDecoder(r.Body).Decode(&b); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			g.behave(b)
			return
		}
		_ = json.NewEncoder(w).Encode(g.statistics())
	})
}
