// Package e2e holds the end-to-end suite: worker processes, a broker, a Redis and the sandbox gateway over HTTP, and an
// audit that holds commands, outcomes and ledger against each other. One suite runs on two backends: the embedded broker
// and Redis, and real Apache Kafka with a real redis-server.
//
// It has no code of its own outside its tests.
package e2e
