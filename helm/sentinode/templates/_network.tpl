{{/* Pieces of network policies. */}}

{{/* component: whose pods; root, annotations */}}
{{- define "sentinode.networkPolicyHead" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "sentinode.componentName" . }}
  labels:
    {{- include "sentinode.labels" . | nindent 4 }}
  {{- with .annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  podSelector:
    matchLabels:
      {{- include "sentinode.selectorLabels" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
{{- end -}}

{{/* A list of NetworkPolicyPeers: the release's pods of these components. root, names */}}
{{- define "sentinode.pods" -}}
- podSelector:
    matchLabels:
      {{- include "sentinode.instanceLabels" .root | nindent 6 }}
    matchExpressions:
      - {key: app.kubernetes.io/component, operator: In, values: {{ .names | toJson }}}
{{- end -}}

{{- define "sentinode.cidrs" -}}
{{- range . }}
- ipBlock: {cidr: {{ . | quote }}}
{{- end }}
{{- end -}}

{{/* A list of NetworkPolicyPeers: where archives are; nothing where that is nowhere. */}}
{{- define "sentinode.archivePeers" -}}
{{- include "sentinode.cidrs" .Values.networkPolicy.archiveCIDRs }}
{{- with .Values.networkPolicy.archiveTo }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "sentinode.egressDNS" -}}
- ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
{{- end -}}

{{- define "sentinode.egressDatabase" -}}
{{- if eq .Values.database.kind "postgresql" }}
- ports:
    - {protocol: TCP, port: {{ include "sentinode.databasePort" . }}}
{{- if .Values.postgresql.enabled }}
  to:
    {{- include "sentinode.pods" (dict "root" . "names" (list "postgresql")) | nindent 4 }}
{{- else }}
{{- with .Values.networkPolicy.databaseTo }}
  to:
    {{- toYaml . | nindent 4 }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "sentinode.egressBroker" -}}
- ports:
    - {protocol: TCP, port: {{ include "sentinode.brokerPort" . }}}
{{- if .Values.redis.enabled }}
  to:
    {{- include "sentinode.pods" (dict "root" . "names" (list "redis")) | nindent 4 }}
{{- else }}
{{- with .Values.networkPolicy.brokerTo }}
  to:
    {{- toYaml . | nindent 4 }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "sentinode.egressTriton" -}}
{{- if .Values.triton.enabled }}
- ports:
    - {protocol: TCP, port: 8001}
  to:
    {{- include "sentinode.pods" (dict "root" . "names" (list "triton")) | nindent 4 }}
{{- else }}
{{- $ports := list }}
{{- range splitList "," .Values.triton.url }}
{{- $ports = append $ports (regexFind "[0-9]+$" (trim .)) }}
{{- end }}
- ports:
{{- range $ports | uniq }}
    - {protocol: TCP, port: {{ . }}}
{{- end }}
{{- with .Values.networkPolicy.tritonTo }}
  to:
    {{- toYaml . | nindent 4 }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "sentinode.egressOrthanc" -}}
{{- if .Values.orthanc.enabled }}
- ports:
    - {protocol: TCP, port: 8042}
  to:
    {{- include "sentinode.pods" (dict "root" . "names" (list "orthanc")) | nindent 4 }}
{{- end }}
{{- end -}}

{{- define "sentinode.egressArchives" -}}
{{- include "sentinode.egressTo" (dict "root" . "ports" (include "sentinode.archivePorts" . | fromJsonArray)) }}
{{- end -}}

{{/* The archive whose images the viewer shows, where it is not the trial's. */}}
{{- define "sentinode.egressViewer" -}}
{{- with (.Values.settings).orthanc_url }}
{{- include "sentinode.egressTo" (dict "root" $ "ports" (list (include "sentinode.urlPort" .))) }}
{{- end }}
{{- end -}}

{{/* root, ports. An empty `to` would be a rule that lets everything out. */}}
{{- define "sentinode.egressTo" -}}
{{- $peers := include "sentinode.archivePeers" .root | trim -}}
{{- if and .ports $peers }}
- ports:
{{- range .ports }}
    - {protocol: TCP, port: {{ int . }}}
{{- end }}
  to:
    {{- $peers | nindent 4 }}
{{- end }}
{{- end -}}

{{/* What each of the node's own processes calls. */}}
{{- define "sentinode.egressOwn" -}}
{{- include "sentinode.egressDNS" . }}
{{- include "sentinode.egressDatabase" . }}
{{ include "sentinode.egressBroker" . }}
{{- end -}}
