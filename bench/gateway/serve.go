package main

import (
	"crypto/sha256"
	"encoding/hex"
	"hash/fnv"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Behaviour is how the gateway answers from now on.
type Behaviour struct {
	// Latency is what every call takes.
	Latency time.Duration `json:"latency"`
	// SlowPermille of the calls take Slow instead: always the same ones.
	SlowPermille uint32        `json:"slow_permille"`
	Slow         time.Duration `json:"slow"`
	// BlackHole answers nothing on the paths that begin so.
	BlackHole string `json:"black_hole"`
}

type gateway struct {
	secret string
	antom  *signer
	// behaviour and tally are replaced as a whole.
	behaviour atomic.Pointer[Behaviour]
	tally     *tally
}

func (g *gateway) behave(b Behaviour) {
	g.behaviour.Store(&b)
	g.tally.reset()
}

func (g *gateway) connState(_ net.Conn, state http.ConnState) {
	if state == http.StateNew {
		g.tally.connections.Add(1)
	}
}

// maxBody is more than any request has.
const maxBody = 64 << 10

// ServeHTTP answers as the gateway whose path it is.
func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return
	}
	text := string(body)
	b := g.behaviour.Load()
	if b.BlackHole != "" && strings.HasPrefix(r.URL.Path, b.BlackHole) {
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
	switch {
	case strings.HasPrefix(r.URL.Path, "/VMP/"):
		g.eftpay(w, b, text)
	case strings.HasPrefix(r.URL.Path, "/ams/"):
		g.antom.serve(w, r, g, b, text)
	default:
		done := g.tally.call(field(text, "payment"), field(text, "amount"))
		b.wait(text)
		done()
		_, _ = io.WriteString(w, `{"status":"SUCCESS"}`)
	}
}

// wait lets the call take its time.
func (b *Behaviour) wait(body string) {
	d := b.Latency
	if b.SlowPermille > 0 {
		h := fnv.New32a()
		_, _ = io.WriteString(h, body)
		if h.Sum32()%1000 < b.SlowPermille {
			d = b.Slow
		}
	}
	if d > 0 {
		<-time.After(d)
	}
}

// field finds a text field of a flat JSON object in which no value holds quotes: all that is ever sent here.
func field(body, name string) string {
	_, rest, found := strings.Cut(body, `"`+name+`":"`)
	if !found {
		return ""
	}
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

// eftpay answers a refund with a success and a query with none; the signature of the request is verified, as the real
// one's cost is part of what the machine bears.
func (g *gateway) eftpay(w http.ResponseWriter, b *Behaviour, body string) {
	now := time.Now().In(time.FixedZone("UTC+8", 8*60*60))
	fields := [][2]string{{"return_status", "00"}, {"return_char", "SUCCESS"}, {"time", now.Format("20060102150405")}}
	if strings.HasSuffix(field(body, "service"), ".Query") {
		b.wait(body)
		fields[0][1], fields[1][1] = "51", "no such refund"
		g.signed(w, fields)
		return
	}
	payment := field(body, "out_trade_no")
	amount := field(body, "transaction_amount")
	done := g.tally.call(payment, amount)
	b.wait(body)
	done()
	g.signed(w, append(fields,
		[2]string{"out_trade_no", payment},
		[2]string{"trade_status", "TRADE_REFUND"},
		[2]string{"user_confirm_key", field(body, "user_confirm_key")},
		[2]string{"trade_type", "REFUND"},
		[2]string{"transaction_id", "W1"},
		[2]string{"payment_type", field(body, "payment_type")},
		[2]string{"trade_time", now.Format("2006-01-02 15:04:05")},
		[2]string{"transaction_amount", amount},
		[2]string{"original_amount", "999999.00"},
		[2]string{"currency", "HKD"},
		[2]string{"refund_no", field(body, "refund_no")},
		[2]string{"refund_trade_no", "T" + field(body, "refund_no")},
	))
}

// signed writes the fields with their signature, https://vmp.eftpay.com.cn/vmp-docs/en/api-reference/BaseInfo.html
func (g *gateway) signed(w http.ResponseWriter, fields [][2]string) {
	slices.SortFunc(fields, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	var plain, answer strings.Builder
	plain.WriteString(g.secret)
	answer.WriteByte('{')
	for i, f := range fields {
		if i > 0 {
			plain.WriteByte('&')
		}
		plain.WriteString(f[0] + "=" + f[1])
		answer.WriteString(strconv.Quote(f[0]) + ":" + strconv.Quote(f[1]) + ",")
	}
	sum := sha256.Sum256([]byte(plain.String()))
	answer.WriteString(`"sign":"` + hex.EncodeToString(sum[:]) + `"}`)
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	_, _ = io.WriteString(w, answer.String())
}
