package sandbox

import (
	"encoding/json"
	"io"
	"net/http"
)

// maxAdminBody bounds an admin request: some ten thousand payments.
const maxAdminBody = 4 << 20

type adminError struct {
	Error string `json:"error"`
}

type ruleID struct {
	ID string `json:"id"`
}

type fundsRequest struct {
	ClientID string `json:"clientId"`
	Currency string `json:"currency"`
	Minor    int64  `json:"minor"`
}

// Admin is the JSON interface of the package comment. It has no authentication.
func (s *Server) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /payments", s.adminPayments)
	mux.HandleFunc("POST /funds", s.adminFunds)
	mux.HandleFunc("POST /faults", s.adminAddFault)
	mux.HandleFunc("GET /faults", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, s.faults.list())
	})
	mux.HandleFunc("DELETE /faults", func(w http.ResponseWriter, _ *http.Request) {
		s.ClearRules()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("DELETE /faults/{id}", func(w http.ResponseWriter, r *http.Request) {
		if !s.faults.remove(r.PathValue("id")) {
			writeJSON(w, http.StatusNotFound, adminError{"no such rule"})
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /ledger", func(w http.ResponseWriter, r *http.Request) {
		if id := r.URL.Query().Get("requestId"); id != "" {
			writeJSON(w, http.StatusOK, listOf(s.Entries(id)))
			return
		}
		writeJSON(w, http.StatusOK, listOf(s.Ledger()))
	})
	mux.HandleFunc("GET /summary", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, s.Summary())
	})
	mux.HandleFunc("GET /calls", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusOK, listOf(s.Calls(r.URL.Query().Get("requestId"))))
	})
	mux.HandleFunc("GET /overlaps", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, s.Overlaps())
	})
	return mux
}

// adminPayments takes one payment or a list.
func (s *Server) adminPayments(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAdminBody))
	if err != nil {
		writeJSON(w, http.StatusRequestEntityTooLarge, adminError{err.Error()})
		return
	}
	var list []Payment
	if err := decodeStrict(raw, &list); err != nil {
		var one Payment
		if err := decodeStrict(raw, &one); err != nil {
			writeJSON(w, http.StatusBadRequest, adminError{err.Error()})
			return
		}
		list = []Payment{one}
	}
	if err := s.AddPayment(list...); err != nil {
		writeJSON(w, http.StatusBadRequest, adminError{err.Error()})
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) adminFunds(w http.ResponseWriter, r *http.Request) {
	var req fundsRequest
	if !readJSON(w, r, &req) {
		return
	}
	if err := s.AddFunds(req.ClientID, req.Currency, req.Minor); err != nil {
		writeJSON(w, http.StatusBadRequest, adminError{err.Error()})
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) adminAddFault(w http.ResponseWriter, r *http.Request) {
	var rule Rule
	if !readJSON(w, r, &rule) {
		return
	}
	id, err := s.AddRule(rule)
	if err != nil {
		writeJSON(w, http.StatusBadRequest, adminError{err.Error()})
		return
	}
	writeJSON(w, http.StatusCreated, ruleID{id})
}

// readJSON has answered already when it returns false.
func readJSON(w http.ResponseWriter, r *http.Request, into any) bool {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAdminBody))
	if err != nil {
		writeJSON(w, http.StatusRequestEntityTooLarge, adminError{err.Error()})
		return false
	}
	if err := decodeStrict(raw, into); err != nil {
		writeJSON(w, http.StatusBadRequest, adminError{err.Error()})
		return false
	}
	return true
}

// listOf makes an empty list of nil, so that readers in other languages never meet null.
func listOf[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// A client that is gone cannot be told so.
	_ = json.NewEncoder(w).Encode(value)
}
