{{/* Arrows of the network policies. Everything not drawn here is denied. */}}

{{- define "outcry.toComponent" -}}
- to:
    - podSelector:
        matchLabels:
          {{- include "outcry.componentSelector" . | nindent 10 }}
  ports:
    - {port: {{ .port }}, protocol: TCP}
{{- end -}}

{{- define "outcry.toOutside" -}}
- ports:
    {{- range .egress.ports }}
    - {port: {{ . | int }}, protocol: TCP}
    {{- end }}
  {{- with .egress.cidrs }}
  to:
    {{- range . }}
    - ipBlock: {cidr: {{ . | quote }}}
    {{- end }}
  {{- end }}
{{- end -}}

{{- define "outcry.toApiServer" -}}
- ports:
    - {port: 443, protocol: TCP}
    - {port: 6443, protocol: TCP}
  {{- with .Values.operator.apiServerCIDRs }}
  to:
    {{- range . }}
    - ipBlock: {cidr: {{ . | quote }}}
    {{- end }}
  {{- end }}
{{- end -}}

{{/* To Kafka, PostgreSQL and Redis, as a role uses them. */}}
{{- define "outcry.toStores" -}}
{{- $uses := include "outcry.uses" . | fromJsonArray -}}
{{- $root := .root -}}
{{- $values := .root.Values -}}
{{- if has "kafka" $uses }}
{{- if eq $values.kafka.mode "dev" }}
{{ include "outcry.toComponent" (dict "root" $root "name" "kafka" "port" 9092) }}
{{- else if eq $values.kafka.mode "external" }}
{{ include "outcry.toOutside" (dict "egress" $values.kafka.external.egress) }}
{{- end }}
{{- end }}
{{- if has "postgresql" $uses }}
{{- if eq $values.postgresql.mode "dev" }}
{{ include "outcry.toComponent" (dict "root" $root "name" "postgresql" "port" 5432) }}
{{- else if eq $values.postgresql.mode "external" }}
{{ include "outcry.toOutside" (dict "egress" $values.postgresql.external.egress) }}
{{- end }}
{{- end }}
{{- if has "redis" $uses }}
{{- range $which := list "fanout" "state" }}
{{- if eq $values.redis.mode "dev" }}
{{ include "outcry.toComponent" (dict "root" $root "name" (printf "redis-%s" $which) "port" 6379) }}
{{- else if eq $values.redis.mode "external" }}
{{ include "outcry.toOutside" (dict "egress" (get $values.redis $which).external.egress) }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "outcry.toClientsPorts" -}}
{{ include "outcry.toComponent" (dict "root" .root "name" "api" "port" 8080) }}
{{ include "outcry.toComponent" (dict "root" .root "name" "stream" "port" 8090) }}
{{- end -}}

{{/* Who scrapes and steers a pod: the operator, and Prometheus where somebody says who that is. */}}
{{- define "outcry.fromAdmins" -}}
{{- /* A rule without a peer would let everybody in, so there is none where nobody is named. */ -}}
{{- if or .root.Values.operator.enabled .root.Values.networkPolicy.prometheus -}}
- from:
    {{- if .root.Values.operator.enabled }}
    - podSelector:
        matchLabels:
          {{- include "outcry.componentSelector" (dict "root" .root "name" "operator") | nindent 10 }}
    {{- end }}
    {{- with .root.Values.networkPolicy.prometheus }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  ports:
    - {port: 9100, protocol: TCP}
{{- end -}}
{{- end -}}

{{- define "outcry.networkPolicy" -}}
{{- $block := get .root.Values .name | default dict -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "outcry.metadata" . | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "outcry.componentSelector" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
  {{- with trim (printf "%s\n%s" .ingress (include "outcry.listed" ($block.networkPolicy).extraIngress)) }}
  ingress:
    {{- . | nindent 4 }}
  {{- end }}
  {{- with trim (printf "%s\n%s" .egress (include "outcry.listed" ($block.networkPolicy).extraEgress)) }}
  egress:
    {{- . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "outcry.listed" -}}
{{- with . }}{{ toYaml . }}{{ end -}}
{{- end -}}
