{{/* Where Kafka, PostgreSQL and Redis are, as environment and mounted files of a role. */}}

{{/* The Secret that holds a kind of secrets: dict "root" $ "kind" "admin". */}}
{{- define "outcry.secretName" -}}
{{- $values := .root.Values -}}
{{- $given := "" -}}
{{- if eq .kind "admin" }}{{ $given = $values.adminToken.existingSecret }}
{{- else if eq .kind "master-key" }}{{ $given = $values.masterKey.existingSecret }}
{{- else if eq .kind "demo-keys" }}{{ $given = $values.demo.existingSecret }}
{{- else if and (eq .kind "postgresql") (eq $values.postgresql.mode "external") }}{{ $given = $values.postgresql.external.existingSecret }}
{{- else if and (eq .kind "kafka") (eq $values.kafka.mode "external") }}{{ $given = $values.kafka.external.existingSecret }}
{{- end -}}
{{- $given | default (printf "%s-%s" (include "outcry.fullname" .root) .kind) -}}
{{- end -}}

{{/* Which secrets and stores a role uses, as the arrows of its network policy say too. */}}
{{- define "outcry.uses" -}}
{{- $all := dict
  "api" (list "kafka" "postgresql" "redis" "admin" "master-key" "flags")
  "engine" (list "kafka" "postgresql" "redis" "admin")
  "stream" (list "kafka" "postgresql" "redis" "admin" "master-key" "flags")
  "setup" (list "kafka" "postgresql" "redis" "master-key" "demo-keys")
  "simulate" (list "demo-keys") -}}
{{- get $all .name | toJson -}}
{{- end -}}

{{/* Environment of a role that says where things are, as a map of names. */}}
{{- define "outcry.connections" -}}
{{- $values := .root.Values -}}
{{- $fullname := include "outcry.fullname" .root -}}
{{- $uses := include "outcry.uses" . | fromJsonArray -}}
{{- $env := dict -}}
{{- if has "kafka" $uses -}}
  {{- $_ := set $env "OUTCRY_TOPIC" $values.kafka.topic.name -}}
  {{- if eq $values.kafka.mode "dev" -}}
    {{- $_ := set $env "OUTCRY_KAFKA" (printf "%s-kafka:9092" $fullname) -}}
  {{- else if eq $values.kafka.mode "external" -}}
    {{- $external := $values.kafka.external -}}
    {{- $_ := set $env "OUTCRY_KAFKA" $external.bootstrapServers -}}
    {{- $_ := set $env "OUTCRY_KAFKA_SECURITY_PROTOCOL" $external.securityProtocol -}}
    {{- if hasPrefix "SASL" $external.securityProtocol -}}
      {{- $_ := set $env "OUTCRY_KAFKA_SASL_MECHANISM" $external.sasl.mechanism -}}
      {{- $_ := set $env "OUTCRY_KAFKA_SASL_USERNAME" $external.sasl.username -}}
      {{- $_ := set $env "OUTCRY_KAFKA_SASL_PASSWORD_FILE" "/run/outcry/kafka/password" -}}
    {{- end -}}
    {{- if $external.tls.caKey }}{{ $_ := set $env "OUTCRY_KAFKA_SSL_CA_FILE" "/run/outcry/kafka/ca.crt" }}{{ end -}}
  {{- end -}}
{{- end -}}
{{- if and (has "postgresql" $uses) (ne $values.postgresql.mode "none") -}}
  {{- $_ := set $env "OUTCRY_POSTGRES_FILE" "/run/outcry/postgresql/url" -}}
{{- end -}}
{{- if and (has "redis" $uses) (ne $values.redis.mode "none") -}}
  {{- $_ := set $env "OUTCRY_REDIS_FANOUT_FILE" "/run/outcry/redis/fanout-url" -}}
  {{- $_ := set $env "OUTCRY_REDIS_STATE_FILE" "/run/outcry/redis/state-url" -}}
{{- end -}}
{{- if has "admin" $uses }}{{ $_ := set $env "OUTCRY_ADMIN_TOKEN_FILE" "/run/outcry/admin/token" }}{{ end -}}
{{- if has "master-key" $uses }}{{ $_ := set $env "OUTCRY_MASTER_KEY_FILE" "/run/outcry/master/master.key" }}{{ end -}}
{{- if and (has "demo-keys" $uses) $values.demo.enabled }}{{ $_ := set $env "OUTCRY_KEYS_FILE" "/run/outcry/keys/keys.json" }}{{ end -}}
{{- if has "flags" $uses }}{{ $_ := set $env "OUTCRY_FLAGS_DIR" "/run/outcry/flags" }}{{ end -}}
{{- $env | toJson -}}
{{- end -}}

{{/* Whether the role has files of Kafka's external Secret. */}}
{{- define "outcry.kafkaFiles" -}}
{{- $external := .Values.kafka.external -}}
{{- if and (eq .Values.kafka.mode "external") (or (hasPrefix "SASL" $external.securityProtocol) $external.tls.caKey) }}true{{ end -}}
{{- end -}}

{{/* The volumes behind these files. Each mount is a folder of its own under /run/outcry. */}}
{{- define "outcry.volumes" -}}
{{- $root := .root -}}
{{- $values := .root.Values -}}
{{- $uses := include "outcry.uses" . | fromJsonArray -}}
- name: tmp
  emptyDir: {}
{{- if and (has "kafka" $uses) (include "outcry.kafkaFiles" $root) }}
- name: kafka
  secret:
    secretName: {{ include "outcry.secretName" (dict "root" $root "kind" "kafka") }}
    items:
      {{- if hasPrefix "SASL" $values.kafka.external.securityProtocol }}
      - {key: {{ $values.kafka.external.sasl.passwordKey }}, path: password}
      {{- end }}
      {{- with $values.kafka.external.tls.caKey }}
      - {key: {{ . }}, path: ca.crt}
      {{- end }}
{{- end }}
{{- if and (has "postgresql" $uses) (ne $values.postgresql.mode "none") }}
- name: postgresql
  secret:
    secretName: {{ include "outcry.secretName" (dict "root" $root "kind" "postgresql") }}
    items:
      - {key: {{ .name }}-url, path: url}
{{- end }}
{{- if and (has "redis" $uses) (eq $values.redis.mode "dev") }}
- name: redis
  secret:
    secretName: {{ include "outcry.secretName" (dict "root" $root "kind" "redis") }}
    items:
      - {key: fanout-url, path: fanout-url}
      - {key: state-url, path: state-url}
{{- else if and (has "redis" $uses) (eq $values.redis.mode "external") }}
- name: redis
  projected:
    sources:
      {{- range $which := list "fanout" "state" }}
      {{- $external := get (get $values.redis $which) "external" }}
      - secret:
          name: {{ $external.existingSecret }}
          items:
            - {key: {{ $external.urlKey }}, path: {{ $which }}-url}
      {{- end }}
{{- end }}
{{- if has "admin" $uses }}
- name: admin
  secret:
    secretName: {{ include "outcry.secretName" (dict "root" $root "kind" "admin") }}
    items:
      - {key: token, path: token}
{{- end }}
{{- if has "master-key" $uses }}
- name: master
  secret:
    secretName: {{ include "outcry.secretName" (dict "root" $root "kind" "master-key") }}
    items:
      - {key: master.key, path: master.key}
{{- end }}
{{- if and (has "demo-keys" $uses) $values.demo.enabled }}
- name: keys
  secret:
    secretName: {{ include "outcry.secretName" (dict "root" $root "kind" "demo-keys") }}
    items:
      - {key: keys.json, path: keys.json}
{{- end }}
{{- if has "flags" $uses }}
- name: flags
  configMap:
    name: {{ include "outcry.partName" . }}-flags
{{- end }}
{{- end -}}

{{/* The mounts of these volumes: each under /run/outcry/<volume>, tmp at /tmp. */}}
{{- define "outcry.volumeMounts" -}}
{{- range include "outcry.volumes" . | fromYamlArray }}
- name: {{ .name }}
  mountPath: {{ eq .name "tmp" | ternary "/tmp" (printf "/run/outcry/%s" .name) }}
  {{- if ne .name "tmp" }}
  readOnly: true
  {{- end }}
{{- end }}
{{- end -}}
