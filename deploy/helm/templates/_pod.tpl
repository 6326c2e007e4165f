{{- define "vecraft.variables" -}}
{{- $config := include "vecraft.config" . | fromYaml -}}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: NODE_NAME
  valueFrom:
    fieldRef:
      fieldPath: spec.nodeName
{{- if eq (include "vecraft.zoneFrom" .) "pod" }}
- name: VECRAFT__CLUSTER__ZONE
  valueFrom:
    fieldRef:
      fieldPath: metadata.labels['{{ .Values.zone.label }}']
{{- end }}
{{- if .Values.apiKey }}
{{ include "vecraft.keyVariable" (dict "root" . "variable" "VECRAFT__SERVICE__API_KEY" "value" .Values.apiKey "key" "api-key") }}
{{ include "vecraft.clientVariables" . }}
{{- end }}
{{- if .Values.readOnlyApiKey }}
{{ include "vecraft.keyVariable" (dict "root" . "variable" "VECRAFT__SERVICE__READ_ONLY_API_KEY" "value" .Values.readOnlyApiKey "key" "read-only-api-key") }}
{{- end }}
- name: VECRAFT_URL  # of this node, for `vecraft pod stop` and for whoever opens a shell here
  value: {{ ternary "https" "http" $config.service.enable_tls }}://localhost:{{ int $config.service.http_port }}
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Probes ask where no certificate is needed; call with (dict "root" $ "path" PATH "probe" VALUES). */}}
{{- define "vecraft.probe" -}}
{{- $service := (include "vecraft.config" .root | fromYaml).service -}}
{{- $plain := $service.verify_https_client_certificate -}}
httpGet:
  path: {{ .path }}
  port: {{ ternary "metrics" "http" $plain }}
  scheme: {{ ternary "HTTPS" "HTTP" (and $service.enable_tls (not $plain)) }}
{{ omit .probe "enabled" | toYaml }}
{{- end }}

{{/* Ports by name: (list NAME NUMBER), as YAML. */}}
{{- define "vecraft.ports" -}}
{{- $config := include "vecraft.config" . | fromYaml -}}
- name: http
  number: {{ int $config.service.http_port }}
{{- with $config.service.grpc_port }}
- name: grpc
  number: {{ int . }}
{{- end }}
{{- if $config.cluster.enabled }}
- name: p2p
  number: {{ int $config.cluster.p2p.port }}
{{- end }}
{{- with $config.service.metrics_port }}
- name: metrics
  number: {{ int . }}
{{- end }}
{{- end }}

{{/* Call with (dict "values" VALUES "selector" LABELS): spread and affinity of VALUES, for pods with LABELS. */}}
{{- define "vecraft.affinity" -}}
{{- if .values.affinity }}
{{- toYaml .values.affinity }}
{{- else if ne .values.spread.nodes "ignore" }}
podAntiAffinity:
  {{- if eq .values.spread.nodes "require" }}
  requiredDuringSchedulingIgnoredDuringExecution:
    - topologyKey: kubernetes.io/hostname
      labelSelector:
        matchLabels:
          {{- .selector | nindent 10 }}
  {{- else }}
  preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 100
      podAffinityTerm:
        topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels:
            {{- .selector | nindent 12 }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Likewise; "zone": the label of zones. */}}
{{- define "vecraft.spread" -}}
{{- if .values.topologySpreadConstraints }}
{{- toYaml .values.topologySpreadConstraints }}
{{- else if ne .values.spread.zones "ignore" }}
- topologyKey: {{ .zone }}
  maxSkew: 1
  whenUnsatisfiable: {{ ternary "DoNotSchedule" "ScheduleAnyway" (eq .values.spread.zones "require") }}
  labelSelector:
    matchLabels:
      {{- .selector | nindent 6 }}
{{- end }}
{{- end }}

{{- define "vecraft.podSecurityContext" -}}
{{- toYaml (ternary .Values.podSecurityContext (omit .Values.podSecurityContext "fsGroup" "fsGroupChangePolicy") .Values.updateVolumeFsOwnership) }}
{{- end }}

{{/* The token of the service account, for the containers that need it and no other. */}}
{{- define "vecraft.accountMount" -}}
- name: account
  mountPath: /var/run/secrets/kubernetes.io/serviceaccount
  readOnly: true
{{- end }}
{{- define "vecraft.accountVolume" -}}
- name: account
  projected:
    sources:
      - serviceAccountToken:
          path: token
          expirationSeconds: 3600
      - configMap:
          name: kube-root-ca.crt
          items:
            - key: ca.crt
              path: ca.crt
{{- end }}

{{- define "vecraft.tlsMount" -}}
- name: tls
  mountPath: /vecraft/tls
  readOnly: true
{{- end }}
{{- define "vecraft.tlsVolume" -}}
- name: tls
  secret:
    secretName: {{ include "vecraft.tlsSecret" . }}
    defaultMode: {{ ternary "0440" "0444" (hasKey (include "vecraft.podSecurityContext" . | fromYaml) "fsGroup") }}
{{- end }}

{{/* Call with (dict "name" NAME "values" VALUES). Says all that the API server would fill in. */}}
{{- define "vecraft.claim" -}}
- apiVersion: v1
  kind: PersistentVolumeClaim
  metadata:
    name: {{ .name }}
    {{- with .values.annotations }}
    annotations:
      {{- toYaml . | nindent 6 }}
    {{- end }}
  spec:
    accessModes: {{ toJson .values.accessModes }}
    volumeMode: Filesystem
    {{- with .values.storageClassName }}
    storageClassName: {{ . | quote }}
    {{- end }}
    resources:
      requests:
        storage: {{ .values.size }}
{{- end }}
