package config

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// FaultError is one thing that is wrong with the configuration. The error that [Load] and [Config.Validate] return joins
// all of them; each is one line.
type FaultError struct {
	// Path is the setting in the file's words, such as limits.lease or accounts[1].base_url; empty for the file itself.
	Path string
	// Where is the source of the value: file:line:column, a flag, a variable, or empty when nobody set it.
	Where string
	// What is wrong, and Fix says what to do about it. Neither ever carries a secret.
	What, Fix string
}

// Error is one line: path (where): what; fix.
func (f *FaultError) Error() string {
	var line strings.Builder
	line.WriteString(f.Path)
	switch {
	case f.Path != "" && f.Where != "":
		line.WriteString(" (" + f.Where + ")")
	case f.Where != "":
		line.WriteString(f.Where)
	}
	if line.Len() > 0 {
		line.WriteString(": ")
	}
	line.WriteString(f.What + "; " + f.Fix)
	return line.String()
}

// faults collects everything that is wrong, in the order it is found.
type faults struct{ list []*FaultError }

func (f *faults) add(path, what, fix string) {
	f.list = append(f.list, &FaultError{Path: path, What: what, Fix: fix})
}

// join returns nil for an empty list.
func (f *faults) join() error {
	errs := make([]error, len(f.list))
	for i, fault := range f.list {
		errs[i] = fault
	}
	return errors.Join(errs...)
}

// longestShown keeps a fault on one readable line.
const longestShown = 64

// show quotes a value for a fault: one line, not too long. What may hold credentials in front of an @ is left out.
func show(text string) string {
	if strings.Contains(text, "@") {
		return "the value"
	}
	if runes := []rune(text); len(runes) > longestShown {
		text = string(runes[:longestShown]) + "…"
	}
	return strconv.Quote(text)
}

// largestFile bounds the configuration, keys and certificates: far above any real one, far below what hurts.
const largestFile = 1 << 20

// readBounded reads a file and words what may go wrong for the person who has to mend it.
func readBounded(src Source, name string) ([]byte, *FaultError) {
	raw, err := src.ReadFileFunc(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &FaultError{What: "the file " + show(name) + " does not exist", Fix: "create it, or mend the path"}
	case errors.Is(err, fs.ErrPermission):
		return nil, &FaultError{What: "the file " + show(name) + " may not be read by this user", Fix: "let the worker's user read it"}
	case err != nil:
		return nil, &FaultError{What: "the file " + show(name) + " cannot be read: " + cause(err), Fix: "mend the path or the file"}
	case len(raw) > largestFile:
		return nil, &FaultError{What: fmt.Sprintf("the file %s has %d bytes", show(name), len(raw)), Fix: fmt.Sprintf("name one of at most %d bytes", largestFile)}
	}
	return raw, nil
}

// cause drops the operation and the path, which the fault already names.
func cause(err error) string {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathErr.Err
	}
	return err.Error()
}
