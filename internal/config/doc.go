// Package config turns command line flags, environment variables and one YAML file into one checked Config.
//
// It owns the names of the settings, their defaults, their limits and the order of precedence: flag, then environment,
// then file, then default. Everything is derived from the struct Config: the flags, the variables, the keys of the file
// and the table in docs/configuration.md. It refuses to know what the settings are for: it opens no connection, and it
// does not look inside a gateway's keys.
//
// Its invariant: a Config that Load returned without an error is complete and within its limits, and no error of this
// package carries a secret. Everything that is wrong is reported at once, one line per fault: what, where, what to do.
package config
