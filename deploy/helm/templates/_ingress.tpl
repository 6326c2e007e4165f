{{/* Who may ask REST and gRPC, and scrape: rules of a NetworkPolicy, the same for nodes and routers. */}}
{{- define "vecraft.clientIngress" -}}
{{- $config := include "vecraft.config" . | fromYaml -}}
- ports:
    - port: http
      protocol: TCP
    {{- if $config.service.grpc_port }}
    - port: grpc
      protocol: TCP
    {{- end }}
  {{- with .Values.networkPolicy.clients }}
  from:
    - podSelector:  # this release's own jobs
        matchLabels:
          {{- include "vecraft.release" $ | nindent 10 }}
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- if $config.service.metrics_port }}
- ports:
    - port: metrics
      protocol: TCP
  {{- with .Values.networkPolicy.metrics }}
  from:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- with .Values.networkPolicy.additionalIngress }}
{{ toYaml . }}
{{- end }}
{{- end }}
