{{/*
How long an attempt waits for nodes, in seconds: the service's setting, and what Ray's own limits follow from.
*/}}
{{- define "noisy-student.patience" -}}
{{- $patience := dig "schedule_timeout_seconds" false (.Values.settings.reconciler | default dict) -}}
{{- if not $patience -}}
{{- fail "settings.reconciler.schedule_timeout_seconds is missing: how long an attempt waits for nodes, in seconds" -}}
{{- end -}}
{{- if le (float64 $patience) (float64 .Values.ray.autoscaler.podWaitSeconds) -}}
{{- fail (printf "settings.reconciler.schedule_timeout_seconds is %v, but must exceed ray.autoscaler.podWaitSeconds, %v: attempts would end before a second group of nodes is tried" $patience .Values.ray.autoscaler.podWaitSeconds) -}}
{{- end -}}
{{- $patience -}}
{{- end }}

{{/*
The environment of the head alone, as a list, without what ray.env sets. Ray ends a driver that has not started within
RAY_JOB_START_TIMEOUT_SECONDS (its default is 900), so this is later than the service does.
*/}}
{{- define "noisy-student.headEnv" -}}
{{- $patience := include "noisy-student.patience" . | float64 | ceil | int64 -}}
{{- $env := list (dict "name" "RAY_JOB_START_TIMEOUT_SECONDS" "value" (add $patience 300 | toString)) -}}
{{- with .Values.ray.grafana -}}
{{- $env = append $env (dict "name" "RAY_GRAFANA_HOST" "value" (.url | default "DISABLED")) -}}
{{- if .url -}}
{{- $env = append $env (dict "name" "RAY_GRAFANA_IFRAME_HOST" "value" (.browserUrl | default .url)) -}}
{{- $env = append $env (dict "name" "RAY_PROMETHEUS_NAME" "value" .datasource) -}}
{{- if not .prometheusUrl -}}
{{- fail "ray.grafana.prometheusUrl is missing: Ray's dashboard shows Grafana's panels only while it reaches Prometheus" -}}
{{- end -}}
{{- $env = append $env (dict "name" "RAY_PROMETHEUS_HOST" "value" .prometheusUrl) -}}
{{- end -}}
{{- end -}}
{{- $theirs := list -}}
{{- range .Values.ray.env -}}{{- $theirs = append $theirs .name -}}{{- end -}}
{{- $ours := list -}}
{{- range $env -}}{{- if not (has .name $theirs) -}}{{- $ours = append $ours . -}}{{- end -}}{{- end -}}
{{- toJson $ours -}}
{{- end }}

{{/* The labels of a group's nodes, by which stages choose them. */}}
{{- define "noisy-student.nodeLabels" -}}
{{- with .values.labels }}
{{- toYaml . }}
{{- end }}
noisy-student.io/group: {{ .group }}
{{- if .values.gpus }}
noisy-student.io/accelerator: gpu
{{- end }}
ray.io/market-type: {{ ternary "spot" "on-demand" (.values.spot | default false) }}
{{- end }}

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
