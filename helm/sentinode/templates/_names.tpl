{{/* Names, labels and images. "Component" below is a dict: root, name, values, image, ... */}}

{{- define "sentinode.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains $name .Release.Name -}}
{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{- define "sentinode.componentName" -}}
{{ include "sentinode.fullname" .root }}-{{ .name }}
{{- end -}}

{{- define "sentinode.instanceLabels" -}}
app.kubernetes.io/name: {{ .Values.nameOverride | default .Chart.Name | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "sentinode.selectorLabels" -}}
{{ include "sentinode.instanceLabels" .root }}
app.kubernetes.io/component: {{ .name }}
{{- end -}}

{{- define "sentinode.labels" -}}
{{ include "sentinode.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* root, image, ours: whether image.tag and the chart's appVersion apply */}}
{{- define "sentinode.image" -}}
{{- $global := .root.Values.image -}}
{{- $name := .image.repository -}}
{{- if $global.registry -}}
{{- $name = printf "%s/%s" (trimSuffix "/" $global.registry) $name -}}
{{- end -}}
{{- if .image.digest -}}
{{ $name }}@{{ .image.digest }}
{{- else -}}
{{ $name }}:{{ .image.tag | default $global.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "sentinode.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "sentinode.fullname" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end -}}

{{/* API groups that moved: what the cluster serves, offline the newest. */}}
{{- define "sentinode.pdbVersion" -}}
{{- if .Capabilities.APIVersions.Has "policy/v1" -}}policy/v1{{- else -}}policy/v1beta1{{- end -}}
{{- end -}}
{{- define "sentinode.hpaVersion" -}}
{{- if .Capabilities.APIVersions.Has "autoscaling/v2" -}}autoscaling/v2{{- else -}}autoscaling/v2beta2{{- end -}}
{{- end -}}
{{- define "sentinode.keda" -}}
{{- if .Capabilities.APIVersions.Has "keda.sh/v1alpha1" -}}true{{- end -}}
{{- end -}}
{{/* Whether KEDA asks the broker how much waits. */}}
{{- define "sentinode.scaledByKEDA" -}}
{{- $workers := .Values.workers -}}
{{- if and (include "sentinode.keda" .) (or $workers.analysis.autoscaling.enabled (and $workers.delivery.enabled $workers.delivery.autoscaling.enabled)) -}}true{{- end -}}
{{- end -}}
