// Package observe is how a running process is watched: its logger, its registry of metrics, its health, and the one
// HTTP listener that shows them.
//
// It owns the shape of a log line, /metrics, /healthz and /readyz. It refuses to know what is being watched: packages
// bring their own metrics, and whoever knows a dependency sets its check.
//
// Its invariant: a health answer carries no secret and no error text, only names that the program chose; and a process
// is ready only while every check that was ever set is passing.
package observe
