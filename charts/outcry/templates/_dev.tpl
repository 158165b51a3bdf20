{{/* The small instances of Kafka, PostgreSQL and Redis that come with the release in mode dev. */}}

{{/* Image and pull policy of one: dict "root" $ "dev" (its block). */}}
{{- define "outcry.devImage" -}}
image: {{ include "outcry.image" (dict "root" .root "layers" (list .dev.image)) }}
imagePullPolicy: {{ .dev.image.pullPolicy | default .root.Values.image.pullPolicy }}
{{- end -}}

{{- define "outcry.devSpec" -}}
replicas: 1
revisionHistoryLimit: 1
serviceName: {{ include "outcry.partName" . }}
selector:
  matchLabels:
    {{- include "outcry.selector" . | nindent 4 }}
{{- end -}}

{{- define "outcry.devPodSpec" -}}
{{- include "outcry.pullSecrets" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .user }}
  runAsGroup: {{ .user }}
  fsGroup: {{ .user }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .dev.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .dev.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "outcry.devSecurityContext" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{/* A volume that goes with the release. */}}
{{- define "outcry.devClaim" -}}
persistentVolumeClaimRetentionPolicy: {whenDeleted: Delete, whenScaled: Retain}
volumeClaimTemplates:
  - metadata:
      name: data
      labels:
        {{- include "outcry.selector" . | nindent 8 }}
    spec:
      accessModes: [ReadWriteOnce]
      {{- with .dev.storage.className }}
      storageClassName: {{ . }}
      {{- end }}
      resources:
        requests:
          storage: {{ .dev.storage.size }}
{{- end -}}

{{- define "outcry.devService" -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "outcry.metadata" . | nindent 2 }}
spec:
  clusterIP: None
  publishNotReadyAddresses: {{ .early }}
  selector:
    {{- include "outcry.selector" . | nindent 4 }}
  ports:
    - name: {{ .port.name }}
      port: {{ .port.number }}
      targetPort: {{ .port.name }}
{{- end -}}
