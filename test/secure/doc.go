// Package secure proves the worker's protected connections on real parts: TLS, client certificates, SASL and ACLs on
// Apache Kafka, TLS and ACLs on redis-server, and a failover under redis-sentinel. The rights it grants are read from
// docs/security.md, so that what is published there is what is proved.
//
// It has no code of its own outside its tests.
package secure
