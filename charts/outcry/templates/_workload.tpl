{{/* Workloads of roles, and what stands beside each of them. All take a part without its block. */}}

{{/* `replicas`, where nobody else scales: what the operator or an HPA scales has one writer, and that is not Helm. */}}
{{- define "outcry.replicas" -}}
{{- if eq ((.component.autoscaling).provider | default "none") "none" -}}
{{- if eq .track "canary" }}
replicas: {{ (get .root.Values.canary .name).replicaCount | int }}
{{- else }}
replicas: {{ hasKey .component "replicaCount" | ternary .component.replicaCount 1 | int }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "outcry.workloadMetadata" -}}
metadata:
  {{- include "outcry.metadata" . | nindent 2 }}
  annotations:
    outcry.dev/revision: {{ include "outcry.revision" . | quote }}
{{- end -}}

{{- define "outcry.deployment" -}}
{{- $part := merge (dict "component" (include "outcry.component" . | fromJson)) . -}}
apiVersion: apps/v1
kind: Deployment
{{ include "outcry.workloadMetadata" $part }}
spec:
  {{- include "outcry.replicas" $part | trim | nindent 2 }}
  revisionHistoryLimit: 3
  strategy:
    {{- if eq .name "simulate" }}
    type: Recreate
    {{- else }}
    type: RollingUpdate
    rollingUpdate: {maxUnavailable: 0, maxSurge: 1}
    {{- end }}
  selector:
    matchLabels:
      {{- include "outcry.selector" $part | nindent 6 }}
  template:
    {{- include "outcry.podTemplate" $part | nindent 4 }}
{{- end -}}

{{- define "outcry.statefulSet" -}}
{{- $part := merge (dict "component" (include "outcry.component" . | fromJson)) . -}}
apiVersion: apps/v1
kind: StatefulSet
{{ include "outcry.workloadMetadata" $part }}
spec:
  {{- include "outcry.replicas" $part | trim | nindent 2 }}
  revisionHistoryLimit: 3
  serviceName: {{ include "outcry.partName" $part }}
  podManagementPolicy: Parallel
  selector:
    matchLabels:
      {{- include "outcry.selector" $part | nindent 6 }}
  template:
    {{- include "outcry.podTemplate" $part | nindent 4 }}
{{- end -}}

{{- define "outcry.flags" -}}
{{- $component := include "outcry.component" . | fromJson -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "outcry.partName" . }}-flags
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "outcry.labels" . | nindent 4 }}
data:
  {{- range $name, $value := $component.featureFlags }}
  {{ $name }}: {{ $value | quote }}
  {{- else }} {}
  {{- end }}
{{- end -}}

{{- define "outcry.serviceAccount" -}}
{{- $component := get .root.Values .name -}}
{{- $account := $component.serviceAccount -}}
{{- if and $account.create (not $account.name) -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "outcry.metadata" . | nindent 2 }}
  {{- with $account.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
{{- end -}}
{{- end -}}

{{- define "outcry.pdb" -}}
{{- $component := get .root.Values .name -}}
{{- if $component.pdb.enabled -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "outcry.metadata" . | nindent 2 }}
spec:
  maxUnavailable: {{ $component.pdb.maxUnavailable }}
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "outcry.componentSelector" . | nindent 6 }}
{{- end -}}
{{- end -}}

{{/* A Service of a role's clients. Both tracks stand behind it, unless a Gateway splits the traffic between two. */}}
{{- define "outcry.clientService" -}}
{{- $component := get .root.Values .name -}}
{{- $split := include "outcry.splitsTraffic" . -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "outcry.metadata" . | nindent 2 }}
  {{- with $component.service.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ eq .track "canary" | ternary "ClusterIP" $component.service.type }}
  selector:
    {{- if $split }}
    {{- include "outcry.selector" . | nindent 4 }}
    {{- else }}
    {{- include "outcry.componentSelector" . | nindent 4 }}
    {{- end }}
  ports:
    - name: {{ .port.name }}
      port: {{ .port.number }}
      targetPort: {{ .port.name }}
      {{- if eq .port.name "ws" }}
      appProtocol: kubernetes.io/ws
      {{- end }}
      {{- if and (eq .track "stable") $component.service.nodePort }}
      nodePort: {{ $component.service.nodePort | int }}
      {{- end }}
{{- end -}}

{{/* "true" where a Gateway splits a component's clients between the tracks by weight. */}}
{{- define "outcry.splitsTraffic" -}}
{{- $canary := get .root.Values.canary .name | default dict -}}
{{- if and $canary.enabled (eq .root.Values.canary.traffic.provider "gatewayAPI") }}true{{ end -}}
{{- end -}}
