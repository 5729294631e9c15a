{{- /* The release's name, with forq in it. */ -}}
{{- define "forq.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "forq.operator" -}}
{{ include "forq.fullname" . }}-operator
{{- end -}}

{{- define "forq.account" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "forq.operator" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name: name the ServiceAccount to use, or let the chart make one (serviceAccount.create: true)" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- /* What the operator's pods are selected by: it must never change. */ -}}
{{- define "forq.selector" -}}
app.kubernetes.io/name: forq-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "forq.labels" -}}
{{ include "forq.selector" . }}
app.kubernetes.io/part-of: forq
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "forq.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{- define "forq.subjects" -}}
- kind: ServiceAccount
  name: {{ include "forq.account" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}
