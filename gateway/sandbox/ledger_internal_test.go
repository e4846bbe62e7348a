package sandbox

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestAnEntryIsOnDiskWhenFlushReturns(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger")
	l, err := openLedger(path)
	if err != nil {
		t.Fatal(err)
	}
	entry := l.append(Entry{RequestID: "rf_1", State: Succeeded, Time: time.Now().UTC()})
	if err := l.flush(entry.Seq); err != nil {
		t.Fatal(err)
	}
	// As after a kill: nobody closes the first ledger before the second reads the file.
	second, err := openLedger(path)
	if err != nil {
		t.Fatal(err)
	}
	if found := second.of("rf_1"); len(found) != 1 || found[0].RefundID != entry.RefundID {
		t.Errorf("found %+v", found)
	}
	if err := errors.Join(second.close(), l.close()); err != nil {
		t.Error(err)
	}
}

func TestAWriteThatFailsFailsEveryLaterFlush(t *testing.T) {
	t.Parallel()
	l, err := openLedger(filepath.Join(t.TempDir(), "ledger"))
	if err != nil {
		t.Fatal(err)
	}
	// The file goes away beneath the ledger, as a full or broken disk would.
	if err := l.file.Close(); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		entry := l.append(Entry{RequestID: "rf_1", Time: time.Now().UTC()})
		if err := l.flush(entry.Seq); !errors.Is(err, os.ErrClosed) {
			t.Errorf("flush %d: %v", i, err)
		}
	}
	if err := l.close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("close: %v", err)
	}
}

func TestAnEntryThatCannotBeWrittenFailsEveryLaterFlush(t *testing.T) {
	t.Parallel()
	l, err := openLedger(filepath.Join(t.TempDir(), "ledger"))
	if err != nil {
		t.Fatal(err)
	}
	l.append(Entry{Time: time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)}) // JSON has no such year
	last := l.append(Entry{Time: time.Now().UTC()})
	for i := range 2 {
		if err := l.flush(last.Seq); err == nil {
			t.Errorf("flush %d: no error", i)
		}
	}
	if err := l.close(); err == nil {
		t.Error("close: no error")
	}
}
