{{/* What the schema cannot see: every problem of the values, one a line. */}}
{{- define "outcry.problems" -}}
{{- $values := .Values -}}
{{- if eq $values.kafka.mode "external" -}}
  {{- with $values.kafka.external -}}
    {{- if not .bootstrapServers }}
kafka.mode is external: set kafka.external.bootstrapServers
    {{- end -}}
    {{- if and (hasPrefix "SASL" .securityProtocol) (not .existingSecret) }}
kafka.external.securityProtocol is {{ .securityProtocol }}: name the Secret with the password in kafka.external.existingSecret
    {{- end -}}
    {{- if and (hasPrefix "SASL" .securityProtocol) (not .sasl.username) }}
kafka.external.securityProtocol is {{ .securityProtocol }}: set kafka.external.sasl.username
    {{- end -}}
    {{- if and .tls.caKey (not .existingSecret) }}
kafka.external.tls.caKey is set: name the Secret that has it in kafka.external.existingSecret
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- if and (eq $values.postgresql.mode "external") (not $values.postgresql.external.existingSecret) }}
postgresql.mode is external: name the Secret with setup-url, api-url, engine-url and stream-url in postgresql.external.existingSecret
{{- end -}}
{{- if eq $values.redis.mode "external" -}}
  {{- range $which := list "fanout" "state" -}}
    {{- if not (get $values.redis $which).external.existingSecret }}
redis.mode is external: name the Secret with the URL in redis.{{ $which }}.external.existingSecret
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- range $store, $names := dict "kafka" (list "OUTCRY_KAFKA") "postgresql" (list "OUTCRY_POSTGRES") "redis" (list "OUTCRY_REDIS_FANOUT" "OUTCRY_REDIS_STATE") -}}
  {{- if eq (get $values $store).mode "none" -}}
    {{- range $role := list "api" "engine" "stream" "setup" -}}
      {{- $component := get $values $role -}}
      {{- if and $component.enabled (not $component.envFrom) -}}
        {{- range $name := $names -}}
          {{- if not (or (hasKey $values.env $name) (hasKey $component.env $name) (hasKey $values.env (printf "%s_FILE" $name)) (hasKey $component.env (printf "%s_FILE" $name))) }}
{{ $store }}.mode is none: set {{ $name }} in env or {{ $role }}.env, or give {{ $role }}.envFrom
          {{- end -}}
        {{- end -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- range $role := list "api" "engine" "stream" -}}
  {{- $component := get $values $role -}}
  {{- $autoscaling := $component.autoscaling -}}
  {{- if $component.enabled -}}
    {{- if and (eq $autoscaling.provider "operator") (not $values.operator.enabled) }}
{{ $role }}.autoscaling.provider is operator, but operator.enabled is false: set it to {{ eq $role "engine" | ternary "none" "hpa or none" }}
    {{- end -}}
    {{- if gt (int $autoscaling.minReplicas) (int $autoscaling.maxReplicas) }}
{{ $role }}.autoscaling.minReplicas is above maxReplicas
    {{- end -}}
    {{- if ne $autoscaling.provider "none" -}}
      {{- range $trigger := (include "outcry.triggers" (dict "root" $ "name" $role) | fromYamlArray) -}}
        {{- range $resource := list "cpu" "memory" -}}
          {{- if and (hasKey $trigger $resource) (not (get ($component.resources.requests | default dict) $resource)) }}
{{ $role }} is scaled by {{ $resource }}: set {{ $role }}.resources.requests.{{ $resource }}
          {{- end -}}
        {{- end -}}
        {{- if and (eq $autoscaling.provider "hpa") $autoscaling.triggers (not (or (hasKey $trigger "cpu") (hasKey $trigger "memory"))) }}
{{ $role }}.autoscaling.provider is hpa, which knows cpu and memory, not {{ keys $trigger | first }}
        {{- end -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
  {{- $canary := get $values.canary $role -}}
  {{- if and $canary.enabled (ne (last $canary.steps | int) 100) }}
the last of canary.{{ $role }}.steps must be 100
  {{- end -}}
  {{- if and $canary.enabled (not $component.enabled) }}
canary.{{ $role }}.enabled needs {{ $role }}.enabled
  {{- end -}}
  {{- if and $canary.enabled $values.operator.enabled (ne $autoscaling.provider "operator") }}
canary.{{ $role }}.enabled needs {{ $role }}.autoscaling.provider operator: two writers of replicas would fight
  {{- end -}}
{{- end -}}
{{- if and $values.canary.engine.enabled (not $values.operator.enabled) }}
canary.engine.enabled needs operator.enabled: partitions are moved to a canary by the operator alone
{{- end -}}
{{- if eq $values.route.type "httproute" -}}
  {{- if not $values.route.gateway.name }}
route.type is httproute: name the Gateway in route.gateway.name
  {{- end -}}
{{- end -}}
{{- if and (eq $values.canary.traffic.provider "gatewayAPI") (ne $values.route.type "httproute") }}
canary.traffic.provider is gatewayAPI: set route.type to httproute
{{- end -}}
{{- if and $values.simulate.enabled (not $values.demo.enabled) }}
simulate.enabled needs demo.enabled: the crowd trades with accounts of the demo venue
{{- end -}}
{{- if and $values.simulate.enabled (not (and $values.api.enabled $values.stream.enabled)) }}
simulate.enabled needs api.enabled and stream.enabled: the crowd is a client of both
{{- end -}}
{{- if and (not $values.setup.enabled) (eq $values.postgresql.mode "dev") }}
setup.enabled is false, but postgresql.mode is dev: an empty database needs its schema
{{- end -}}
{{- include "outcry.unfinishedCanaries" . -}}
{{- end -}}

{{/* Turning a canary off in the middle of a release would delete pods that serve: refused where the object is seen. */}}
{{- define "outcry.unfinishedCanaries" -}}
{{- if .Capabilities.APIVersions.Has "outcry.dev/v1alpha1/CanaryRelease" -}}
  {{- range $role := list "api" "engine" "stream" -}}
    {{- if not (get $.Values.canary $role).enabled -}}
      {{- $name := include "outcry.partName" (dict "root" $ "name" $role) -}}
      {{- $found := lookup "outcry.dev/v1alpha1" "CanaryRelease" $.Release.Namespace $name | default dict -}}
      {{- $phase := dig "status" "phase" "" $found -}}
      {{- if has $phase (list "Initializing" "Shadowing" "Progressing" "Holding" "Finalizing" "RollingBack") }}
canary.{{ $role }}.enabled is false, but release {{ $name }} is {{ $phase }}: give it up first (kubectl annotate canary/{{ $name }} outcry.dev/abort=true) and wait for RolledBack
      {{- end -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- end -}}
