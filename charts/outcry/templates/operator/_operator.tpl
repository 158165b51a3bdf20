{{- define "outcry.operatorImage" -}}
{{- include "outcry.image" (dict "root" . "layers" (list .Values.operator.image)) -}}
{{- end -}}

{{- define "outcry.operatorAccount" -}}
{{- include "outcry.serviceAccountName" (dict "root" . "name" "operator" "component" .Values.operator) -}}
{{- end -}}

{{- define "outcry.operatorEnv" -}}
{{- $env := dict
  "OPERATOR_NAMESPACE" (dict "valueFrom" (dict "fieldRef" (dict "fieldPath" "metadata.namespace")))
  "OPERATOR_POD" (dict "valueFrom" (dict "fieldRef" (dict "fieldPath" "metadata.name")))
  "OPERATOR_RELEASE" .Release.Name
  "OPERATOR_ADMIN_TOKEN_FILE" "/run/outcry/admin/token"
  "OPERATOR_LEASE" (include "outcry.partName" (dict "root" . "name" "operator"))
  "OPERATOR_LISTEN" "0.0.0.0:9100"
  "OPERATOR_LOG_FORMAT" "json" -}}
{{- range $name, $value := include "outcry.overlay" (list $env .Values.operator.env) | fromJson }}
- name: {{ $name }}
  {{- if kindIs "map" $value }}
  {{- toYaml $value | nindent 2 }}
  {{- else }}
  value: {{ include "outcry.text" $value | quote }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* The names of this release's workloads that the operator may scale: dict "root" $ "kinds" (list "api" "stream"). */}}
{{- define "outcry.scaledNames" -}}
{{- range $role := .roles -}}
{{- $component := get $.root.Values $role -}}
{{- if and $component.enabled (eq $component.autoscaling.provider "operator") }}
- {{ include "outcry.partName" (dict "root" $.root "name" $role) }}
{{- if (get $.root.Values.canary $role).enabled }}
- {{ include "outcry.partName" (dict "root" $.root "name" $role "track" "canary") }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
