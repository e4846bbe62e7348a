package sandbox

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// keyBits is what the gateway asks of merchants: RSA-2048.
const keyBits = 2048

var errNotRSA = errors.New("not an RSA key")

// Keys are the two key pairs of one merchant and one gateway, each as base64 DER without line breaks (the form in which
// the Dashboard and the SDKs take keys): PKCS#8 for private keys, SPKI for public ones.
type Keys struct {
	// MerchantPrivate and GatewayPublic belong into the client's configuration.
	MerchantPrivate, GatewayPublic string
	// MerchantPublic and GatewayPrivate belong into [Client] and [Config].
	MerchantPublic, GatewayPrivate string
}

// NewTestKeys makes fresh key pairs. It takes a good part of a second; share the result between tests.
func NewTestKeys() (Keys, error) {
	merchantPrivate, merchantPublic, err := newPair()
	if err != nil {
		return Keys{}, fmt.Errorf("make merchant keys: %w", err)
	}
	gatewayPrivate, gatewayPublic, err := newPair()
	if err != nil {
		return Keys{}, fmt.Errorf("make gateway keys: %w", err)
	}
	return Keys{
		MerchantPrivate: merchantPrivate, GatewayPublic: gatewayPublic,
		MerchantPublic: merchantPublic, GatewayPrivate: gatewayPrivate,
	}, nil
}

// NewTestSecret makes a fresh secret for a [Merchant]: 26 capitals and digits.
func NewTestSecret() string { return rand.Text() }

func newPair() (private, public string, err error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return "", "", err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", "", err
	}
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return "", "", err
	}
	return base64.StdEncoding.EncodeToString(pkcs8), base64.StdEncoding.EncodeToString(spki), nil
}

func parsePrivateKey(text string) (*rsa.PrivateKey, error) {
	der, err := keyDER(text)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	private, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, errNotRSA
	}
	return private, nil
}

func parsePublicKey(text string) (*rsa.PublicKey, error) {
	der, err := keyDER(text)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, err
	}
	public, ok := key.(*rsa.PublicKey)
	if !ok {
		return nil, errNotRSA
	}
	return public, nil
}

func keyDER(text string) ([]byte, error) {
	if block, _ := pem.Decode([]byte(text)); block != nil {
		return block.Bytes, nil
	}
	return base64.StdEncoding.DecodeString(strings.TrimSpace(text))
}
