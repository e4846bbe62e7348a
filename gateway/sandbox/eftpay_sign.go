package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// vmpDigest is the value of sign: the secret, then every field but sign as name=value, in the order of the names' bytes
// and joined with '&', hashed with SHA-256 and written in lower-case hex. Whether empty and null fields take part is
// contested: keepEmpty writes them as "name=".
func vmpDigest(secret string, fields map[string]json.RawMessage, keepEmpty bool) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if text := textOf(fields[name]); name != vmpSign && (text != "" || keepEmpty) {
			parts = append(parts, name+"="+text)
		}
	}
	sum := sha256.Sum256([]byte(secret + strings.Join(parts, "&")))
	return hex.EncodeToString(sum[:])
}

// isSignedBy accepts a request that signs its empty fields as well as one that skips them.
func (r vmpRequest) isSignedBy(m Merchant) bool {
	return r.sign == vmpDigest(m.Secret, r.fields, false) || r.sign == vmpDigest(m.Secret, r.fields, true)
}

// signed adds time and sign to an answer.
func (o object) signed(secret string, keepEmpty bool) object {
	fields := make(map[string]json.RawMessage, len(o))
	for _, f := range o {
		fields[f.name] = f.value
	}
	return o.with(vmpSign, vmpDigest(secret, fields, keepEmpty))
}
