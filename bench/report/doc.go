// Package report shows what the benchmarks measured: as a table for people, as JSON for machines, and as SVG plots.
//
// It knows nothing of how a case is run. It sorts, compares and draws what it is given, and the same results give the
// same bytes, so that a figure in the documentation changes only when a measurement did.
//
// A case that did not finish is shown as such, with its reason: its figures are never compared, drawn or printed.
package report
