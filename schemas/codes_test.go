package schemas

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheListHasEveryCodeOnceAndWhole(t *testing.T) {
	t.Parallel()
	var listed []Code
	for _, info := range Codes() {
		if slices.Contains(listed, info.Code) {
			t.Errorf("%s is listed twice", info.Code)
		}
		listed = append(listed, info.Code)
		if !slices.Contains([]Actor{ActNobody, ActProducer, ActMerchant, ActOperator}, info.WhoActs) {
			t.Errorf("%s: %q acts", info.Code, info.WhoActs)
		}
		if !slices.Contains([]NewID{NewIDNever, NewIDUseless, NewIDAfterChange, NewIDLater, NewIDNotNeeded}, info.NewRequestID) {
			t.Errorf("%s: new request ID %q", info.Code, info.NewRequestID)
		}
		if !strings.HasSuffix(info.Meaning, ".") && !strings.HasSuffix(info.Meaning, "`.") {
			t.Errorf("%s: meaning %q", info.Code, info.Meaning)
		}
		if got, known := info.Code.Info(); !known || got != info {
			t.Errorf("%s.Info() is %+v, %t", info.Code, got, known)
		}
	}
	if diff := cmp.Diff(declaredCodes(t), listed); diff != "" {
		t.Errorf("(-declared +listed):\n%s", diff)
	}
}

// declaredCodes are the constants of type Code in the order of the source.
func declaredCodes(t *testing.T) (codes []Code) {
	t.Helper()
	source, err := os.ReadFile("code.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, constant := range regexp.MustCompile(`(?m)^\tCode\w+ +Code = "(\w+)"$`).FindAllSubmatch(source, -1) {
		codes = append(codes, Code(constant[1]))
	}
	return codes
}

func TestACodeOutsideTheListHasNoInfo(t *testing.T) {
	t.Parallel()
	if info, known := Code("FINE").Info(); known || info != (CodeInfo{}) {
		t.Errorf("got %+v", info)
	}
}

func TestTheListCannotBeChangedThroughItsCopy(t *testing.T) {
	t.Parallel()
	Codes()[0].Code = "FINE"
	if got := Codes()[0].Code; got != CodeRefunded {
		t.Errorf("got %s", got)
	}
}

func TestANewRequestIDIsNeverAdvisedWhileMoneyMayMove(t *testing.T) {
	t.Parallel()
	for _, info := range Codes() {
		mayMove := info.Status == Success || info.Status == RetryPending || info.Code == CodeAlreadySettled
		if mayMove != (info.NewRequestID == NewIDNever) {
			t.Errorf("%s: new request ID %q", info.Code, info.NewRequestID)
		}
	}
}

// TestTheDocumentedCodesAreTheList holds codes.md equal to the list; -update rewrites it.
func TestTheDocumentedCodesAreTheList(t *testing.T) {
	t.Parallel()
	const path = "codes.md"
	var b strings.Builder
	b.WriteString("# Codes\n\nGenerated from `codeinfo.go`: `go test ./schemas -run TheDocumentedCodes -update`.\n\n" +
		"| code | status | who acts | new request ID | meaning |\n| --- | --- | --- | --- | --- |\n")
	for _, info := range Codes() {
		status := string(info.Status)
		if status == "" {
			status = "rejected"
		}
		b.WriteString("| " + strings.Join([]string{
			"`" + string(info.Code) + "`", status, string(info.WhoActs), string(info.NewRequestID), info.Meaning,
		}, " | ") + " |\n")
	}
	b.WriteString("\nA new request ID for the same refund: `never` (the money has moved or may have moved: it could be paid twice), " +
		"`useless` (nothing has\nmoved, and it would fail in the same way), `after-change` (once what the code names has been changed), " +
		"`later` (the same content, later),\n`same-id` (the message was never taken: send it again, mended, under its own ID).\n")
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	documented, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b.String(), string(documented)); diff != "" {
		t.Errorf("(-list +%s):\n%s", path, diff)
	}
}
