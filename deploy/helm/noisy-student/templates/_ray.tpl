{{/* What Ray's head and nodes have in common: the context, and further environment of one group. KubeRay adds the
command, the token, the probes, /dev/shm, and /tmp/ray on the head. */}}
{{- define "noisy-student.rayContainer" -}}
env:
  - {name: HOME, value: /tmp}
  {{- with include "noisy-student.objectStoreEnv" .context | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with concat .context.Values.ray.env (.env | default list) }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- include "noisy-student.objectStoreEnvFrom" .context }}
securityContext: {{- include "noisy-student.containerSecurity" .context | nindent 2 }}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
  {{- with include "noisy-student.sharedMounts" .context | trim }}
  {{- . | nindent 2 }}
  {{- end }}
{{- end }}
