package render

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write testdata anew")

func TestTheChartRendersToTheManifestsOfTestdata(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"minimal", "full"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := render(t, valuesFile(t, name))
			golden := filepath.Join("testdata", name+".yaml")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("the chart renders otherwise than testdata says; after a look, go test -update (-testdata +chart)\n%s", diff)
			}
		})
	}
}

// scaledObject is what the chart uses of https://keda.sh/docs/2.17/reference/scaledobject-spec/ and of
// https://keda.sh/docs/2.17/scalers/apache-kafka/: KEDA's own Go types would bring all of KEDA.
type scaledObject struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Metadata   map[string]any `json:"metadata"`
	Spec       struct {
		ScaleTargetRef  struct{ Name string } `json:"scaleTargetRef"`
		MinReplicaCount int                   `json:"minReplicaCount"`
		MaxReplicaCount int                   `json:"maxReplicaCount"`
		PollingInterval int                   `json:"pollingInterval"`
		Advanced        struct {
			HorizontalPodAutoscalerConfig struct {
				Behavior map[string]any `json:"behavior"`
			} `json:"horizontalPodAutoscalerConfig"`
		} `json:"advanced"`
		Triggers []struct {
			Type     string `json:"type"`
			Metadata struct {
				BootstrapServers  string `json:"bootstrapServers"`
				ConsumerGroup     string `json:"consumerGroup"`
				Topic             string `json:"topic"`
				LagThreshold      string `json:"lagThreshold"`
				OffsetResetPolicy string `json:"offsetResetPolicy"`
				SASL              string `json:"sasl"`
				TLS               string `json:"tls"`
			} `json:"metadata"`
			AuthenticationRef struct{ Name string } `json:"authenticationRef"`
		} `json:"triggers"`
	} `json:"spec"`
}

func TestEveryManifestIsOfItsKindFieldByField(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][]string{
		"minimal": {"ConfigMap", "Deployment", "PodDisruptionBudget", "Service", "ServiceAccount"},
		"full": {
			"ConfigMap", "ConfigMap", "Deployment", "Job", "PodDisruptionBudget", "ScaledObject", "Service", "Service",
			"ServiceAccount", "ServiceMonitor",
		},
	} {
		var kinds []string
		for _, m := range manifests(t, render(t, valuesFile(t, name))) {
			kinds = append(kinds, m.Kind)
			object := map[string]any{
				"ConfigMap": &core.ConfigMap{}, "Deployment": &apps.Deployment{}, "Job": &batch.Job{},
				"PodDisruptionBudget": &policy.PodDisruptionBudget{}, "ScaledObject": &scaledObject{}, "Service": &core.Service{},
				"ServiceAccount": &core.ServiceAccount{}, "ServiceMonitor": &monitoring.ServiceMonitor{},
			}[m.Kind]
			if err := yaml.UnmarshalStrict([]byte(m.text), object); err != nil {
				t.Errorf("%s: %s: %v", name, m.Kind, err)
			}
		}
		slices.Sort(kinds)
		if diff := cmp.Diff(want, kinds); diff != "" {
			t.Errorf("%s renders other kinds (-want +got)\n%s", name, diff)
		}
	}
}

func TestTheStopTimeFollowsTheTimeouts(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		timeout, drain string
		margin         int
		want           int64
	}{
		{"", "", 10, 15 + 5 + 2 + 10},
		{"30s", "", 10, 30 + 5 + 2 + 10},
		{"1m30s", "9s", 5, 90 + 5 + 9 + 5},
		{"1500ms", "100ms", 10, 2 + 5 + 1 + 10},
		{"1.5m", "2s", 10, 90 + 5 + 2 + 10},
		{"5m", "2s", 600, 300 + 5 + 2 + 600},
	} {
		limits := map[string]any{}
		if tc.timeout != "" {
			limits["gateway_timeout"] = tc.timeout
		}
		if tc.drain != "" {
			limits["drain"] = tc.drain
		}
		values := valuesFile(t, "minimal")
		values["stopMarginSeconds"] = tc.margin
		config(t, values)["limits"] = limits
		if got := *deployment(t, values).Spec.Template.Spec.TerminationGracePeriodSeconds; got != tc.want {
			t.Errorf("gateway_timeout %q, drain %q, margin %d: %d s, want %d s", tc.timeout, tc.drain, tc.margin, got, tc.want)
		}
	}
}

func TestProbesServiceAndConfigurationMeetAtOnePort(t *testing.T) {
	t.Parallel()
	for name, port := range map[string]int32{"minimal": 9090, "full": 8081} {
		values := valuesFile(t, name)
		container := deployment(t, values).Spec.Template.Spec.Containers[0]
		if got := container.Ports[0]; got.Name != "http" || got.ContainerPort != port {
			t.Errorf("%s: the container's port is %+v", name, got)
		}
		for path, probe := range map[string]*core.Probe{"/healthz": container.LivenessProbe, "/readyz": container.ReadinessProbe} {
			if probe.HTTPGet.Path != path || probe.HTTPGet.Port.StrVal != "http" {
				t.Errorf("%s: a probe asks %s at %s", name, probe.HTTPGet.Path, probe.HTTPGet.Port.String())
			}
		}
		var service core.Service
		decode(t, values, "Service", &service)
		if got := service.Spec.Ports[0]; got.Port != port || got.TargetPort.StrVal != "http" || !service.Spec.PublishNotReadyAddresses {
			t.Errorf("%s: the service is %+v", name, service.Spec)
		}
	}
}

func TestNotificationsHaveAPortAndAServiceOfTheirOwnOnlyWhenTheyAreWanted(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{"minimal": false, "full": true} {
		values := valuesFile(t, name)
		container := deployment(t, values).Spec.Template.Spec.Containers[0]
		has := slices.ContainsFunc(container.Ports, func(p core.ContainerPort) bool { return p.Name == "notify" && p.ContainerPort == 8082 })
		text := render(t, values)
		if has != want || strings.Contains(text, "notify_listen: :8082") != want {
			t.Errorf("%s: the ports are %+v", name, container.Ports)
		}
		var services []core.Service
		for _, m := range manifests(t, text) {
			if m.Kind == "Service" && strings.HasSuffix(m.Metadata.Name, "-notify") {
				var service core.Service
				if err := yaml.UnmarshalStrict([]byte(m.text), &service); err != nil {
					t.Fatal(err)
				}
				services = append(services, service)
			}
		}
		if !want {
			if len(services) > 0 {
				t.Errorf("%s: %d services for notifications", name, len(services))
			}
			continue
		}
		var monitor monitoring.ServiceMonitor
		decode(t, values, "ServiceMonitor", &monitor)
		service := services[0]
		// A worker that stops is taken out of it, and scrapes do not come in through it.
		if service.Spec.PublishNotReadyAddresses || service.Spec.ClusterIP != "" || service.Spec.Ports[0].TargetPort.StrVal != "notify" ||
			service.Labels["app.kubernetes.io/name"] == monitor.Spec.Selector.MatchLabels["app.kubernetes.io/name"] {
			t.Errorf("%s: the service is %+v", name, service)
		}
	}
}

func TestThePodHoldsNoPrivilegeAndNoToken(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"minimal", "full"} {
		values := valuesFile(t, name)
		pods := []core.PodSpec{deployment(t, values).Spec.Template.Spec}
		if name == "full" {
			var job batch.Job
			decode(t, values, "Job", &job)
			pods = append(pods, job.Spec.Template.Spec)
		}
		for _, pod := range pods {
			c := pod.Containers[0].SecurityContext
			switch {
			case *pod.AutomountServiceAccountToken, !*pod.SecurityContext.RunAsNonRoot, *pod.SecurityContext.RunAsUser == 0,
				pod.SecurityContext.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault,
				*c.AllowPrivilegeEscalation, !*c.ReadOnlyRootFilesystem, !slices.Contains(c.Capabilities.Drop, "ALL"):
				t.Errorf("%s: the pod of %s is open: %+v %+v", name, pod.Containers[0].Name, pod.SecurityContext, c)
			}
			for _, mount := range pod.Containers[0].VolumeMounts {
				if !mount.ReadOnly {
					t.Errorf("%s: %s can be written", name, mount.MountPath)
				}
			}
			for _, volume := range pod.Volumes {
				if volume.Secret != nil && *volume.Secret.DefaultMode&0o007 != 0 {
					t.Errorf("%s: everybody may read %s", name, volume.Secret.SecretName)
				}
			}
		}
	}
}

func TestTheInitJobRunsBeforeTheFirstInstallationOnly(t *testing.T) {
	t.Parallel()
	for _, m := range manifests(t, render(t, valuesFile(t, "full"))) {
		if strings.HasSuffix(m.Metadata.Name, "-init") && m.Metadata.Annotations["helm.sh/hook"] != "pre-install" {
			t.Errorf("%s %s has the hooks %q", m.Kind, m.Metadata.Name, m.Metadata.Annotations["helm.sh/hook"])
		}
	}
}

func TestAnAutoscaledDeploymentLeavesItsReplicasAlone(t *testing.T) {
	t.Parallel()
	if n := deployment(t, valuesFile(t, "full")).Spec.Replicas; n != nil {
		t.Errorf("with KEDA the deployment asks for %d replicas", *n)
	}
	if n := deployment(t, valuesFile(t, "minimal")).Spec.Replicas; n == nil || *n != 2 {
		t.Errorf("without KEDA the deployment asks for %v replicas", n)
	}
	var scaled scaledObject
	decode(t, valuesFile(t, "full"), "ScaledObject", &scaled)
	var read []string
	for _, trigger := range scaled.Spec.Triggers {
		read = append(read, trigger.Metadata.ConsumerGroup+" "+trigger.Metadata.Topic)
	}
	want := []string{"refunds-hk hk.refunds.commands", "refunds-hk.backfill hk.refunds.commands.backfill"}
	if diff := cmp.Diff(want, read); diff != "" {
		t.Errorf("the scaler reads other lags (-want +got)\n%s", diff)
	}
	if target := scaled.Spec.ScaleTargetRef.Name; target != deployment(t, valuesFile(t, "full")).Name {
		t.Errorf("the scaler scales %s", target)
	}
}

func TestAChangedConfigurationRollsThePods(t *testing.T) {
	t.Parallel()
	values := valuesFile(t, "minimal")
	before := deployment(t, values).Spec.Template.Annotations["checksum/config"]
	config(t, values)["log"] = map[string]any{"level": "debug"}
	if after := deployment(t, values).Spec.Template.Annotations["checksum/config"]; before == "" || before == after {
		t.Errorf("the pods' annotation was %q and is %q", before, after)
	}
}

func TestValuesThatCannotWorkAreRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(values map[string]any)
		want   string
	}{
		"no account":                 {func(v map[string]any) { v["config"] = map[string]any{} }, "config.accounts is empty"},
		"an address of its own":      {set("config", "http", map[string]any{"listen": "127.0.0.1:9090"}), "listen"},
		"another, for notifications": {set("config", "http", map[string]any{"notify_listen": ":9091"}), "notify_listen"},
		"a setting as a variable":    {set("extraEnv", "", []any{map[string]any{"name": "REFUND_WORKER_LIMITS_DRAIN", "value": "9s"}}), "extraEnv"},
		"a secret that is not there": {set("secretMounts", "", []any{}), "which lies in none of secretMounts"},
		"a margin that is too small": {set("stopMarginSeconds", "", 4), "stopMarginSeconds"},
		"a timeout without a unit":   {set("config", "limits", map[string]any{"gateway_timeout": "15"}), "gateway_timeout"},
		"a timeout that is a number": {set("config", "limits", map[string]any{"gateway_timeout": 15}), "gateway_timeout"},
		"no worker for the retries":  {set("keda", "minReplicas", 0), "minReplicas"},
		"a value that is not known":  {set("replica", "", 3), "replica"},
		"a client ID as a number": {func(v map[string]any) {
			v["config"] = map[string]any{"accounts": []any{map[string]any{
				"name": "a", "gateway": "antom", "base_url": "https://example.com", "client_id": 2188000000000000,
			}}}
		}, "client_id"},
	} {
		values := valuesFile(t, "minimal")
		tc.change(values)
		if text, err := tryRender(t, values); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want an error about %q\n%s", name, err, tc.want, text)
		}
	}
}

// set replaces a value, or one of a section.
func set(section, key string, value any) func(map[string]any) {
	return func(values map[string]any) {
		if key == "" {
			values[section] = value
			return
		}
		inner, ok := values[section].(map[string]any)
		if !ok {
			inner = map[string]any{}
			values[section] = inner
		}
		inner[key] = value
	}
}

func TestNamesStayWithinTheirLimits(t *testing.T) {
	t.Parallel()
	values := valuesFile(t, "full")
	delete(values, "fullnameOverride")
	release := strings.Repeat("very-long-", 5) // 50 characters; Helm itself takes 53
	text, err := tryRenderAs(t, release, values)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range manifests(t, text) {
		if len(m.Metadata.Name) > 57 || strings.Contains(m.Metadata.Name, "--") {
			t.Errorf("%s is called %q", m.Kind, m.Metadata.Name)
		}
	}
}

func TestThePackagedChartLeavesTheTestsValuesOut(t *testing.T) {
	t.Parallel()
	for _, file := range load(t).Files {
		if strings.HasPrefix(file.Name, "ci/") {
			t.Errorf("the package holds %s", file.Name)
		}
	}
}
