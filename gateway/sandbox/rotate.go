package sandbox

import (
	"crypto/rsa"
	"errors"
	"fmt"
)

// credentials are what calls are admitted and answered with. They are replaced as a whole.
type credentials struct {
	key       *rsa.PrivateKey
	clients   map[string]*rsa.PublicKey
	merchants map[string]Merchant
}

func newCredentials(key *rsa.PrivateKey, clients map[string]*rsa.PublicKey, merchants []Merchant) *credentials {
	c := &credentials{key: key, clients: clients, merchants: make(map[string]Merchant, len(merchants))}
	for _, merchant := range merchants {
		c.merchants[merchant.Key] = merchant
	}
	return c
}

// Rotate replaces Antom's private key, the public keys of its clients and the secrets of eftPay's merchants from one
// moment to the next. Funds of the clients are not looked at. Antom signs the answer to a call that was admitted before
// with the new key; eftPay with the secret that the call was signed with.
func (s *Server) Rotate(privateKey string, clients []Client, merchants []Merchant) error {
	key, public, err := Config{PrivateKey: privateKey, Clients: clients}.keys()
	if err := errors.Join(err, checkMerchants(merchants)); err != nil {
		return fmt.Errorf("rotate: %w", err)
	}
	s.credentials.Store(newCredentials(key, public, merchants))
	return nil
}

// signer is the merchant of a request, with the secret that the request was signed with as its only one.
func (c *credentials) signer(req vmpRequest) (Merchant, bool) {
	m, known := c.merchants[req.key]
	if !known || req.isSignedBy(m) {
		return m, known
	}
	m.Secret = m.FormerSecret
	return m, m.Secret != "" && req.isSignedBy(m)
}
