{{/* SENTINODE_* as text: Helm holds whole numbers as floats, and lists go with commas. */}}
{{- define "sentinode.text" -}}
{{- if kindIs "slice" . -}}
{{ join "," . }}
{{- else if not (kindIs "float64" .) -}}
{{ . }}
{{- else if eq (floor .) . -}}
{{ int64 . }}
{{- else -}}
{{ . }}
{{- end -}}
{{- end -}}

{{/* The settings that other values decide, then those of `settings`. No secret is among them. */}}
{{- define "sentinode.environment" -}}
{{- $dicom := .Values.dicom -}}
SENTINODE_DICOM_HOST: {{ $dicom.listenAddress | quote }}
SENTINODE_DICOM_PORT: {{ $dicom.listenPort | quote }}
{{- if $dicom.tls.enabled }}
SENTINODE_DICOM_TLS_PORT: {{ $dicom.tls.listenPort | quote }}
SENTINODE_DICOM_TLS_CERTIFICATE: /etc/sentinode/secrets/dicom-tls/tls.crt
SENTINODE_DICOM_TLS_KEY: /etc/sentinode/secrets/dicom-tls/tls.key
{{- if $dicom.tls.clientCASecretName }}
SENTINODE_DICOM_TLS_CLIENT_CA: /etc/sentinode/secrets/dicom-client-ca/ca.crt
{{- end }}
SENTINODE_DICOM_PLAIN: {{ $dicom.tls.plain | quote }}
{{- end }}
SENTINODE_HTTP_HOST: {{ .Values.web.listenAddress | quote }}
SENTINODE_HTTP_PORT: {{ .Values.web.listenPort | quote }}
{{- if (include "sentinode.adminPassword" . | fromJson).secretName }}
SENTINODE_WEB_ADMIN_PASSWORD_FILE: /etc/sentinode/secrets/web-admin/password
{{- end }}
{{- if .Values.web.accounts.secretName }}
SENTINODE_WEB_ACCOUNTS_FILE: /etc/sentinode/secrets/web-accounts/accounts
{{- end }}
SENTINODE_STATE_DIR: /var/lib/sentinode
SENTINODE_BEAT_FILE: /tmp/sentinode.beat
{{- with .Values.timeZone }}
TZ: {{ . | quote }}
{{- end }}
{{- if and (eq .Values.database.kind "postgresql") (not .Values.database.url.secretName) }}
SENTINODE_DATABASE_URL: {{ include "sentinode.databaseURL" . | quote }}
{{- end }}
SENTINODE_TRITON_URL: {{ include "sentinode.tritonURL" . | quote }}
{{- if .Values.routes }}
SENTINODE_ROUTES: /etc/sentinode/config/routes.yaml
{{- end }}
{{- if or .Values.destinations .Values.orthanc.enabled }}
SENTINODE_DESTINATIONS: /etc/sentinode/config/destinations.yaml
{{- end }}
{{- if .Values.peers }}
SENTINODE_PEERS: /etc/sentinode/config/peers.yaml
{{- end }}
{{- if .Values.priors }}
SENTINODE_PRIORS: /etc/sentinode/config/priors.yaml
{{- end }}
{{- if and .Values.orthanc.enabled (not (.Values.settings).orthanc_url) }}
SENTINODE_ORTHANC_URL: http://{{ include "sentinode.fullname" . }}-orthanc:8042
SENTINODE_ORTHANC_USERNAME: sentinode
SENTINODE_ORTHANC_PASSWORD_FILE: /etc/sentinode/secrets/orthanc/password
{{- end }}
{{- range $name, $value := .Values.settings }}
SENTINODE_{{ upper $name }}: {{ include "sentinode.text" $value | quote }}
{{- end }}
{{- end -}}

{{/* Environment by reference: passwords and URLs that hold one. */}}
{{- define "sentinode.secretEnvironment" -}}
{{- if eq .Values.database.kind "postgresql" }}
{{ include "sentinode.databaseEnvironment" . }}
{{- end }}
{{- $broker := .Values.broker }}
{{- $password := include "sentinode.brokerPassword" . | fromJson }}
{{- if $password.secretName }}
{{- /* KEDA reads it here too, beside a URL that it cannot read. */}}
- name: BROKER_PASSWORD
  valueFrom:
    secretKeyRef: {name: {{ $password.secretName | quote }}, key: {{ $password.key | quote }}}
{{- end }}
{{- if and $broker.url.secretName (not .Values.redis.enabled) }}
- name: SENTINODE_BROKER_URL
  valueFrom:
    secretKeyRef: {name: {{ $broker.url.secretName | quote }}, key: {{ $broker.url.key | quote }}}
{{- else }}
{{- $tls := and $broker.tls (not .Values.redis.enabled) }}
{{- $scheme := ternary "rediss" "redis" $tls }}
{{- $place := printf "%s:%s/%v" (include "sentinode.brokerHost" .) (include "sentinode.brokerPort" .) $broker.database }}
{{- if $tls }}
{{- /* Without it kombu asks for no certificate at all. */}}
{{- $place = printf "%s?ssl_cert_reqs=required" $place }}
{{- if $broker.caSecretName }}
{{- $place = printf "%s&ssl_ca_certs=/etc/sentinode/secrets/broker-ca/ca.crt" $place }}
{{- end }}
{{- end }}
{{- if $password.secretName }}
- name: SENTINODE_BROKER_URL
  value: {{ printf "%s://:$(BROKER_PASSWORD)@%s" $scheme $place | quote }}
{{- else }}
- name: SENTINODE_BROKER_URL
  value: {{ printf "%s://%s" $scheme $place | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "sentinode.databaseEnvironment" -}}
{{- if .Values.database.url.secretName }}
- name: SENTINODE_DATABASE_URL
  valueFrom:
    secretKeyRef: {name: {{ .Values.database.url.secretName | quote }}, key: {{ .Values.database.url.key | quote }}}
{{- else }}
{{- $password := include "sentinode.databasePassword" . | fromJson }}
{{- if $password.secretName }}
- name: PGPASSWORD
  valueFrom:
    secretKeyRef: {name: {{ $password.secretName | quote }}, key: {{ $password.key | quote }}}
{{- end }}
{{- end }}
{{- end -}}
