{{- define "vecraft.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{/* The release's name, once, whatever it is called. */}}
{{- define "vecraft.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "vecraft.headless" -}}
{{ include "vecraft.fullname" . }}-headless
{{- end }}

{{/* What a pod is selected by: this must never change. */}}
{{- define "vecraft.selector" -}}
app.kubernetes.io/name: {{ include "vecraft.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "vecraft.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "vecraft.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.additionalLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* At which other peers reach a pod; call with (dict "root" $ "pod" NAME). */}}
{{- define "vecraft.uri" -}}
http://{{ include "vecraft.host" . }}:6335
{{- end }}

{{/* The name of one pod within the cluster; call with (dict "root" $ "pod" NAME). */}}
{{- define "vecraft.host" -}}
{{ .pod }}.{{ include "vecraft.headless" .root }}.{{ .root.Release.Namespace }}.svc.{{ .root.Values.clusterDomain }}
{{- end }}
