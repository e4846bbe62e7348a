package gateway

import (
	"net/http"
	"strconv"
	"time"
)

// MaxRetryAfter is the longest pause that a gateway's Retry-After is believed.
const MaxRetryAfter = time.Hour

// RetryAfter reads the Retry-After header: whole seconds or an HTTP date (RFC 9110, 10.2.3), at most [MaxRetryAfter].
// 0 means that it is missing, unreadable, or over.
func RetryAfter(header http.Header, now time.Time) time.Duration {
	value := header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, MaxRetryAfter)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), MaxRetryAfter)
}
