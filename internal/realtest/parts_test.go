package realtest

import (
	"errors"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestThePinnedKafkaIsReadFromThePom(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, pom, want, fault string
	}{
		{
			name: "pinned",
			pom:  `<project xmlns="http://maven.apache.org/POM/4.0.0"><properties><kafka.version>4.3.0</kafka.version></properties></project>`,
			want: "4.3.0",
		},
		{name: "no pin", pom: `<project><properties/></project>`, fault: "no kafka.version"},
		{name: "no XML", pom: `<project>`, fault: "read test/real/pom.xml"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := pinnedKafka([]byte(tt.pom))
			if got != tt.want || (err != nil) != (tt.fault != "") || (err != nil && !strings.Contains(err.Error(), tt.fault)) {
				t.Errorf("pinnedKafka = %q, %v; want %q, an error with %q", got, err, tt.want, tt.fault)
			}
		})
	}
}

func TestPartsSayWhatRanOnWhat(t *testing.T) {
	t.Parallel()
	got := []string{
		Parts{Kafka: "4.3.0", Redis: "7.0.15"}.String(),
		Parts{KafkaMissing: errors.New("no java"), RedisMissing: errors.New("not on PATH")}.String(),
	}
	want := []string{
		"Apache Kafka 4.3.0, redis-server 7.0.15",
		"no real Kafka (no java), no real Redis (not on PATH)",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// judged is a testing.TB that records how it was ended instead of ending the test.
type judged struct {
	testing.TB
	ended string
}

func (j *judged) Helper()               {}
func (j *judged) Skipf(string, ...any)  { j.ended = "skipped"; runtime.Goexit() }
func (j *judged) Fatalf(string, ...any) { j.ended = "failed"; runtime.Goexit() }

func TestAMissingPartSkipsTheTestUnlessItIsRequired(t *testing.T) {
	for _, tt := range []struct {
		name, env string
		missing   error
		want      string
	}{
		{name: "missing", missing: exec.ErrNotFound, want: "skipped"},
		{name: "missing and required", env: "1", missing: exec.ErrNotFound, want: "failed"},
		{name: "there and required", env: "1"},
		{name: "there"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv(RequireEnv, tt.env)
			j := &judged{}
			done := make(chan struct{})
			go func() {
				defer close(done)
				require(j, tt.missing)
			}()
			<-done
			if j.ended != tt.want {
				t.Errorf("the test was %q, want %q", j.ended, tt.want)
			}
		})
	}
}
