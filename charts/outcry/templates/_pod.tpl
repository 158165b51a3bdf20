{{/*
The pod of a role. All of these take a part: dict "root" $ "name" "api" "track" "stable" "component" (the block of the
values that holds for this track).
*/}}

{{/* The block of a track: the canary has the stable block, with its own image, arguments, environment and flags. */}}
{{- define "outcry.component" -}}
{{- $component := deepCopy (get .root.Values .name) -}}
{{- if eq (.track | default "stable") "canary" -}}
  {{- $canary := get .root.Values.canary .name -}}
  {{- $_ := set $component "canaryImage" $canary.image -}}
  {{- $_ := set $component "featureFlags" (include "outcry.overlay" (list $component.featureFlags $canary.featureFlags) | fromJson) -}}
  {{- $_ := set $component "env" (include "outcry.overlay" (list $component.env $canary.env) | fromJson) -}}
{{- end -}}
{{- $component | toJson -}}
{{- end -}}

{{/* Maps laid over each other, the later ones winning, with false and 0 too (which `merge` takes for unset). */}}
{{- define "outcry.overlay" -}}
{{- $all := dict -}}
{{- range . }}{{ range $key, $value := . }}{{ if not (kindIs "invalid" $value) }}{{ $_ := set $all $key $value }}{{ end }}{{ end }}{{ end -}}
{{- $all | toJson -}}
{{- end -}}

{{- define "outcry.roleImage" -}}
{{- include "outcry.image" (dict "root" .root "layers" (list .root.Values.image .component.image (.component.canaryImage | default dict))) -}}
{{- end -}}

{{- define "outcry.pullPolicy" -}}
{{- (.component.image).pullPolicy | default .root.Values.image.pullPolicy -}}
{{- end -}}

{{/* What the pod is told that depends on the release and not on the pod or the track: it makes the revision. */}}
{{- define "outcry.releaseEnv" -}}
{{- $env := include "outcry.connections" . | fromJson -}}
{{- $_ := set $env "OUTCRY_LOG_FORMAT" "json" -}}
{{- if has .name (list "api" "engine" "stream" "simulate") -}}
  {{- $_ := set $env "OUTCRY_ADMIN_HOST" "0.0.0.0" -}}
  {{- $_ := set $env "OUTCRY_ADMIN_PORT" "9100" -}}
{{- end -}}
{{- if ne .name "simulate" -}}
  {{- $_ := set $env "OUTCRY_PARTITIONS" (.root.Values.engine.partitions | int | toString) -}}
  {{- $_ := set $env "OUTCRY_DEMO" (.root.Values.demo.enabled | toString) -}}
{{- end -}}
{{- $port := get (dict "api" "8080" "stream" "8090") .name -}}
{{- if $port -}}
  {{- $_ := set $env "OUTCRY_HOST" "0.0.0.0" -}}
  {{- $_ := set $env "OUTCRY_PORT" $port -}}
{{- end -}}
{{- if eq .name "simulate" -}}
  {{- $fullname := include "outcry.fullname" .root -}}
  {{- $_ := set $env "OUTCRY_URL" (printf "http://%s-api:8080" $fullname) -}}
  {{- $_ := set $env "OUTCRY_STREAM_URL" (printf "ws://%s-stream:8090" $fullname) -}}
{{- end -}}
{{- if eq .name "setup" -}}
  {{- $_ := set $env "OUTCRY_REPLICATION" (.root.Values.kafka.topic.replicationFactor | int | toString) -}}
  {{- $_ := set $env "SIMULATION_ENABLED" (and .root.Values.demo.enabled .root.Values.simulate.enabled | toString) -}}
{{- end -}}
{{- $own := include "outcry.overlay" (list .root.Values.env .component.env) | fromJson -}}
{{- range $name, $value := $own -}}
  {{- /* What a user sets replaces what the chart would have said, also where that was a file. */ -}}
  {{- $_ := unset $env (printf "%s_FILE" $name) -}}
  {{- $_ := set $env $name (kindIs "map" $value | ternary $value (include "outcry.text" $value)) -}}
{{- end -}}
{{- $env | toJson -}}
{{- end -}}

{{- define "outcry.revision" -}}
{{- dict
  "image" (include "outcry.roleImage" .)
  "args" (.component.args | default list)
  "env" (include "outcry.releaseEnv" . | fromJson)
  "envFrom" (.component.envFrom | default list)
  "flags" (.component.featureFlags | default dict)
  | toJson | sha256sum | trunc 10 -}}
{{- end -}}

{{- define "outcry.env" -}}
{{- $env := include "outcry.releaseEnv" . | fromJson -}}
{{- if ne .name "setup" -}}
  {{- $_ := set $env "OUTCRY_TRACK" .track -}}
  {{- $_ := set $env "OUTCRY_POD" (dict "valueFrom" (dict "fieldRef" (dict "fieldPath" "metadata.name"))) -}}
  {{- $_ := set $env "OUTCRY_POD_UID" (dict "valueFrom" (dict "fieldRef" (dict "fieldPath" "metadata.uid"))) -}}
  {{- $_ := set $env "OUTCRY_REVISION" (dict "valueFrom" (dict "fieldRef" (dict "fieldPath" "metadata.annotations['outcry.dev/revision']"))) -}}
{{- end -}}
{{- if eq .name "engine" }}{{ $_ := set $env "OUTCRY_CLAIM" (eq .track "canary" | ternary "reserved" "share") }}{{ end -}}
{{- range $name, $value := $env }}
- name: {{ $name }}
  {{- if kindIs "map" $value }}
  {{- toYaml $value | nindent 2 }}
  {{- else }}
  value: {{ $value | quote }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "outcry.ports" -}}
{{- $port := get (dict "api" (list "http" 8080) "stream" (list "ws" 8090)) .name -}}
{{- with $port }}
- name: {{ index . 0 }}
  containerPort: {{ index . 1 }}
{{- end }}
- name: admin
  containerPort: 9100
{{- end -}}

{{/* Probes ask the admin port; a block that is null switches one off. */}}
{{- define "outcry.probes" -}}
{{- range $name, $path := dict "startup" "/livez" "liveness" "/livez" "readiness" "/readyz" }}
{{- with get $.component.probes $name }}
{{ $name }}Probe:
  httpGet: {path: {{ $path }}, port: admin}
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Where pods may run and as whom: the keys that every component has. */}}
{{- define "outcry.placement" -}}
{{- with .component.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .component.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .component.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .component.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
{{- if .component.topologySpreadConstraints }}
  {{- toYaml .component.topologySpreadConstraints | nindent 2 }}
{{- else }}
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "outcry.componentSelector" . | nindent 8 }}
{{- end }}
{{- end -}}

{{- define "outcry.serviceAccountName" -}}
{{- $account := .component.serviceAccount | default dict -}}
{{- if $account.name }}{{ $account.name }}
{{- else if $account.create }}{{ include "outcry.fullname" .root }}-{{ .name }}
{{- else }}default{{ end -}}
{{- end -}}

{{/* A container that ends once `outcry setup` has done its work, so that a role starts once instead of failing until then. */}}
{{- define "outcry.awaitSetup" -}}
- name: await-setup
  image: {{ include "outcry.roleImage" . }}
  imagePullPolicy: {{ include "outcry.pullPolicy" . }}
  args: [setup, --await]
  env:
    {{- include "outcry.env" . | trim | nindent 4 }}
  {{- with .component.envFrom }}
  envFrom:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  resources:
    {{- toYaml .component.resources | nindent 4 }}
  securityContext:
    {{- toYaml .component.securityContext | nindent 4 }}
  volumeMounts:
    {{- include "outcry.volumeMounts" . | trim | nindent 4 }}
    {{- with .component.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{- define "outcry.podTemplate" -}}
metadata:
  labels:
    {{- include "outcry.podLabels" . | nindent 4 }}
    {{- with .component.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    outcry.dev/revision: {{ include "outcry.revision" . | quote }}
    {{- with .component.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- include "outcry.pullSecrets" .root | trim | nindent 2 }}
  serviceAccountName: {{ include "outcry.serviceAccountName" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .component.terminationGracePeriodSeconds }}
  securityContext:
    {{- toYaml .component.podSecurityContext | nindent 4 }}
  {{- if ne .name "simulate" }}
  initContainers:
    {{- include "outcry.awaitSetup" . | nindent 4 }}
  {{- end }}
  containers:
    - name: {{ .name }}
      image: {{ include "outcry.roleImage" . }}
      imagePullPolicy: {{ include "outcry.pullPolicy" . }}
      args:
        - {{ .name }}
        {{- with .component.args }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      env:
        {{- include "outcry.env" . | trim | nindent 8 }}
      {{- with .component.envFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        {{- include "outcry.ports" . | trim | nindent 8 }}
      {{- include "outcry.probes" . | trim | nindent 6 }}
      {{- with .component.lifecycle }}
      lifecycle:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      resources:
        {{- toYaml .component.resources | nindent 8 }}
      securityContext:
        {{- toYaml .component.securityContext | nindent 8 }}
      volumeMounts:
        {{- include "outcry.volumeMounts" . | trim | nindent 8 }}
        {{- with .component.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    {{- include "outcry.volumes" . | trim | nindent 4 }}
    {{- with .component.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- include "outcry.placement" . | trim | nindent 2 }}
{{- end -}}
