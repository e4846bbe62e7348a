// Package rules switches the rules about money off, one at a time, and demands that a test of the product goes red: a
// promise whose test stays green without the rule behind it is not proved. The product is built with one file replaced
// (go test -overlay); nothing in the tree changes. The table is the one of docs/reliability.md, which is generated from
// it.
package rules
