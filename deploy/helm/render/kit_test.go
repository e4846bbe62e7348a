package render

import (
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	apps "k8s.io/api/apps/v1"
	"sigs.k8s.io/yaml"
)

const (
	chartDir = "../refund-worker"
	// oldestKubernetes is the release that the chart says it needs.
	oldestKubernetes = "v1.27.0"
)

// manifest is one rendered document.
type manifest struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Name        string            `json:"name"`
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
	text string
}

func manifests(t *testing.T, text string) []manifest {
	t.Helper()
	var list []manifest
	for document := range strings.SplitSeq(text, "\n---\n") {
		m := manifest{text: document}
		if err := yaml.Unmarshal([]byte(document), &m); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		list = append(list, m)
	}
	return list
}

func decode(t *testing.T, values map[string]any, kind string, object any) {
	t.Helper()
	for _, m := range manifests(t, render(t, values)) {
		if m.Kind == kind {
			if err := yaml.UnmarshalStrict([]byte(m.text), object); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no %s was rendered", kind)
}

func deployment(t *testing.T, values map[string]any) apps.Deployment {
	t.Helper()
	var d apps.Deployment
	decode(t, values, "Deployment", &d)
	return d
}

func render(t *testing.T, values map[string]any) string {
	t.Helper()
	text, err := tryRender(t, values)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func tryRender(t *testing.T, values map[string]any) (string, error) {
	t.Helper()
	return tryRenderAs(t, "refund-worker", values)
}

// tryRenderAs checks the values by the chart's schema and renders, as the first installation does. The documents are
// ordered by file.
func tryRenderAs(t *testing.T, release string, values map[string]any) (string, error) {
	t.Helper()
	loaded := load(t)
	version, err := chartutil.ParseKubeVersion(oldestKubernetes)
	if err != nil {
		t.Fatal(err)
	}
	if !chartutil.IsCompatibleRange(loaded.Metadata.KubeVersion, version.Version) {
		t.Fatalf("the chart wants Kubernetes %s, and is rendered for %s", loaded.Metadata.KubeVersion, version.Version)
	}
	caps := chartutil.DefaultCapabilities.Copy()
	caps.KubeVersion = *version
	options := chartutil.ReleaseOptions{Name: release, Namespace: "payments", Revision: 1, IsInstall: true}
	all, err := chartutil.ToRenderValues(loaded, values, options, caps)
	if err != nil {
		return "", err
	}
	files, err := engine.Render(loaded, all)
	if err != nil {
		return "", err
	}
	var documents []string
	for _, name := range sortedNames(files) {
		for document := range strings.SplitSeq(files[name], "\n---\n") {
			if text := strings.TrimSpace(document); text != "" {
				documents = append(documents, text)
			}
		}
	}
	return strings.Join(documents, "\n---\n") + "\n", nil
}

// sortedNames are the manifests' files; partials and notes are none.
func sortedNames(files map[string]string) []string {
	var names []string
	for name := range files {
		if path.Ext(name) == ".yaml" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func load(t *testing.T) *chart.Chart {
	t.Helper()
	loaded, err := loader.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

func valuesFile(t *testing.T, name string) map[string]any {
	t.Helper()
	values, err := chartutil.ReadValuesFile(filepath.Join(chartDir, "ci", name+"-values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return values
}

func config(t *testing.T, values map[string]any) map[string]any {
	t.Helper()
	section, ok := values["config"].(map[string]any)
	if !ok {
		t.Fatal("the values have no config")
	}
	return section
}
