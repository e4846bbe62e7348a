// Package realtest is the test kit that runs tests on real parts: one Apache Kafka broker per test process, and as many
// redis-server processes as tests ask for. test/real/setup.sh brings the parts; the kit starts, freezes and ends them.
// It knows nothing of refunds, and no binary of cmd links it.
//
// Its invariant: nothing it started outlives the test process, however that ends, and it signals only processes that it
// started.
package realtest
