{{/* What all pods have in common. */}}

{{- define "noisy-student.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "noisy-student.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* How pyarrow and Ray reach the bucket, the same in every process. */}}
{{- define "noisy-student.objectStoreEnv" -}}
{{- with .Values.objectStore -}}
{{- with .region }}
- {name: AWS_DEFAULT_REGION, value: {{ . | quote }}}
{{- end }}
{{- with .endpointUrl }}
- {name: AWS_ENDPOINT_URL, value: {{ . | quote }}}
{{- end }}
{{- if not .instanceMetadata }}
- {name: AWS_EC2_METADATA_DISABLED, value: "true"}
{{- end }}
{{- end }}
{{- end }}

{{- define "noisy-student.objectStoreEnvFrom" -}}
{{- with .Values.objectStore.existingSecret }}
envFrom: [{secretRef: {name: {{ . }}}}]
{{- end }}
{{- end }}

{{- define "noisy-student.sharedMounts" -}}
{{- range .Values.sharedVolumes }}
- {name: {{ .name }}, mountPath: {{ .mountPath | quote }}, readOnly: {{ .readOnly | default false }}}
{{- end }}
{{- end }}

{{- define "noisy-student.sharedVolumes" -}}
{{- range .Values.sharedVolumes }}
- name: {{ .name }}
  {{- toYaml .source | nindent 2 }}
{{- end }}
{{- end }}

{{/* Where pods may run: nodeSelector, tolerations and affinity of one part's values. */}}
{{- define "noisy-student.placement" -}}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
