// Package subject is what the programs that are measured against the worker share: their flags, the command as they read
// it, the call and the outcome. None of them is safe with money; they show what the libraries give, and what teams write.
package subject
