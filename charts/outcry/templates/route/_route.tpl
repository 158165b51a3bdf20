{{/* What stream pods serve; everything else is served by api pods. */}}
{{- define "outcry.streamPaths" -}}
- /ws
- /stream
- /v1/stream
{{- end -}}

{{/* The route of a component. The header `x-outcry-track: canary` always reaches the canary, where there is one. */}}
{{- define "outcry.httpRoute" -}}
{{- $gateway := .root.Values.route.gateway -}}
{{- $name := include "outcry.partName" . -}}
{{- $number := .number -}}
{{- $canary := get .root.Values.canary .name -}}
{{- $split := include "outcry.splitsTraffic" . -}}
{{- $weight := .root.Values.operator.enabled | ternary 0 (int $canary.weight) -}}
{{- $paths := eq .name "stream" | ternary (include "outcry.streamPaths" . | fromYamlArray) (list "/") -}}
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  {{- include "outcry.metadata" . | nindent 2 }}
  annotations:
    # Whoever applies it, it is the release's: Helm may take it over when the operator no longer does.
    meta.helm.sh/release-name: {{ .root.Release.Name }}
    meta.helm.sh/release-namespace: {{ .root.Release.Namespace }}
spec:
  parentRefs:
    - name: {{ $gateway.name }}
      {{- with $gateway.namespace }}
      namespace: {{ . }}
      {{- end }}
      {{- with $gateway.sectionName }}
      sectionName: {{ . }}
      {{- end }}
  {{- with .root.Values.route.hostnames }}
  hostnames:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  rules:
    {{- if $split }}
    - matches:
        {{- range $paths }}
        - path: {type: PathPrefix, value: {{ . }}}
          headers: [{name: x-outcry-track, value: canary}]
        {{- end }}
      backendRefs:
        - {name: {{ $name }}-canary, port: {{ $number }}}
    {{- end }}
    - matches:
        {{- range $paths }}
        - path: {type: PathPrefix, value: {{ . }}}
        {{- end }}
      backendRefs:
        - {name: {{ $name }}, port: {{ $number }}{{ if $split }}, weight: {{ sub 100 $weight }}{{ end }}}
        {{- if $split }}
        - {name: {{ $name }}-canary, port: {{ $number }}, weight: {{ $weight }}}
        {{- end }}
{{- end -}}
