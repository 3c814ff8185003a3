{{/* The YAML files that settings name. The trial archive is a destination like any other. */}}
{{- define "sentinode.files" -}}
{{- with .Values.routes }}
routes.yaml: |
  {{- toYaml (dict "rules" .) | nindent 2 }}
{{- end }}
{{- $destinations := .Values.destinations | default list }}
{{- if .Values.orthanc.enabled }}
{{- $url := printf "http://%s-orthanc:8042/dicom-web" (include "sentinode.fullname" .) }}
{{- $secret := "/etc/sentinode/secrets/orthanc/password" }}
{{- $orthanc := dict "name" "trial-archive" "protocol" "stow" "url" $url "username" "sentinode" "password_file" $secret "confirm" "qido" }}
{{- $destinations = append $destinations $orthanc }}
{{- end }}
{{- with $destinations }}
destinations.yaml: |
  {{- toYaml (dict "destinations" .) | nindent 2 }}
{{- end }}
{{- with .Values.peers }}
peers.yaml: |
  {{- toYaml (dict "peers" .) | nindent 2 }}
{{- end }}
{{- with .Values.priors }}
priors.yaml: |
  {{- toYaml (dict "priors" .) | nindent 2 }}
{{- end }}
{{- end -}}
