{{/*
The pod of a Job that runs `vecraft` commands against nodes, one after another. Call with (dict "root" $ "component"
NAME "url" URL "commands" (list (list WORD …) …) "values" VALUES): resources, nodeSelector, tolerations of VALUES.
"mounts" and "volumes": further ones, YAML.
*/}}
{{- define "vecraft.jobPod" -}}
metadata:
  labels:
    {{- include "vecraft.podLabels" . | nindent 4 }}
spec:
  {{- include "vecraft.jobPodSpec" . | nindent 2 }}
{{- end }}

{{- define "vecraft.jobPodSpec" -}}
restartPolicy: {{ .restartPolicy | default "Never" }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- include "vecraft.podSecurityContext" .root | nindent 2 }}
{{- $commands := .commands }}
{{- $job := . }}
{{- with initial $commands }}
initContainers:
  {{- range $place, $words := . }}
  {{- include "vecraft.jobContainer" (merge (dict "name" (printf "step-%d" $place) "words" $words) $job) | nindent 2 }}
  {{- end }}
{{- end }}
containers:
  {{- include "vecraft.jobContainer" (merge (dict "name" "vecraft" "words" (last $commands)) .) | nindent 2 }}
volumes:
  - name: run
    emptyDir: {}
  - name: tmp
    emptyDir: {}
  {{- if .root.Values.tls.enabled }}
  {{- include "vecraft.tlsVolume" .root | nindent 2 }}
  {{- end }}
  {{- with .volumes }}
  {{- . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "vecraft.jobContainer" -}}
- name: {{ .name }}
  image: {{ include "vecraft.image" .root }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  command: [vecraft]
  args:
    {{- range .words }}
    - {{ . | quote }}
    {{- end }}
    {{- with include "vecraft.clientArguments" .root }}
    {{- . | trim | nindent 4 }}
    {{- end }}
  workingDir: /vecraft/run
  env:
    - name: VECRAFT_URL
      value: {{ .url }}
    {{- with include "vecraft.clientVariables" .root }}
    {{- . | trim | nindent 4 }}
    {{- end }}
  {{- with .values.resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- toYaml .root.Values.containerSecurityContext | nindent 4 }}
  volumeMounts:
    - name: run
      mountPath: /vecraft/run
    - name: tmp
      mountPath: /tmp
    {{- if .root.Values.tls.enabled }}
    {{- include "vecraft.tlsMount" .root | nindent 4 }}
    {{- end }}
    {{- with .mounts }}
    {{- . | nindent 4 }}
    {{- end }}
{{- end }}
