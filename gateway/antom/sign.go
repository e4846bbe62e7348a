package antom

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"refundworker/gateway"
)

// algorithm is the only signature algorithm of the API: RSA PKCS#1 v1.5 over SHA-256.
// https://docs.antom.com/ac/ams/digital_signature?pageVersion=30
const algorithm = "RSA256"

// The headers of requests and answers, https://docs.antom.com/ac/ams/api_fund. Names are case-insensitive.
const (
	headerClientID     = "Client-Id"
	headerRequestTime  = "Request-Time"
	headerResponseTime = "Response-Time"
	headerSignature    = "Signature"
	headerAgentToken   = "Agent-Token"
)

// signer signs requests and verifies answers of one client ID.
type signer struct {
	clientID   string
	keyVersion string
	keys
}

// digest hashes what is signed: POST, the path without domain, and after one line feed client ID, time and body with
// dots between; no line feed at the end. https://docs.antom.com/ac/ams/digital_signature?pageVersion=30
//
// In a request the time is request-time; in an answer it is response-time, and path and method are the request's. In a
// notification it is request-time, and the path is that of our own address, with its query.
func digest(path, clientID, at string, body []byte) []byte {
	h := sha256.New()
	h.Write([]byte(http.MethodPost + " " + path + "\n" + clientID + "." + at + "."))
	h.Write(body)
	return h.Sum(nil)
}

// sign returns the value of the signature header. The SDKs send no space after the commas; the page shows one.
func (s *signer) sign(path, at string, body []byte) (string, error) {
	raw, err := rsa.SignPKCS1v15(rand.Reader, s.private, crypto.SHA256, digest(path, s.clientID, at, body))
	if err != nil {
		return "", fmt.Errorf("sign request: %w", err)
	}
	return "algorithm=" + algorithm + ",keyVersion=" + s.keyVersion +
		",signature=" + url.QueryEscape(base64.StdEncoding.EncodeToString(raw)), nil
}

// verify proves that an answer to a request for path was signed by Antom for us, over exactly these bytes. An answer
// without signature is refused, as the Go SDK does; the Java SDK would take it. The client ID of the header has to be
// ours, or an answer to somebody else could be passed on to us.
func (s *signer) verify(path string, header http.Header, body []byte) error {
	return s.verifyAt(path, headerResponseTime, header, body)
}

// verifyAt is verify with the name of the header that holds the time.
func (s *signer) verifyAt(path, timeHeader string, header http.Header, body []byte) error {
	clientID, err := single(header, headerClientID)
	if err != nil {
		return err
	}
	if clientID != s.clientID {
		return &gateway.UnverifiedError{Reason: "client-id is not ours"}
	}
	at, err := single(header, timeHeader)
	if err != nil {
		return err
	}
	text, err := single(header, headerSignature)
	if err != nil {
		return err
	}
	raw, err := parseSignature(text)
	if err != nil {
		return &gateway.UnverifiedError{Reason: err.Error()}
	}
	sum := digest(path, clientID, at, body)
	for _, key := range s.public {
		if rsa.VerifyPKCS1v15(key, crypto.SHA256, sum, raw) == nil {
			return nil
		}
	}
	return &gateway.UnverifiedError{Reason: "signature does not match"}
}

// single returns the value of a header that has to be there exactly once.
func single(header http.Header, name string) (string, error) {
	values := header.Values(name)
	switch {
	case len(values) == 0 || values[0] == "":
		return "", &gateway.UnverifiedError{Reason: strings.ToLower(name) + " is missing"}
	case len(values) > 1:
		return "", &gateway.UnverifiedError{Reason: strings.ToLower(name) + " is there more than once"}
	}
	return values[0], nil
}

// The faults of a signature header.
var (
	errSignatureForm      = errors.New("signature header is not algorithm, keyVersion and signature")
	errSignatureAlgorithm = errors.New("signature algorithm is not " + algorithm)
	errSignatureEncoding  = errors.New("signature is not base64")
)

// parseSignature returns the signature's bytes from algorithm=RSA256,keyVersion=<n>,signature=<value>, with or without
// spaces after the commas, in any order, each part once; keyVersion may be missing. The value is URL-encoded base64; a
// value without a percent sign is taken as plain base64, in which a plus is a plus.
func parseSignature(text string) ([]byte, error) {
	parts := make(map[string]string, 3)
	for part := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if _, twice := parts[name]; !ok || twice {
			return nil, errSignatureForm
		}
		parts[name] = value
	}
	value, ok := parts["signature"]
	if !ok || value == "" {
		return nil, errSignatureForm
	}
	if parts["algorithm"] != algorithm {
		return nil, errSignatureAlgorithm
	}
	// PathUnescape leaves a bare plus alone, and a value without a percent sign as it is.
	plain, err := url.PathUnescape(value)
	if err != nil || strings.ContainsAny(plain, "\r\n") {
		// Line breaks would be skipped by the decoder, so two texts would be one signature.
		return nil, errSignatureEncoding
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(plain)
	if err != nil {
		return nil, errSignatureEncoding
	}
	return raw, nil
}
