package main

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// signer verifies and signs as the real one does: RSA-2048, PKCS#1 v1.5 over SHA-256,
// https://docs.antom.com/ac/ams/digital_signature
type signer struct {
	private *rsa.PrivateKey
	public  *rsa.PublicKey
}

var errNotRSA = errors.New("not an RSA key")

func newSigner(private, public string) (*signer, error) {
	der, err := base64.StdEncoding.DecodeString(private)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	if der, err = base64.StdEncoding.DecodeString(public); err != nil {
		return nil, err
	}
	other, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, err
	}
	own, ownOK := key.(*rsa.PrivateKey)
	theirs, theirsOK := other.(*rsa.PublicKey)
	if !ownOK || !theirsOK {
		return nil, errNotRSA
	}
	return &signer{private: own, public: theirs}, nil
}

func digest(path, clientID, at, body string) []byte {
	sum := sha256.Sum256([]byte("POST " + path + "\n" + clientID + "." + at + "." + body))
	return sum[:]
}

// serve answers a refund with a success; a request whose signature does not verify is refused.
func (a *signer) serve(w http.ResponseWriter, r *http.Request, g *gateway, b *Behaviour, body string) {
	clientID := r.Header.Get("Client-Id")
	_, signature, _ := strings.Cut(r.Header.Get("Signature"), "signature=")
	plain, _ := url.PathUnescape(signature)
	raw, _ := base64.StdEncoding.DecodeString(plain)
	if rsa.VerifyPKCS1v15(a.public, crypto.SHA256, digest(r.URL.Path, clientID, r.Header.Get("Request-Time"), body), raw) != nil {
		http.Error(w, "signature does not verify", http.StatusUnauthorized)
		return
	}
	payment, value := field(body, "paymentId"), field(body, "value")
	done := g.tally.call(payment, value)
	b.wait(body)
	done()
	id := field(body, "refundRequestId")
	answer := `{"result":{"resultCode":"SUCCESS","resultStatus":"S","resultMessage":"success"},"refundRequestId":"` + id +
		`","refundId":"T` + id + `","paymentId":"` + payment + `","refundAmount":{"currency":"` + field(body, "currency") +
		`","value":"` + value + `"},"refundTime":"` + time.Now().Format("2006-01-02T15:04:05-07:00") + `"}`
	at := time.Now().Format(time.RFC3339)
	sum, err := rsa.SignPKCS1v15(nil, a.private, crypto.SHA256, digest(r.URL.Path, clientID, at, answer))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.Header().Set("Client-Id", clientID)
	w.Header().Set("Response-Time", at)
	w.Header().Set("Signature", "algorithm=RSA256,keyVersion=1,signature="+url.QueryEscape(base64.StdEncoding.EncodeToString(sum)))
	_, _ = io.WriteString(w, answer)
}
