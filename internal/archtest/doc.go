// Package archtest holds tests only: that imports point the way the layout says, that the linter's allow-lists really
// bite, and that the documents name files and make targets that exist. It knows the module's packages by name, and
// nothing of what they do.
//
// Its invariant: the arrows are written down twice, in .golangci.yml and here, and each is checked against the code
// without the other.
package archtest
