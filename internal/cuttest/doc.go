// Package cuttest is the test kit that cuts a gateway's answers: a server that lets a handler do its work, and then sends
// as many bytes of what it answered as the test wants. It knows no gateway, and no binary of cmd links it.
//
// Its invariant: the handler has finished before the first byte of its answer leaves, so that what was cut is only the
// word about it.
package cuttest
