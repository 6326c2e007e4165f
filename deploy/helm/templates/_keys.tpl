{{/*
A variable that holds a key; call with (dict "root" $ "variable" NAME "value" .Values.apiKey "key" "api-key").
*/}}
{{- define "vecraft.keyVariable" -}}
- name: {{ .variable }}
  valueFrom:
    secretKeyRef:
      {{- if kindIs "map" .value }}
      {{- toYaml .value.valueFrom.secretKeyRef | nindent 6 }}
      {{- else }}
      name: {{ include "vecraft.fullname" .root }}-keys
      key: {{ .key }}
      {{- end }}
{{- end }}

{{/* Is a key in the release's own Secret? Call with the value. */}}
{{- define "vecraft.keyIsOurs" -}}
{{- if and . (not (kindIs "map" .)) }}yes{{ end }}
{{- end }}

{{/* What a container of the chart's own jobs asks nodes with: variables. */}}
{{- define "vecraft.clientVariables" -}}
{{- if .Values.apiKey }}
{{- include "vecraft.keyVariable" (dict "root" . "variable" "VECRAFT_API_KEY" "value" .Values.apiKey "key" "api-key") }}
{{- end }}
{{- end }}

{{/* Likewise: arguments, as items of a list. */}}
{{- define "vecraft.clientArguments" -}}
{{- $config := include "vecraft.config" . | fromYaml -}}
{{- if $config.service.enable_tls }}
- --ca-cert
- {{ dig "tls" "ca_cert" "/vecraft/tls/ca.crt" $config }}
{{- if $config.service.verify_https_client_certificate }}
- --cert
- {{ dig "tls" "cert" "/vecraft/tls/tls.crt" $config }}
- --cert-key
- {{ dig "tls" "key" "/vecraft/tls/tls.key" $config }}
{{- end }}
{{- end }}
{{- end }}

{{- define "vecraft.tlsSecret" -}}
{{- .Values.tls.secretName | default (printf "%s-tls" (include "vecraft.fullname" .)) }}
{{- end }}
