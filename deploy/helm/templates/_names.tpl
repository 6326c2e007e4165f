{{- define "vecraft.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{/* The release's name, once, whatever it is called; short enough for what is appended. */}}
{{- define "vecraft.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 45 | trimSuffix "-" }}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 45 | trimSuffix "-" }}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 45 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "vecraft.headless" -}}
{{ include "vecraft.fullname" . }}-headless
{{- end }}

{{- define "vecraft.account" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "vecraft.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "vecraft.release" -}}
app.kubernetes.io/name: {{ include "vecraft.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* What the nodes' pods are selected by, and no other of the release: this must never change. */}}
{{- define "vecraft.selector" -}}
{{ include "vecraft.release" . }}
app.kubernetes.io/component: node
{{- end }}

{{/* Likewise, what the routers' pods are selected by. */}}
{{- define "vecraft.routerSelector" -}}
{{ include "vecraft.release" . }}
app.kubernetes.io/component: router
{{- end }}

{{- define "vecraft.router" -}}
{{ include "vecraft.fullname" . }}-router
{{- end }}

{{/* Of an object; call with (dict "root" $ "component" NAME). */}}
{{- define "vecraft.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{ include "vecraft.release" .root }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- with .root.Values.additionalLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Of a pod: without the chart's version, since another one alone is to restart nobody. */}}
{{- define "vecraft.podLabels" -}}
{{ include "vecraft.release" .root }}
app.kubernetes.io/component: {{ .component }}
{{- with .root.Values.additionalLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The beginning of a namespaced object's metadata; call with (dict "root" $ "component" NAME "suffix" "-TEXT"). */}}
{{- define "vecraft.metadata" -}}
name: {{ include "vecraft.fullname" .root }}{{ .suffix }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "vecraft.labels" . | nindent 2 }}
{{- end }}

{{- define "vecraft.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{/* A pod's name in the cluster's DNS; call with (dict "root" $ "pod" NAME). */}}
{{- define "vecraft.host" -}}
{{ .pod }}.{{ include "vecraft.headless" .root }}.{{ .root.Release.Namespace }}.svc.{{ .root.Values.clusterDomain }}
{{- end }}

{{/* Likewise, at which other nodes reach it. */}}
{{- define "vecraft.uri" -}}
{{- $config := include "vecraft.config" .root | fromYaml -}}
{{ ternary "https" "http" $config.cluster.p2p.enable_tls }}://{{ include "vecraft.host" . }}:{{ int $config.cluster.p2p.port }}
{{- end }}

{{/* Likewise, for REST. */}}
{{- define "vecraft.url" -}}
{{- $config := include "vecraft.config" .root | fromYaml -}}
{{ ternary "https" "http" $config.service.enable_tls }}://{{ include "vecraft.host" . }}:{{ int $config.service.http_port }}
{{- end }}

{{/* The URL of one pod by its ordinal; call with (dict "root" $ "ordinal" N). */}}
{{- define "vecraft.urlOf" -}}
{{- include "vecraft.url" (dict "root" .root "pod" (printf "%s-%d" (include "vecraft.fullname" .root) (int .ordinal))) }}
{{- end }}

{{/* By which clients and other nodes reach nodes: what a certificate has to be for. A list, YAML. */}}
{{- define "vecraft.names" -}}
{{- $service := printf "%s.%s" (include "vecraft.fullname" .) .Release.Namespace -}}
- "*.{{ include "vecraft.headless" . }}.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}"
- {{ $service }}.svc.{{ .Values.clusterDomain }}
- {{ $service }}.svc
- {{ $service }}
- {{ include "vecraft.fullname" . }}
{{- if .Values.router.enabled }}
{{- $routers := printf "%s.%s" (include "vecraft.router" .) .Release.Namespace }}
- {{ $routers }}.svc.{{ .Values.clusterDomain }}
- {{ $routers }}.svc
- {{ $routers }}
- {{ include "vecraft.router" . }}
{{- end }}
- localhost
{{- end }}
