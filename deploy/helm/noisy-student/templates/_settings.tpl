{{/*
The service's settings as environment variables. Values of `settings` pass through by their own names: two underscores
follow a group, and what is not text is JSON. The others follow from the chart's own values. The API and the reconciler
have the same, because they share one database, one artifact root and the keys of stored secrets.
*/}}
{{- define "noisy-student.settings" -}}
{{- range $name, $value := .Values.settings }}
{{- if kindIs "map" $value }}
{{- range $inner, $each := $value }}
- {name: NOISY_STUDENT_{{ upper $name }}__{{ upper $inner }}, value: {{ include "noisy-student.settingText" $each | quote }}}
{{- end }}
{{- else }}
- {name: NOISY_STUDENT_{{ upper $name }}, value: {{ include "noisy-student.settingText" $value | quote }}}
{{- end }}
{{- end }}
- {name: NOISY_STUDENT_HOME, value: /tmp/noisy-student}
- {name: NOISY_STUDENT_ARTIFACT_ROOT, value: {{ include "noisy-student.artifactRoot" . | quote }}}
- {name: NOISY_STUDENT_RAY__JOBS_URL, value: "http://{{ include "noisy-student.rayHeadService" . }}:8265"}
{{- if .Values.ray.grafana.url }}
- {name: NOISY_STUDENT_RAY__GRAFANA_URL, value: {{ .Values.ray.grafana.browserUrl | default .Values.ray.grafana.url | quote }}}
{{- end }}
- {name: NOISY_STUDENT_PLACEMENT__NODE_GROUPS, value: {{ include "noisy-student.nodeGroups" . | fromJsonArray | toJson | quote }}}
- {name: NOISY_STUDENT_SERVER__HOST, value: 0.0.0.0}
- {name: NOISY_STUDENT_SERVER__PORT, value: "8000"}
- {name: NOISY_STUDENT_ACCESS__AUTHENTICATION, value: "true"}
- {name: NOISY_STUDENT_METRICS__HOST, value: 0.0.0.0}
- {name: NOISY_STUDENT_METRICS__API_PORT, value: "9464"}
- {name: NOISY_STUDENT_METRICS__RECONCILER_PORT, value: "9464"}
- {name: NOISY_STUDENT_METRICS__PROCESSES, value: "1"}
- {name: NOISY_STUDENT_SECRET_KEYS_FILE, value: "/run/noisy-student/{{ .Values.secrets.sealingKeys.key }}"}
- name: NOISY_STUDENT_DATABASE_URL
  valueFrom: {secretKeyRef: {name: {{ include "noisy-student.databaseSecret" . }}, key: {{ .Values.database.key }}}}
- name: NOISY_STUDENT_RAY__AUTH_TOKEN
  valueFrom: {secretKeyRef: {name: {{ include "noisy-student.rayTokenSecret" . }}, key: auth_token}}
{{- end }}

{{- define "noisy-student.settingText" -}}
{{ kindIs "string" . | ternary . (toJson .) }}
{{- end }}

{{/* The groups of Ray nodes, as KubeRay starts them: it rounds CPUs up. */}}
{{- define "noisy-student.nodeGroups" -}}
{{- $found := list -}}
{{- range $group, $values := .Values.ray.groups -}}
{{- $cpu := toString $values.cpu -}}
{{- $cpus := hasSuffix "m" $cpu | ternary (divf (trimSuffix "m" $cpu | float64) 1000) (float64 $cpu) | ceil -}}
{{- $labels := merge (dict) (include "noisy-student.nodeLabels" (dict "group" $group "values" $values) | fromYaml) -}}
{{- $found = append $found (dict "name" $group "cpus" $cpus "gpus" ($values.gpus | default 0) "max_nodes" $values.maxReplicas "labels" $labels) -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}

{{- define "noisy-student.databaseSecret" -}}
{{- required "database.existingSecret is missing. The service keeps its state in a PostgreSQL that you run: `kubectl create secret generic noisy-student-database --from-literal=url=postgresql://USER:PASSWORD@HOST:5432/DATABASE`, then --set database.existingSecret=noisy-student-database" .Values.database.existingSecret -}}
{{- end }}

{{- define "noisy-student.artifactRoot" -}}
{{- $root := required "artifactRoot is missing: s3://BUCKET/PATH or gs://BUCKET/PATH, which API, reconciler and Ray nodes can write to; or a path on one of sharedVolumes" .Values.artifactRoot -}}
{{- if hasPrefix "/" $root -}}
{{- $found := false -}}
{{- range .Values.sharedVolumes -}}
{{- if and (not .readOnly) (or (eq $root .mountPath) (hasPrefix (printf "%s/" (trimSuffix "/" .mountPath)) $root)) -}}
{{- $found = true -}}
{{- end -}}
{{- end -}}
{{- if not $found -}}
{{- fail (printf "artifactRoot %q lies on none of sharedVolumes that can be written to: the pods would each have a folder of their own" $root) -}}
{{- end -}}
{{- end -}}
{{- $root -}}
{{- end }}
