{{- define "refund-worker.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 50 characters, so that "-init" and what Kubernetes appends to the names of pods fit into 63. */}}
{{- define "refund-worker.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "refund-worker.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "refund-worker.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "refund-worker.selector" -}}
app.kubernetes.io/name: {{ include "refund-worker.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "refund-worker.labels" -}}
{{ include "refund-worker.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "refund-worker.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- define "refund-worker.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "refund-worker.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{/* The configuration file: the values' own, with the addresses that a pod can be asked at. */}}
{{- define "refund-worker.config" -}}
{{- if not .Values.config.accounts -}}
{{- fail "config.accounts is empty: the worker needs at least one gateway account" -}}
{{- end -}}
{{- $http := dict "listen" (printf ":%d" (int .Values.httpPort)) -}}
{{- if .Values.notifications.enabled -}}
{{- $_ := set $http "notify_listen" (printf ":%d" (int .Values.notifications.port)) -}}
{{- end -}}
{{- $config := mustMergeOverwrite (deepCopy .Values.config) (dict "http" $http) -}}
{{- $text := toYaml $config -}}
{{- range $reference := regexFindAll "file:[^\\s\"',\\]]+" $text -1 -}}
{{- $mounted := false -}}
{{- range $.Values.secretMounts -}}
{{- if hasPrefix (printf "file:%s/" .mountPath) $reference -}}{{- $mounted = true -}}{{- end -}}
{{- end -}}
{{- if not $mounted -}}
{{- fail (printf "config refers to %s, which lies in none of secretMounts" $reference) -}}
{{- end -}}
{{- end -}}
{{- $text -}}
{{- end -}}

{{/* A duration such as 1m30s in whole seconds, rounded up: a date is moved by it, and the difference taken. */}}
{{- define "refund-worker.seconds" -}}
{{- $zero := toDate "2006-01-02" "2000-01-01" -}}
{{- $end := mustDateModify . $zero | mustDateModify "999ms" -}}
{{- sub ($end | unixEpoch | int64) ($zero | unixEpoch | int64) -}}
{{- end -}}

{{/*
How long the pod has to stop: one gateway call, 5 s to store and publish what it learned, the drain, and the margin. The
defaults are the worker's own; the repository's tests hold them to its code.
*/}}
{{- define "refund-worker.grace" -}}
{{- $limits := .Values.config.limits | default dict -}}
{{- $call := include "refund-worker.seconds" (get $limits "gateway_timeout" | default "15s") -}}
{{- $drain := include "refund-worker.seconds" (get $limits "drain" | default "2s") -}}
{{- add (int64 $call) 5 (int64 $drain) (int64 .Values.stopMarginSeconds) -}}
{{- end -}}

{{- define "refund-worker.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "refund-worker.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "refund-worker.mounts" -}}
- name: config
  mountPath: /etc/refund-worker
  readOnly: true
{{- range $i, $mount := .Values.secretMounts }}
- name: secrets-{{ $i }}
  mountPath: {{ $mount.mountPath }}
  readOnly: true
{{- end }}
{{- end -}}

{{/* Takes a list: the root, and the name of the ConfigMap. Secrets are readable by the pod's group only. */}}
{{- define "refund-worker.volumes" -}}
{{- $root := index . 0 -}}
- name: config
  configMap:
    name: {{ index . 1 }}
{{- range $i, $mount := $root.Values.secretMounts }}
- name: secrets-{{ $i }}
  secret:
    secretName: {{ $mount.secretName }}
    defaultMode: 0440
{{- end }}
{{- end -}}
