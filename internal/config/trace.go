package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// headerLine is a header's name and its value: no control characters, so that none can smuggle a second one in.
var headerLine = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+:[ \t]*[!-~]([ -~]*[!-~])?$")

// TLS is how the collector is trusted.
func (t Trace) TLS() TLS { return TLS{CAFile: t.CAFile} }

// Header is the headers by name. The values are secrets.
func (t Trace) Header() map[string]string {
	lines := make([]string, len(t.Headers))
	for i, line := range t.Headers {
		lines[i] = line.Reveal()
	}
	return headerOf(lines)
}

// HeaderWith is Header with other lines, such as those that the files hold now. The error is a [*FaultError].
func (t Trace) HeaderWith(lines []string) (map[string]string, error) {
	for i, line := range lines {
		if !headerLine.MatchString(line) {
			return nil, noHeader(i)
		}
	}
	return headerOf(lines), nil
}

func headerOf(lines []string) map[string]string {
	header := make(map[string]string, len(lines))
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		header[name] = strings.TrimLeft(value, " \t")
	}
	return header
}

// noHeader does not show the text: it is a secret, whatever is wrong with it.
func noHeader(i int) *FaultError {
	return &FaultError{
		Path: "trace.headers[" + strconv.Itoa(i) + "]",
		What: "does not hold a header", Fix: "write one line there, such as 'authorization: Bearer' and the token",
	}
}

func (t Trace) rules(all *faults) {
	if t.Endpoint != "" {
		webAddress(all, "trace.endpoint", t.Endpoint, true)
	}
	if !(t.Sample >= 0 && t.Sample <= 1) {
		all.add("trace.sample", fmt.Sprintf("%g is not between 0 and 1", t.Sample), "write a share such as 0.1; 1 means every refund")
	}
	for i, line := range t.Headers {
		if line.IsZero() {
			all.add(noHeader(i).Path, "is missing", "write file:/path or env:NAME")
		} else if text := line.Reveal(); text != "" && !headerLine.MatchString(text) {
			all.list = append(all.list, noHeader(i))
		}
	}
}
