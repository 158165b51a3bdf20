{{/* Names, labels and images. Most of these take a part: a dict of root, name (the component) and track. */}}

{{- define "outcry.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains "outcry" .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-outcry" (.Release.Name | trunc 33 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{- define "outcry.partName" -}}
{{- include "outcry.fullname" .root }}-{{ .name }}{{ if eq (.track | default "stable") "canary" }}-canary{{ end }}
{{- end -}}

{{/* What selects a component's pods, of both tracks. It never changes between versions. */}}
{{- define "outcry.componentSelector" -}}
app.kubernetes.io/name: outcry
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end -}}

{{- define "outcry.selector" -}}
{{ include "outcry.componentSelector" . }}
outcry.dev/track: {{ .track | default "stable" }}
{{- end -}}

{{/* Those of pods: the chart's own version is none of them, for a new chart is no reason to restart a pod. */}}
{{- define "outcry.podLabels" -}}
{{ include "outcry.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: outcry
{{- end -}}

{{- define "outcry.labels" -}}
{{ include "outcry.podLabels" . }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "outcry.metadata" -}}
name: {{ include "outcry.partName" . }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "outcry.labels" . | nindent 2 }}
{{- end -}}

{{/* What the name of a cluster-scoped object begins with: unique per namespace and release. */}}
{{- define "outcry.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "outcry.fullname" .) -}}
{{- end -}}

{{/*
An image from layers, the later ones winning: dict "root" $ "layers" (list image image ...). A tag that is set in a
later layer wins over the digest of an earlier one.
*/}}
{{- define "outcry.image" -}}
{{- $image := dict -}}
{{- range .layers -}}
  {{- if and .tag (not .digest) }}{{ $_ := unset $image "digest" }}{{ end -}}
  {{- range $key, $value := . }}{{ if $value }}{{ $_ := set $image $key $value }}{{ end }}{{ end -}}
{{- end -}}
{{- $registry := .root.Values.global.imageRegistry | default $image.registry -}}
{{- if $registry }}{{ trimSuffix "/" $registry }}/{{ end }}{{ $image.repository -}}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default .root.Chart.AppVersion }}{{ end -}}
{{- end -}}

{{- define "outcry.pullSecrets" -}}
{{- with .Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* A number of a values file as its digits: whole ones lose their exponent. */}}
{{- define "outcry.text" -}}
{{- if and (kindIs "float64" .) (eq . (floor .)) }}{{ printf "%.0f" . }}{{ else }}{{ toString . }}{{ end -}}
{{- end -}}

{{- define "outcry.secretMetadata" -}}
name: {{ include "outcry.fullname" .root }}-{{ .kind }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "outcry.labels" . | nindent 2 }}
{{- end -}}
