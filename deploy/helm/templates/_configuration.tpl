{{/* What the chart sets of the configuration; .Values.config wins. YAML. */}}
{{- define "vecraft.defaultConfig" -}}
{{- $p2p := and .Values.tls.enabled .Values.tls.p2p -}}
log_level: INFO
logger:
  format: json
storage:
  storage_path: /vecraft/storage
  snapshots_path: {{ ternary "/vecraft/snapshots" "/vecraft/storage/snapshots" .Values.snapshotPersistence.enabled }}
  collection:
    replication_factor: {{ min 2 (int .Values.replicaCount) }}
    write_consistency_factor: 1
service:
  http_port: 6333
  grpc_port: 6334
  metrics_port: 6336
  shutdown_delay_sec: 5
  enable_tls: {{ and .Values.tls.enabled .Values.tls.rest }}
  verify_https_client_certificate: {{ and .Values.tls.enabled .Values.tls.rest .Values.tls.verifyClients }}
  {{- if .Values.apiKey }}
  enforce_internal_auth: true
  {{- end }}
cluster:
  enabled: true
  p2p:
    port: 6335
    enable_tls: {{ $p2p }}
  consensus:
    bootstrap_timeout_sec: 600
{{- if .Values.tls.enabled }}
tls:
  cert: /vecraft/tls/tls.crt
  key: /vecraft/tls/tls.key
  ca_cert: /vecraft/tls/ca.crt
{{- end }}
{{- end }}

{{- define "vecraft.config" -}}
{{- mustMergeOverwrite (include "vecraft.defaultConfig" . | fromYaml) (deepCopy .Values.config) | toYaml }}
{{- end }}

{{/* Where the zone comes from: pod, node or none. */}}
{{- define "vecraft.zoneFrom" -}}
{{- $config := include "vecraft.config" . | fromYaml -}}
{{- if or (not $config.cluster.enabled) $config.cluster.zone -}}
none
{{- else if ne .Values.zone.from "auto" -}}
{{ .Values.zone.from }}
{{- else if semverCompare ">=1.35.0-0" .Capabilities.KubeVersion.Version -}}
pod
{{- else -}}
node
{{- end }}
{{- end }}

{{- define "vecraft.restorationPath" -}}
{{- .Values.snapshotRestoration.mountPath | default (printf "%s/restoration" (include "vecraft.config" . | fromYaml).storage.snapshots_path) }}
{{- end }}

{{/* Pods that may be missing at a time. */}}
{{- define "vecraft.maxUnavailable" -}}
{{- $collection := (include "vecraft.config" . | fromYaml).storage.collection -}}
{{- $replicas := min (int $collection.replication_factor) (int .Values.replicaCount) -}}
{{- $needed := max 1 (int $collection.write_consistency_factor) -}}
{{- $minority := div (sub (int .Values.replicaCount) 1) 2 -}}
{{- max 1 (min (sub $replicas $needed) $minority) -}}
{{- end }}

{{/* Values that contradict each other: what would go wrong later is said now. */}}
{{- define "vecraft.check" -}}
{{- $config := include "vecraft.config" . | fromYaml -}}
{{- range $key := list "api_key" "alt_api_key" "read_only_api_key" -}}
{{- if index $config.service $key -}}
{{- fail (printf "config.service.%s would stand in a ConfigMap for all to read: use apiKey and readOnlyApiKey, or env with a Secret." $key) -}}
{{- end -}}
{{- end -}}
{{- if and (not $config.cluster.enabled) (gt (int .Values.replicaCount) 1) -}}
{{- fail (printf "replicaCount is %d, but config.cluster.enabled is false: the pods would be databases of their own. Set replicaCount: 1, or leave cluster.enabled alone." (int .Values.replicaCount)) -}}
{{- end -}}
{{- if and .Values.tls.enabled (not .Values.tls.secretName) (not .Values.tls.certManager.enabled) -}}
{{- fail "tls.enabled needs certificates: name a Secret in tls.secretName, or set tls.certManager.enabled: true." -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled (not $config.service.metrics_port) -}}
{{- fail "metrics.serviceMonitor scrapes config.service.metrics_port, which is switched off." -}}
{{- end -}}
{{- if and .Values.metrics.prometheusRule.enabled $config.service.metrics_prefix -}}
{{- fail "metrics.prometheusRule knows the metrics by their own names: leave config.service.metrics_prefix unset." -}}
{{- end -}}
{{- if and .Values.metrics.dashboard.enabled $config.service.metrics_prefix -}}
{{- fail "metrics.dashboard knows the metrics by their own names: leave config.service.metrics_prefix unset." -}}
{{- end -}}
{{- if and $config.service.verify_https_client_certificate (not $config.service.metrics_port) -}}
{{- fail "With verify_https_client_certificate probes are answered on config.service.metrics_port alone, which is switched off." -}}
{{- end -}}
{{- if and .Values.backup.enabled (not $config.cluster.enabled) -}}
{{- fail "backup.enabled backs a cluster up; a node on its own has snapshots." -}}
{{- end -}}
{{- if ge (int .Values.backup.ordinal) (int .Values.replicaCount) -}}
{{- fail (printf "backup.ordinal is %d, but the pods' ordinals go to %d." (int .Values.backup.ordinal) (sub (int .Values.replicaCount) 1)) -}}
{{- end -}}
{{- if and .Values.snapshotRestoration.enabled (not .Values.snapshotRestoration.pvcName) -}}
{{- fail "snapshotRestoration.enabled needs snapshotRestoration.pvcName, the claim on which the snapshots lie." -}}
{{- end -}}
{{- if .Values.snapshotRestoration.enabled -}}
{{- $root := printf "%s/" $config.storage.snapshots_path -}}
{{- if not (hasPrefix $root (include "vecraft.restorationPath" .)) -}}
{{- fail (printf "snapshotRestoration.mountPath must lie below %s: nodes read snapshots nowhere else." $root) -}}
{{- end -}}
{{- end -}}
{{- if and (or $config.service.enable_tls $config.cluster.p2p.enable_tls) (not .Values.tls.enabled) (not (hasKey .Values.config "tls")) -}}
{{- fail "config asks for TLS, but nothing brings certificates: set tls.enabled, or config.tls and a volume of your own." -}}
{{- end -}}
{{- if and .Values.router.enabled (not $config.cluster.enabled) -}}
{{- fail "router.enabled needs a cluster: leave config.cluster.enabled alone." -}}
{{- end -}}
{{- if $config.cluster.router -}}
{{- fail "config.cluster.router would make routers of the nodes: router.enabled makes routers beside them." -}}
{{- end -}}
{{- if and .Values.router.enabled .Values.router.autoscaling.enabled -}}
{{- if not (dig "requests" "cpu" "" .Values.router.resources) -}}
{{- fail "router.autoscaling counts shares of router.resources.requests.cpu, which is not set." -}}
{{- end -}}
{{- if gt (int .Values.router.autoscaling.minReplicas) (int .Values.router.autoscaling.maxReplicas) -}}
{{- fail "router.autoscaling.minReplicas is more than maxReplicas." -}}
{{- end -}}
{{- end -}}
{{- if and .Values.podDisruptionBudget.minAvailable .Values.podDisruptionBudget.maxUnavailable -}}
{{- fail "podDisruptionBudget takes minAvailable or maxUnavailable, not both." -}}
{{- end -}}
{{- end }}
