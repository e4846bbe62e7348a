package observe

import (
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestTheRegistryKnowsBuildRuntimeAndProcess(t *testing.T) {
	t.Parallel()
	reg := NewRegistry("v1.2.3")
	want := `# HELP refund_worker_build_info Always 1; the labels say which build is running.
# TYPE refund_worker_build_info gauge
refund_worker_build_info{go_version="` + runtime.Version() + `",revision="` + revision(debug.ReadBuildInfo()) + `",version="v1.2.3"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "refund_worker_build_info"); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"go_goroutines", "process_start_time_seconds"} {
		count, err := testutil.GatherAndCount(reg, name)
		if err != nil {
			t.Fatal(err)
		}
		if count != 1 {
			t.Errorf("%s is there %d times", name, count)
		}
	}
}

func TestTwoRegistriesOfOneProcessDoNotMeet(t *testing.T) {
	t.Parallel()
	if NewRegistry("a") == NewRegistry("b") {
		t.Error("they are the same")
	}
}

func TestTheRevisionIsTheCommitAndWhetherItWasChanged(t *testing.T) {
	t.Parallel()
	setting := func(key, value string) debug.BuildSetting { return debug.BuildSetting{Key: key, Value: value} }
	for _, tt := range []struct {
		name string
		info *debug.BuildInfo
		ok   bool
		want string
	}{
		{"no build information", nil, false, "unknown"},
		{"no version control", &debug.BuildInfo{Settings: []debug.BuildSetting{setting("GOOS", "linux")}}, true, "unknown"},
		{"a clean tree", &debug.BuildInfo{Settings: []debug.BuildSetting{setting("vcs.revision", "abc"), setting("vcs.modified", "false")}}, true, "abc"},
		{"a changed tree", &debug.BuildInfo{Settings: []debug.BuildSetting{setting("vcs.revision", "abc"), setting("vcs.modified", "true")}}, true, "abc-dirty"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := revision(tt.info, tt.ok); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
