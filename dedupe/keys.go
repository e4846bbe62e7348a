package dedupe

import (
	"crypto/sha256"
	"encoding/base64"
	"hash/fnv"
	"strconv"

	"refundworker/refund"
)

// The layout of the keys. A change of either makes every record unfindable, so both are part of what CheckLayout
// compares.
const (
	bucketCount = 1024
	bucketHash  = "fnv1a-64"
)

// keys builds key names. All keys of one request share a bucket, and so a hash slot of Redis Cluster.
type keys struct{ prefix string }

func (k keys) record(requestID string) string  { return k.tagged(requestID, 'r') }
func (k keys) outcome(requestID string) string { return k.tagged(requestID, 'o') }

// message is the command of an open request, as it was read.
func (k keys) message(requestID string) string { return k.tagged(requestID, 'm') }

// schedule holds the open requests of a bucket by when they are looked at.
func (k keys) schedule(bucket uint64) string { return k.ofBucket(bucket, ":d") }

func (k keys) payment(ref refund.PaymentRef) string { return k.tagged(paymentName(ref), 'p') }

func (k keys) layout() string { return k.prefix + ":layout" }

func (k keys) epoch(bucket uint64) string { return k.ofBucket(bucket, ":epoch") }
func (k keys) beat(bucket uint64) string  { return k.ofBucket(bucket, ":beat") }

// The following lie in a bucket too, so that one pattern of keys is all that a user needs beside the layout: whose turn it
// is to look at the schedules, who refills, and how far a refill of that name has come.
func (k keys) watch() string           { return k.ofBucket(0, ":watch") }
func (k keys) lock() string            { return k.ofBucket(0, ":rebuild") }
func (k keys) done(name string) string { return k.ofBucket(0, ":rebuild:"+name) }

func (k keys) ofBucket(bucket uint64, name string) string {
	return "{" + k.prefix + ":b" + strconv.FormatUint(bucket, 10) + "}" + name
}

// probe are a string's and a hash's key in the bucket. Kind and name are nobody else's.
func (k keys) probe(bucket uint64) []string {
	return []string{k.inBucket(bucket, "string", 'x'), k.inBucket(bucket, "hash", 'x'), k.inBucket(bucket, "set", 'x')}
}

// ofRequest are the keys of one request, its bucket's schedule and, the last of all, its epoch: one hash slot.
func (k keys) ofRequest(requestID string) []string {
	b := bucket(requestID)
	return []string{
		k.inBucket(b, requestID, 'r'), k.inBucket(b, requestID, 'o'), k.inBucket(b, requestID, 'm'), k.schedule(b), k.epoch(b),
	}
}

func (k keys) tagged(id string, kind byte) string { return k.inBucket(bucket(id), id, kind) }

func (k keys) inBucket(bucket uint64, id string, kind byte) string {
	key := make([]byte, 0, len(k.prefix)+len(id)+12)
	key = append(key, '{')
	key = append(key, k.prefix...)
	key = append(key, ":b"...)
	key = strconv.AppendUint(key, bucket, 10)
	key = append(key, "}:"...)
	key = append(key, kind, ':')
	return string(append(key, id...))
}

func bucket(id string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id))
	return h.Sum64() % bucketCount
}

// paymentName is unique over gateways: a gateway's name holds no slash.
func paymentName(ref refund.PaymentRef) string { return string(ref.Gateway) + "/" + ref.PaymentID }

// digestLength gives a fingerprint 96 bits: short in every record, and beyond finding a second command for.
const digestLength = 16

// paymentDigestLength gives 48 bits. It only tells whether a conflicting command speaks of the record's payment.
const paymentDigestLength = 8

// digest shortens text to n characters that are safe in a packed record, whatever the text holds.
func digest(text string, n int) string {
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:])[:n]
}

func fingerprintDigest(f refund.Fingerprint) string { return digest(f.Sum, digestLength) }

func paymentDigest(ref refund.PaymentRef) string {
	return digest(paymentName(ref), paymentDigestLength)
}
