package sandbox

import (
	"context"
	"net/http"
	"strconv"
	"time"
)

// turn is one admitted call of either gateway, from its processing to its answer.
type turn interface {
	// process runs the operation, and returns when the entry behind its answer is durable.
	process(does behaviour, now time.Time) error
	// replace puts another answer in the place of what processing came to.
	replace(instead result)
	// result is what the answer says in short.
	result() result
	// write sends the answer, spoilt as the fault wants it.
	write(w http.ResponseWriter, does behaviour)
}

// act serves a call that was admitted, with the fault that is due.
func (s *Server) act(w http.ResponseWriter, r *http.Request, call *openCall, fault Fault, t turn) {
	does, err := fault.behaviour()
	if err != nil {
		writePage(w, http.StatusInternalServerError, 0)
		return
	}
	call.note(fault.Kind, nil)
	if does.waitBefore {
		ctx := r.Context()
		if does.detached {
			ctx = context.WithoutCancel(ctx)
		}
		if s.wait(ctx, fault.Delay) != nil {
			panic(http.ErrAbortHandler)
		}
	}
	if !does.skip {
		if err := t.process(does, time.Now()); err != nil {
			// Nothing was said, and what was done may not be durable: the client has to find out, as with any gateway.
			writePage(w, http.StatusInternalServerError, 0)
			return
		}
	}
	if does.waitAfter && s.wait(r.Context(), fault.Delay) != nil || does.drop {
		panic(http.ErrAbortHandler)
	}
	if s.cfg.Latency > 0 && s.wait(r.Context(), s.cfg.Latency) != nil {
		panic(http.ErrAbortHandler)
	}
	if does.html {
		writePage(w, fault.HTTPStatus, fault.RetryAfter)
		return
	}
	if does.instead != nil {
		t.replace(*does.instead)
	}
	if !does.truncate {
		said := t.result()
		call.note(fault.Kind, &said)
	}
	t.write(w, does)
}

// writeBody sends the document, or the first half of it and no more.
func writeBody(w http.ResponseWriter, body []byte, truncate bool) {
	w.Header().Set("Content-Type", jsonType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if truncate {
		body = body[:len(body)/2]
	}
	// A client that is gone cannot be told so.
	_, _ = w.Write(body)
	if truncate {
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}
