{{/* Pieces of network policies. */}}

{{/* component: whose pods; root */}}
{{- define "sentinode.networkPolicyHead" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "sentinode.componentName" . }}
  labels:
    {{- include "sentinode.labels" . | nindent 4 }}
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
- ports:
    - {protocol: TCP, port: {{ regexFind ":[0-9]+$" .Values.triton.url | trimPrefix ":" }}}
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
{{- with include "sentinode.archivePorts" . | fromJsonArray }}
- ports:
{{- range . }}
    - {protocol: TCP, port: {{ int . }}}
{{- end }}
  to:
    {{- include "sentinode.cidrs" $.Values.networkPolicy.archiveCIDRs | trim | nindent 4 }}
{{- end }}
{{- end -}}

{{/* What each of the node's own processes calls. */}}
{{- define "sentinode.egressOwn" -}}
{{- include "sentinode.egressDNS" . }}
{{- include "sentinode.egressDatabase" . }}
{{ include "sentinode.egressBroker" . }}
{{- end -}}
