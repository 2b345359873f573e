{{/*
Names and labels. KubeRay refuses a RayCluster's name of more than 53 characters, or one that begins with a digit; a
Service's may have 63. The longest suffix of ours is "-reconciler".
*/}}
{{- define "noisy-student.fullname" -}}
{{- $name := .Values.fullnameOverride | default (contains .Chart.Name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name)) -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) -}}
{{- fail (printf "the name %q must begin with a letter and have letters, digits and hyphens only, because KubeRay names pods by it: choose another release name, or set fullnameOverride" $name) -}}
{{- end -}}
{{- if gt (len $name) 40 -}}
{{- printf "%s-%s" ($name | trunc 31 | trimSuffix "-") (sha256sum $name | trunc 8) -}}
{{- else -}}
{{- $name -}}
{{- end -}}
{{- end }}

{{- define "noisy-student.rayCluster" -}}{{ include "noisy-student.fullname" . }}-ray{{- end }}
{{- define "noisy-student.rayHeadService" -}}{{ include "noisy-student.rayCluster" . }}-head-svc{{- end }}

{{- define "noisy-student.rayTokenSecret" -}}
{{ .Values.secrets.rayToken.existingSecret | default (printf "%s-ray-token" (include "noisy-student.fullname" .)) }}
{{- end }}

{{- define "noisy-student.sealingSecret" -}}
{{ .Values.secrets.sealingKeys.existingSecret | default (printf "%s-sealing" (include "noisy-student.fullname" .)) }}
{{- end }}

{{- define "noisy-student.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "noisy-student.labels" -}}
{{ include "noisy-student.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* An image: a value of `images`, and the context for the version. */}}
{{- define "noisy-student.image" -}}
{{ .image.repository }}:{{ .image.tag | default .context.Chart.AppVersion }}
{{- end }}
