// Package gateway is what every gateway client stands on: a bounded HTTP/1.1 client that knows whether a request was
// written, a strict decoder of JSON answers, the gateways' metrics, and a type for secrets. It owns connections, deadlines
// and the verdict of a transport that failed; it refuses to know what any gateway's answer means.
//
// Its invariant: a call is reported as not sent only where its bytes were counted at the connection and there were
// none, and none can follow. Every other failure leaves the outcome unknown. No verdict rests on an error's text.
package gateway
