{{/* Where the parts are that the node calls, and which Secrets say how. */}}

{{/* A host as URLs have it: an IPv6 address in brackets. */}}
{{- define "sentinode.urlHost" -}}
{{- $host := . | default "" -}}
{{- if and (contains ":" $host) (not (hasPrefix "[" $host)) -}}[{{ $host }}]{{- else -}}{{ $host }}{{- end -}}
{{- end -}}

{{- define "sentinode.databaseHost" -}}
{{- if .Values.postgresql.enabled -}}
{{ include "sentinode.fullname" . }}-postgresql
{{- else -}}
{{ include "sentinode.urlHost" .Values.database.host }}
{{- end -}}
{{- end -}}

{{- define "sentinode.databasePort" -}}
{{- if .Values.postgresql.enabled -}}5432{{- else -}}{{ .Values.database.port }}{{- end -}}
{{- end -}}

{{/* Without a password: that comes by PGPASSWORD, so it needs no URL encoding. */}}
{{- define "sentinode.databaseURL" -}}
{{- $db := .Values.database -}}
{{- $mode := ternary "disable" $db.sslMode .Values.postgresql.enabled -}}
postgresql+psycopg://{{ $db.user | urlquery }}@{{ include "sentinode.databaseHost" . }}:{{ include "sentinode.databasePort" . }}/{{ $db.name | urlquery }}?sslmode={{ $mode }}
{{- if $db.caSecretName }}&sslrootcert=/etc/sentinode/secrets/database-ca/ca.crt{{ end -}}
{{- end -}}

{{- define "sentinode.brokerHost" -}}
{{- if .Values.redis.enabled -}}
{{ include "sentinode.fullname" . }}-redis
{{- else -}}
{{ include "sentinode.urlHost" .Values.broker.host }}
{{- end -}}
{{- end -}}

{{- define "sentinode.brokerHostAnywhere" -}}
{{- $host := include "sentinode.brokerHost" . -}}
{{- if or (contains "." $host) (contains ":" $host) -}}{{ $host }}{{- else -}}{{ $host }}.{{ .Release.Namespace }}.svc{{- end -}}
{{- end -}}

{{- define "sentinode.brokerPort" -}}
{{- if .Values.redis.enabled -}}6379{{- else -}}{{ .Values.broker.port }}{{- end -}}
{{- end -}}

{{/* JSON: secretName, key; secretName empty when there is no password. */}}
{{- define "sentinode.brokerPassword" -}}
{{- if .Values.redis.enabled -}}
{{ include "sentinode.passwordOf" (dict "root" . "password" .Values.redis.password "key" "redis-password") }}
{{- else -}}
{{ .Values.broker.password | toJson }}
{{- end -}}
{{- end -}}

{{- define "sentinode.databasePassword" -}}
{{- if .Values.postgresql.enabled -}}
{{ include "sentinode.passwordOf" (dict "root" . "password" .Values.postgresql.password "key" "postgresql-password") }}
{{- else -}}
{{ .Values.database.password | toJson }}
{{- end -}}
{{- end -}}

{{- define "sentinode.orthancPassword" -}}
{{ include "sentinode.passwordOf" (dict "root" . "password" .Values.orthanc.password "key" "orthanc-password") }}
{{- end -}}

{{/* JSON: secretName, key; secretName empty where an accounts file alone says who may log in. */}}
{{- define "sentinode.adminPassword" -}}
{{- $web := .Values.web -}}
{{- if or $web.adminPassword.secretName (not $web.accounts.secretName) -}}
{{ include "sentinode.passwordOf" (dict "root" . "password" $web.adminPassword "key" "web-password") }}
{{- else -}}
{{ $web.adminPassword | toJson }}
{{- end -}}
{{- end -}}

{{/* JSON: name, secretName, key of the account with which `helm test` asks. */}}
{{- define "sentinode.testAccount" -}}
{{- if .Values.test.account.secretName -}}
{{ .Values.test.account | toJson }}
{{- else -}}
{{ merge (dict "name" "admin") (include "sentinode.adminPassword" . | fromJson) | toJson }}
{{- end -}}
{{- end -}}

{{- define "sentinode.passwordOf" -}}
{{- if .password.secretName -}}
{{ .password | toJson }}
{{- else -}}
{{ dict "secretName" (include "sentinode.generatedSecret" .root) "key" .key | toJson }}
{{- end -}}
{{- end -}}

{{- define "sentinode.generatedSecret" -}}
{{ include "sentinode.fullname" . }}-generated
{{- end -}}

{{/* The name has the addresses of all servers; the worker resolves it and goes round them. */}}
{{- define "sentinode.tritonURL" -}}
{{- if .Values.triton.enabled -}}
{{ include "sentinode.fullname" . }}-triton:8001
{{- else -}}
{{ .Values.triton.url }}
{{- end -}}
{{- end -}}

{{- define "sentinode.migration" -}}
{{- if ne .Values.database.migration "auto" -}}
{{ .Values.database.migration }}
{{- else if or .Values.postgresql.enabled (eq .Values.database.kind "sqlite") -}}
init
{{- else -}}
hook
{{- end -}}
{{- end -}}

{{/* A line of a claim: left out, the cluster adds its default class; with "-" there is none. */}}
{{- define "sentinode.storageClass" -}}
{{- with . -}}
storageClassName: {{ ternary "" . (eq . "-") | quote }}
{{- end -}}
{{- end -}}

{{/* All pods that share the state folder must be on one node. */}}
{{- define "sentinode.oneNode" -}}
{{- if or (eq .Values.state.kind "hostPath") (eq .Values.state.accessMode "ReadWriteOnce") -}}true{{- end -}}
{{- end -}}

{{/* JSON list: what is mounted below /etc/sentinode/secrets in the pods of a component. */}}
{{- define "sentinode.secretMounts" -}}
{{- $root := .root -}}
{{- $mounts := list -}}
{{- range $root.Values.secretMounts -}}
{{- if or (not .components) (has $.name .components) -}}
{{- $mounts = append $mounts (dict "name" .name "secretName" .secretName) -}}
{{- end -}}
{{- end -}}
{{- if $root.Values.database.caSecretName -}}
{{- $mounts = append $mounts (dict "name" "database-ca" "secretName" $root.Values.database.caSecretName) -}}
{{- end -}}
{{- if $root.Values.broker.caSecretName -}}
{{- $mounts = append $mounts (dict "name" "broker-ca" "secretName" $root.Values.broker.caSecretName) -}}
{{- end -}}
{{- /* The node calls its peers with the listener's certificate, and destinations by DIMSE with TLS. */ -}}
{{- $callers := list "receiver" "sweeper" -}}
{{- range $root.Values.destinations -}}
{{- if .tls -}}{{- $callers = list "receiver" "sweeper" "worker-analysis" "worker-delivery" -}}{{- end -}}
{{- end -}}
{{- if and $root.Values.dicom.tls.enabled (has .name $callers) -}}
{{- $mounts = append $mounts (dict "name" "dicom-tls" "secretName" $root.Values.dicom.tls.secretName) -}}
{{- if and $root.Values.dicom.tls.clientCASecretName (has .name (list "receiver" "sweeper")) -}}
{{- $mounts = append $mounts (dict "name" "dicom-client-ca" "secretName" $root.Values.dicom.tls.clientCASecretName) -}}
{{- end -}}
{{- end -}}
{{- if and $root.Values.orthanc.enabled (has .name (list "web" "worker-analysis" "worker-delivery")) -}}
{{- $password := include "sentinode.orthancPassword" $root | fromJson -}}
{{- $items := list (dict "key" $password.key "path" "password") -}}
{{- $mounts = append $mounts (dict "name" "orthanc" "secretName" $password.secretName "items" $items) -}}
{{- end -}}
{{- if eq .name "web" -}}
{{- $password := include "sentinode.adminPassword" $root | fromJson -}}
{{- if $password.secretName -}}
{{- $items := list (dict "key" $password.key "path" "password") -}}
{{- $mounts = append $mounts (dict "name" "web-admin" "secretName" $password.secretName "items" $items) -}}
{{- end -}}
{{- with $root.Values.web.accounts -}}
{{- if .secretName -}}
{{- $items := list (dict "key" .key "path" "accounts") -}}
{{- $mounts = append $mounts (dict "name" "web-accounts" "secretName" .secretName "items" $items) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{ $mounts | toJson }}
{{- end -}}

{{- define "sentinode.urlPort" -}}
{{- $url := urlParse . -}}
{{ regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (ternary "443" "80" (eq $url.scheme "https")) }}
{{- end -}}

{{/* JSON list: ports of destinations and peers, for network policies. */}}
{{- define "sentinode.archivePorts" -}}
{{- $ports := .Values.networkPolicy.archivePorts | default list -}}
{{- range .Values.destinations -}}
{{- if .port -}}{{- $ports = append $ports .port -}}{{- end -}}
{{- range compact (list .url .orthanc_url) -}}
{{- $ports = append $ports (include "sentinode.urlPort" .) -}}
{{- end -}}
{{- end -}}
{{- range .Values.peers -}}
{{- $ports = append $ports .port -}}
{{- end -}}
{{- $plain := list -}}
{{- range $ports -}}{{- $plain = append $plain (int .) -}}{{- end -}}
{{ $plain | uniq | toJson }}
{{- end -}}

{{/* The test study is sent without TLS, and somebody must be allowed to ask what became of it. */}}
{{- define "sentinode.test" -}}
{{- $account := include "sentinode.testAccount" . | fromJson -}}
{{- if and .Values.test.enabled .Values.dicom.tls.plain $account.secretName -}}true{{- end -}}
{{- end -}}
