// Package kafkatest starts an embedded Kafka broker for tests and looks into any broker from outside: it produces,
// reads whole topics and committed offsets through franz-go, a client that shares no code with the one under test.
//
// Its invariant: what it reports comes from the broker's protocol, never from the embedded broker's memory, so that
// every helper says the same about a real one.
package kafkatest
