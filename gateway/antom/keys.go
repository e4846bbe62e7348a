package antom

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// minKeyBits is the shortest RSA key that is taken on either side.
const minKeyBits = 2048

// ErrKey is wrapped by every error about a key. Its text never shows the key.
var ErrKey = errors.New("unusable key")

// keys are those of one account, from one moment.
type keys struct {
	private *rsa.PrivateKey
	// public are Antom's.
	public []*rsa.PublicKey
}

// parseKeys reads the keys and reports all faults on the way.
func parseKeys(private Secret, public []Secret) (keys, error) {
	var k keys
	var errs []error
	var err error
	if k.private, err = parsePrivateKey([]byte(private)); err != nil {
		errs = append(errs, fmt.Errorf("private key: %w", err))
	}
	if len(public) == 0 {
		errs = append(errs, errors.New("antom public keys: there is none; write the public key that Antom shows in its dashboard"))
	}
	for i, text := range public {
		theirs, err := parsePublicKeys([]byte(text))
		if err != nil {
			errs = append(errs, fmt.Errorf("antom public keys[%d]: %w", i, err))
		}
		for _, key := range theirs {
			if k.private != nil && k.private.PublicKey.Equal(key) {
				errs = append(errs, fmt.Errorf("antom public keys[%d]: is the public half of our own private key; write the one that Antom shows as its own", i))
			}
		}
		k.public = append(k.public, theirs...)
	}
	return k, errors.Join(errs...)
}

// fingerprints is what [Client.Keys] says.
func (k keys) fingerprints() string {
	theirs := make([]string, len(k.public))
	for i, key := range k.public {
		theirs[i] = fingerprint(key)
	}
	return "ours " + fingerprint(&k.private.PublicKey) + ", antom's " + strings.Join(theirs, " ")
}

// fingerprint is the beginning of what `openssl pkey -pubin -outform der | sha256sum` prints of a public key.
func fingerprint(key *rsa.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "unknown"
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:8])
}

// parsePrivateKey reads a PEM block (PRIVATE KEY or RSA PRIVATE KEY) or bare base64 of the DER of either.
func parsePrivateKey(text []byte) (*rsa.PrivateKey, error) {
	ders, err := keyDER(text)
	if err != nil {
		return nil, err
	}
	if len(ders) != 1 {
		return nil, fmt.Errorf("%w: %d PEM blocks; write exactly one private key", ErrKey, len(ders))
	}
	var key *rsa.PrivateKey
	if parsed, err := x509.ParsePKCS8PrivateKey(ders[0]); err == nil {
		key, _ = parsed.(*rsa.PrivateKey)
	} else if parsed, err := x509.ParsePKCS1PrivateKey(ders[0]); err == nil {
		key = parsed
	}
	if key == nil {
		return nil, fmt.Errorf("%w: is neither PKCS#8 nor PKCS#1 RSA; write an unencrypted RSA private key as PEM or base64 DER", ErrKey)
	}
	if key.N.BitLen() < minKeyBits {
		return nil, shortKey(key.N.BitLen())
	}
	return key, nil
}

// parsePublicKeys reads one or more PEM blocks (PUBLIC KEY), or bare base64 of one SPKI DER.
func parsePublicKeys(text []byte) ([]*rsa.PublicKey, error) {
	ders, err := keyDER(text)
	if err != nil {
		return nil, err
	}
	keys := make([]*rsa.PublicKey, 0, len(ders))
	for _, der := range ders {
		parsed, err := x509.ParsePKIXPublicKey(der)
		key, ok := parsed.(*rsa.PublicKey)
		if err != nil || !ok {
			return nil, fmt.Errorf("%w: is no RSA public key (SPKI); write Antom's public key as PEM or base64 DER", ErrKey)
		}
		if key.N.BitLen() < minKeyBits {
			return nil, shortKey(key.N.BitLen())
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func shortKey(bits int) error {
	return fmt.Errorf("%w: RSA of %d bits; write one of at least %d", ErrKey, bits, minKeyBits)
}

// keyDER returns the DER of every PEM block, or of the bare base64 text. Line breaks in bare text are fine.
func keyDER(text []byte) ([][]byte, error) {
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return nil, fmt.Errorf("%w: is empty; write PEM or base64 DER", ErrKey)
	}
	if !bytes.Contains(text, []byte("-----BEGIN")) {
		der, err := base64.StdEncoding.DecodeString(string(bytes.Join(bytes.Fields(text), nil)))
		if err != nil {
			return nil, fmt.Errorf("%w: is neither PEM nor base64; write the key as one of them", ErrKey)
		}
		return [][]byte{der}, nil
	}
	var ders [][]byte
	for len(text) > 0 {
		block, rest := pem.Decode(text)
		if block == nil {
			return nil, fmt.Errorf("%w: the PEM text is damaged; write whole blocks from BEGIN to END", ErrKey)
		}
		ders = append(ders, block.Bytes)
		text = bytes.TrimSpace(rest)
	}
	return ders, nil
}
