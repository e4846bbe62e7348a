package sandbox

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

const (
	algorithm  = "RSA256"
	keyVersion = "1"
)

var errSignature = errors.New("signature does not verify")

// signedText is what both sides sign, https://docs.antom.com/ac/ams/digital_signature: the path as it was sent, the
// time as it stands in the header, the body's raw bytes.
func signedText(method, path, clientID, at string, body []byte) [sha256.Size]byte {
	head := method + " " + path + "\n" + clientID + "." + at + "."
	return sha256.Sum256(append([]byte(head), body...))
}

// sign gives the whole header value.
func sign(key *rsa.PrivateKey, method, path, clientID, at string, body []byte) (string, error) {
	sum := signedText(method, path, clientID, at, body)
	raw, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	value := url.QueryEscape(base64.StdEncoding.EncodeToString(raw))
	return "algorithm=" + algorithm + ",keyVersion=" + keyVersion + ",signature=" + value, nil
}

// verify accepts parts in any order, with or without space after the commas, and the value with or without
// URL-encoding. The error wraps errSignature.
func verify(key *rsa.PublicKey, header, method, path, clientID, at string, body []byte) error {
	parts := map[string]string{}
	for part := range strings.SplitSeq(header, ",") {
		// Base64 that is not URL-encoded ends in '=' itself, so only the first one separates.
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		parts[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	if parts["algorithm"] != algorithm {
		return fmt.Errorf("algorithm %q: %w", parts["algorithm"], errSignature)
	}
	// PathUnescape, because query decoding would turn a bare '+' of plain base64 into a space.
	value, err := url.PathUnescape(parts["signature"])
	if err != nil {
		return fmt.Errorf("%w: %w", errSignature, err)
	}
	raw, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		return fmt.Errorf("%w: %w", errSignature, err)
	}
	sum := signedText(method, path, clientID, at, body)
	if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], raw); err != nil {
		return fmt.Errorf("%w: %w", errSignature, err)
	}
	return nil
}

// isRequestTime says whether a request-time header is in a form that SDKs send: epoch milliseconds, or ISO 8601 with an
// offset, with or without its colon and with or without a fraction. Milliseconds have 13 digits today, and 12 in the
// year 2000, in which the clock of testing/synctest starts.
func isRequestTime(text string) bool {
	if (len(text) == 13 || len(text) == 12) && strings.Trim(text, "0123456789") == "" {
		return true
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05Z0700"} {
		if _, err := time.Parse(layout, text); err == nil {
			return true
		}
	}
	return false
}
