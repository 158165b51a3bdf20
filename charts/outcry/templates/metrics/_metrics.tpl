{{/* What a rule selects: this release's series, of one component where it is named. */}}
{{- define "outcry.series" -}}
namespace="{{ .root.Release.Namespace }}",app_kubernetes_io_instance="{{ .root.Release.Name }}"{{ with .name }},app_kubernetes_io_component="{{ . }}"{{ end }}
{{- end -}}

{{/* A quantity of cores, as a number. */}}
{{- define "outcry.cores" -}}
{{- $text := toString . -}}
{{- if hasSuffix "m" $text }}{{ divf (trimSuffix "m" $text | float64) 1000 }}{{ else }}{{ float64 $text }}{{ end -}}
{{- end -}}

{{/* A quantity of memory, as bytes. */}}
{{- define "outcry.bytes" -}}
{{- $text := toString . -}}
{{- $factors := dict "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "k" 1000 "M" 1000000 "G" 1000000000 -}}
{{- $found := regexFind "[A-Za-z]+$" $text -}}
{{- mul (trimSuffix $found $text | int64) (get $factors $found | default 1) -}}
{{- end -}}

{{/* A warning after 5 minutes and a critical alert after 1: dict "name" "expr" "warning" "critical" "summary". */}}
{{- define "outcry.alertPair" -}}
{{- range $severity, $for := dict "warning" "5m" "critical" "1m" }}
- alert: {{ $.name }}
  expr: {{ printf "%s > %v" $.expr (get $ $severity) | quote }}
  for: {{ $for }}
  labels: {severity: {{ $severity }}}
  annotations:
    summary: {{ $.summary | quote }}
{{- end }}
{{- end -}}

{{/* An alert without a threshold of its own: dict "name" "expr" "for" "severity" "summary". */}}
{{- define "outcry.alert" -}}
- alert: {{ .name }}
  expr: {{ .expr | quote }}
  for: {{ .for }}
  labels: {severity: {{ .severity }}}
  annotations:
    summary: {{ .summary | quote }}
{{- end -}}

{{/* What both monitors say about a target. */}}
{{- define "outcry.endpoints" -}}
- port: admin
  path: /metrics
  interval: {{ .interval }}
  scrapeTimeout: {{ .scrapeTimeout }}
{{- end -}}

{{- define "outcry.monitored" -}}
namespaceSelector:
  matchNames: [{{ .Release.Namespace }}]
podTargetLabels: [app.kubernetes.io/instance, app.kubernetes.io/component, outcry.dev/track]
{{- end -}}
