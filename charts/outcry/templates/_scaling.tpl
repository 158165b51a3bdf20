{{/* Who scales a component: a ScalePolicy of the operator, a HorizontalPodAutoscaler, or nobody. */}}

{{- define "outcry.scaling" -}}
{{- $component := get .root.Values .name -}}
{{- if eq $component.autoscaling.provider "operator" -}}
{{ include "outcry.scalePolicy" . }}
{{- else if eq $component.autoscaling.provider "hpa" -}}
{{ include "outcry.horizontalPodAutoscaler" . }}
{{- end -}}
{{- end -}}

{{/* The kind of a component's workload. */}}
{{- define "outcry.workloadKind" -}}
{{- eq .name "engine" | ternary "StatefulSet" "Deployment" -}}
{{- end -}}

{{/* When a component grows, where the values do not say: per pod, as docs/chart.md lists them. */}}
{{- define "outcry.defaultTriggers" -}}
- cpu: {targetUtilizationPercent: 70}
- memory: {targetUtilizationPercent: 70}
{{- if eq .name "engine" }}
- queueDepth: {targetPerReplica: 10000}
{{- else }}
- connections: {targetPerReplica: 10000}
{{- end }}
{{- end -}}

{{- define "outcry.triggers" -}}
{{- $component := get .root.Values .name -}}
{{- if $component.autoscaling.triggers }}{{ toYaml $component.autoscaling.triggers }}{{ else }}{{ include "outcry.defaultTriggers" . }}{{ end -}}
{{- end -}}

{{- define "outcry.scalePolicy" -}}
{{- $autoscaling := (get .root.Values .name).autoscaling -}}
apiVersion: outcry.dev/v1alpha1
kind: ScalePolicy
metadata:
  {{- include "outcry.metadata" . | nindent 2 }}
spec:
  targetRef:
    kind: {{ include "outcry.workloadKind" . }}
    name: {{ include "outcry.partName" . }}
  mode: {{ eq .name "engine" | ternary "PartitionOwner" "Stateless" }}
  minReplicas: {{ $autoscaling.minReplicas | int }}
  maxReplicas: {{ $autoscaling.maxReplicas | int }}
  triggers:
    {{- include "outcry.triggers" . | trim | nindent 4 }}
  {{- with $autoscaling.behavior }}
  behavior:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- range $key := list "tolerance" "missing" "fallback" "drain" }}
  {{- with get $autoscaling $key }}
  {{ $key }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  {{- range $key := list "manualHoldSeconds" "syncPeriodSeconds" }}
  {{- if hasKey $autoscaling $key }}
  {{ $key }}: {{ get $autoscaling $key | int }}
  {{- end }}
  {{- end }}
  {{- if $autoscaling.dryRun }}
  dryRun: true
  {{- end }}
{{- end -}}

{{- define "outcry.horizontalPodAutoscaler" -}}
{{- $autoscaling := (get .root.Values .name).autoscaling -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  {{- include "outcry.metadata" . | nindent 2 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: {{ include "outcry.workloadKind" . }}
    name: {{ include "outcry.partName" . }}
  minReplicas: {{ $autoscaling.minReplicas | int }}
  maxReplicas: {{ $autoscaling.maxReplicas | int }}
  metrics:
    {{- range $trigger := include "outcry.triggers" . | fromYamlArray }}
    {{- range $resource := list "cpu" "memory" }}
    {{- with get $trigger $resource }}
    - type: Resource
      resource:
        name: {{ $resource }}
        target:
          type: Utilization
          averageUtilization: {{ .targetUtilizationPercent | default 70 | int }}
    {{- end }}
    {{- end }}
    {{- end }}
  {{- with $autoscaling.behavior }}
  behavior:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
