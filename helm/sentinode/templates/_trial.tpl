{{/* Pieces of the parts for trials: redis, postgresql, orthanc. */}}

{{- define "sentinode.volumeClaim" -}}
{{- if .persistence.enabled -}}
volumeClaimTemplates:
  - metadata:
      name: data
    spec:
      accessModes: [ReadWriteOnce]
      {{- include "sentinode.storageClass" .persistence.storageClassName | nindent 6 }}
      resources:
        requests:
          storage: {{ .persistence.size | quote }}
{{- end -}}
{{- end -}}

{{/* root, name, ports: a dict of names and numbers */}}
{{- define "sentinode.trialService" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "sentinode.componentName" . }}
  labels:
    {{- include "sentinode.labels" . | nindent 4 }}
spec:
  selector:
    {{- include "sentinode.selectorLabels" . | nindent 4 }}
  ports:
  {{- range $name, $port := .ports }}
    - {name: {{ $name }}, port: {{ $port }}, targetPort: {{ $name }}, protocol: TCP}
  {{- end }}
{{- end -}}

{{/* root, name, port, callers, more: NetworkPolicyPeers beside them */}}
{{- define "sentinode.trialNetworkPolicy" -}}
{{ include "sentinode.networkPolicyHead" . }}
  ingress:
    - ports:
        - {protocol: TCP, port: {{ .port }}}
      from:
        {{- include "sentinode.pods" (dict "root" .root "names" .callers) | nindent 8 }}
        {{- with .more }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
{{- end -}}

{{- define "sentinode.orthancConfiguration" -}}
{
  "Name": "Sentinode trial archive",
  "StorageDirectory": "/srv/orthanc",
  "IndexDirectory": "/srv/orthanc",
  "HttpPort": 8042,
  "DicomPort": 4242,
  "RemoteAccessAllowed": true,
  "AuthenticationEnabled": true,
  "DicomAlwaysAllowStore": false,
  "OverwriteInstances": false,
  "Plugins": {{ toJson .Values.orthanc.plugins }},
  "DicomWeb": {"Enable": true, "Root": "/dicom-web/"}
}
{{- end -}}
