// Package cutpoints proves the ruling property by exhaustion: a worker is cut at every external step in turn, and what
// comes after it must bring each refund to the same end. Processor, gateway clients, sandbox gateways and the rules of the
// store are the real ones; broker, network and clock are in memory and virtual, so a lease runs out at no cost.
//
// It has no code of its own outside its tests.
package cutpoints
