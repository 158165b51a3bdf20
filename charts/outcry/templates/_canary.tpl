{{/* A release that is tried: the CanaryRelease of a component. */}}
{{- define "outcry.canaryRelease" -}}
{{- $canary := get .root.Values.canary .name | default dict -}}
{{- if and $canary.enabled .root.Values.operator.enabled -}}
{{- $traffic := .root.Values.canary.traffic -}}
{{- $split := include "outcry.splitsTraffic" . -}}
apiVersion: outcry.dev/v1alpha1
kind: CanaryRelease
metadata:
  {{- include "outcry.metadata" . | nindent 2 }}
spec:
  component: {{ .name }}
  stableRef: {kind: {{ include "outcry.workloadKind" . }}, name: {{ include "outcry.partName" . }}}
  canaryRef: {kind: {{ include "outcry.workloadKind" . }}, name: {{ include "outcry.partName" . }}-canary}
  {{- if ne .name "engine" }}
  traffic:
    provider: {{ $traffic.provider }}
    {{- if $split }}
    routeTemplate: {{ include "outcry.partName" . }}-route
    {{- else }}
    maxSurge: {{ $traffic.maxSurge | int }}
    {{- end }}
  {{- end }}
  steps:
    {{- range $canary.steps }}
    - {weight: {{ . | int }}, holdSeconds: {{ $canary.holdSeconds | int }}}
    {{- end }}
  {{- with $canary.analysis }}
  analysis:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $canary.metrics }}
  metrics:
    {{- range $name, $bounds := . }}
    - name: {{ $name }}
      {{- toYaml $bounds | nindent 6 }}
    {{- end }}
  {{- end }}
  {{- range $key := list "shadow" "rollback" }}
  {{- with get $canary $key }}
  {{ $key }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  {{- if hasKey $canary "progressDeadlineSeconds" }}
  progressDeadlineSeconds: {{ $canary.progressDeadlineSeconds | int }}
  {{- end }}
  {{- range $key := list "suspend" "skipAnalysis" }}
  {{- if get $canary $key }}
  {{ $key }}: true
  {{- end }}
  {{- end }}
{{- end -}}
{{- end -}}
