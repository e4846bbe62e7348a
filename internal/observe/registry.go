package observe

import (
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// unknown stands for what the build did not record.
const unknown = "unknown"

// NewRegistry returns a registry of its own, so that no library can add to it behind our back, with the metrics every
// process has: those of the Go runtime, those of the operating system's process, and refund_worker_build_info, which
// is always 1 and says which build is running.
func NewRegistry(version string) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "refund_worker_build_info",
		Help: "Always 1; the labels say which build is running.",
		ConstLabels: prometheus.Labels{
			"version": version, "revision": revision(debug.ReadBuildInfo()), "go_version": runtime.Version(),
		},
	})
	info.Set(1)
	reg.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		info,
	)
	return reg
}

// revision is the commit the binary was built from, with -dirty behind it when the tree had changes.
func revision(info *debug.BuildInfo, ok bool) string {
	if !ok {
		return unknown
	}
	commit, dirty := unknown, ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-dirty"
		}
	}
	return commit + dirty
}
