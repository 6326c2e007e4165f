{{/* What the chart sets of the configuration; .Values.config wins. YAML. */}}
{{- define "vecraft.defaultConfig" -}}
log_level: INFO
logger:
  format: json
storage:
  storage_path: /vecraft/storage
  snapshots_path: {{ ternary "/vecraft/snapshots" "/vecraft/storage/snapshots" .Values.snapshotPersistence.enabled }}
  collection:
    replication_factor: {{ min 2 (int .Values.replicaCount) }}
service:
  http_port: 6333
  grpc_port: 6334
  metrics_port: 6336
cluster:
  enabled: true
  p2p:
    port: 6335
  consensus:
    bootstrap_timeout_sec: 600
{{- end }}

{{- define "vecraft.config" -}}
{{- mustMergeOverwrite (include "vecraft.defaultConfig" . | fromYaml) (deepCopy .Values.config) | toYaml }}
{{- end }}
