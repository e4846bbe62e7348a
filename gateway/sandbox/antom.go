package sandbox

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxBody bounds a request; the largest that breaks no field rule has some 2 KB.
const maxBody = 64 << 10

const jsonType = "application/json; charset=UTF-8"

const page = "<!DOCTYPE html>\n<html><head><title>%[1]d</title></head><body><h1>%[1]d %[2]s</h1></body></html>\n"

// Antom is the gateway of that name. It serves /ams/api/… and /ams/sandbox/api/…; anything else is HTTP 404, and so is
// everything when there is no PrivateKey to answer with.
func (s *Server) Antom() http.Handler { return http.HandlerFunc(s.serveAntom) }

// exchange is one call as far as signing is concerned.
type exchange struct {
	method, path, clientID string
}

func (s *Server) serveAntom(w http.ResponseWriter, r *http.Request) {
	rest, ok := strings.CutPrefix(r.URL.Path, "/ams/sandbox/api/")
	if !ok {
		rest, ok = strings.CutPrefix(r.URL.Path, "/ams/api/")
	}
	if !ok || s.credentials.Load().key == nil {
		http.NotFound(w, r)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		writePage(w, http.StatusRequestEntityTooLarge, 0)
		return
	}
	x := exchange{method: r.Method, path: r.URL.EscapedPath(), clientID: r.Header.Get("client-id")}
	op, req, refused := s.admit(r, x, rest, body)
	requestID := req.RefundRequestID
	if req.RefundID != "" {
		if found := s.antom.requestIDOf(req.RefundID); found != "" {
			requestID = found
		}
	}

	call := s.calls.begin(op, requestID, req.PaymentID)
	defer call.leave()
	// A client that has hung up waits for nothing any more, whatever the handler still does.
	defer context.AfterFunc(r.Context(), call.leave)()
	if refused != nil {
		call.note(None, &refused.result)
		s.writeAntom(w, x, *refused, behaviour{unsigned: refused.result.code == codeInvalidSignature})
		return
	}
	s.act(w, r, call, s.faults.next(gatewayAntom, op, requestID), &antomTurn{s: s, x: x, op: op, req: req})
}

// antomTurn is an admitted call of this side.
type antomTurn struct {
	s   *Server
	x   exchange
	op  Operation
	req wireRequest
	ans antomAnswer
}

func (t *antomTurn) process(does behaviour, now time.Time) error {
	if t.op == Inquiry {
		t.ans = t.s.antom.inquire(t.x.clientID, t.req, t.s.cfg, now)
		return t.s.ledger.flush(t.ans.seq)
	}
	o, ok := parseOrder(t.x.clientID, t.req)
	if !ok {
		t.ans = paramIllegal()
		return nil
	}
	o.halfway = does.halfway
	t.ans = t.s.antom.refund(o, now)
	return t.s.ledger.flush(t.ans.seq)
}

func (t *antomTurn) replace(instead result) { t.ans = onlyResult(instead.status, instead.code) }

func (t *antomTurn) result() result { return t.ans.result }

func (t *antomTurn) write(w http.ResponseWriter, does behaviour) {
	t.s.writeAntom(w, t.x, t.ans, does)
}

// admit applies the rules of the interface as such, https://docs.antom.com/ac/ams/api_fund, which are the same for
// every operation and leave no trace: method, media type, path, client, signature, time, JSON. A non-nil answer is a
// refusal; what could be read of the request is returned with it, for the call log.
func (s *Server) admit(r *http.Request, x exchange, rest string, body []byte) (Operation, wireRequest, *antomAnswer) {
	var req wireRequest
	malformed := json.Unmarshal(body, &req)
	op := AnyOperation
	switch rest {
	case "v1/payments/refund":
		op = Refund
	case "v1/payments/inquiryRefund":
		op = Inquiry
	}
	refuse := func(code string) (Operation, wireRequest, *antomAnswer) {
		ans := onlyResult(statusF, code)
		return op, req, &ans
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	key := s.credentials.Load().clients[x.clientID]
	at := r.Header.Get("request-time")
	switch {
	case r.Method != http.MethodPost:
		return refuse(codeMethodNotSupported)
	case err != nil || media != "application/json":
		return refuse(codeMediaType)
	case op == AnyOperation:
		return refuse(codeNoInterface)
	case key == nil:
		return refuse(codeClientInvalid)
	case verify(key, r.Header.Get("signature"), x.method, x.path, x.clientID, at, body) != nil:
		return refuse(codeInvalidSignature)
	case malformed != nil || !isRequestTime(at):
		return refuse(codeParamIllegal)
	}
	return op, req, nil
}

// writeAntom signs the answer and sends it, spoilt as the fault wants it.
func (s *Server) writeAntom(w http.ResponseWriter, x exchange, ans antomAnswer, does behaviour) {
	out := ans.body
	if does.edit != nil {
		out = does.edit(out)
	}
	body := out.encode()
	if does.otherClient {
		x.clientID = "ANOTHER_CLIENT"
	}
	at := strconv.FormatInt(time.Now().UnixMilli(), 10)
	if s.cfg.ISOResponseTime {
		at = isoTime(time.Now())
	}
	w.Header().Set("client-id", x.clientID)
	w.Header().Set("response-time", at)
	if !does.unsigned {
		signed := body
		if does.badSign {
			signed = append([]byte(" "), body...)
		}
		value, err := sign(s.credentials.Load().key, x.method, x.path, x.clientID, at, signed)
		if err != nil {
			writePage(w, http.StatusInternalServerError, 0)
			return
		}
		w.Header().Set("signature", value)
	}
	writeBody(w, body, does.truncate)
}

// writePage answers as a proxy or a broken server would.
func writePage(w http.ResponseWriter, status, retryAfter int) {
	if retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, page, status, http.StatusText(status))
}
