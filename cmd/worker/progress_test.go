package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestProgressIsALineNowAndThenWhereThereIsNoTerminal(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := newProgress(&out)
	p.tell(1, 10)
	p.said = time.Now().Add(-sayEvery)
	p.tell(5, 10)
	p.tell(6, 10)
	p.end()
	if out.String() != "5 of 10 events\n" {
		t.Errorf("%q", out.String())
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	drawn := newProgress(file).drawn
	if err := file.Close(); err != nil || drawn {
		t.Errorf("a file is taken for a terminal: %t, %v", drawn, err)
	}
}

func TestProgressIsABarOnATerminal(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := newProgress(&out)
	p.drawn = true
	p.tell(0, 10)
	p.tell(10, 10)
	p.end()
	if !strings.Contains(out.String(), "events") || !strings.Contains(out.String(), "10/10") || !strings.HasSuffix(out.String(), "\n") {
		t.Errorf("%q", out.String())
	}
}
