// Package reload looks at the files of secrets and certificates again while the process runs, and puts to use what has
// changed. It owns when a file is looked at, when a change counts, and what is said of it; it refuses to know what the
// files are for.
//
// Files are compared by their content. Kubernetes replaces a mounted Secret by swapping a symbolic link two folders up,
// which a watch on the file never sees.
//
// Its invariant: what is in use was once read whole and found fit. A file that is missing, empty, half-written or unfit
// changes nothing but an alarm and a metric. Nothing that was read is ever logged.
package reload
