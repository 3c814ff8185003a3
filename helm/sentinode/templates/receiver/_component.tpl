{{- define "sentinode.receiver" -}}
{{- $dicom := .Values.dicom -}}
{{- $hostPort := eq $dicom.exposure "HostPort" -}}
{{- $ports := list -}}
{{- $open := dict "dicom" (and (or $dicom.tls.plain (not $dicom.tls.enabled)) $dicom) "dicom-tls" (and $dicom.tls.enabled $dicom.tls) -}}
{{- range $name, $one := $open -}}
{{- if $one -}}
{{- $port := dict "name" $name "containerPort" (int $one.listenPort) "protocol" "TCP" -}}
{{- $ports = append $ports (merge $port (ternary (dict "hostPort" (int $one.port)) dict $hostPort)) -}}
{{- end -}}
{{- end -}}
{{- $socket := dict "tcpSocket" (dict "port" (first $ports).name) "timeoutSeconds" 5 -}}
{{- /* Two pods cannot hold one port of a node: the old one goes first. */ -}}
{{- $rolling := ternary (dict "maxSurge" 0 "maxUnavailable" 1) (dict "maxSurge" 1 "maxUnavailable" 0) $hostPort -}}
{{- dict "name" "receiver" "class" "reception" "args" (list "run" "receive") "ports" $ports
      "strategy" (dict "type" "RollingUpdate" "rollingUpdate" $rolling)
      "probes" (dict
        "startupProbe" (merge (dict "periodSeconds" 2 "failureThreshold" 60) $socket)
        "readinessProbe" (merge (dict "periodSeconds" 5 "failureThreshold" 2) $socket)
        "livenessProbe" (merge (dict "periodSeconds" 20 "failureThreshold" 3) $socket)
        "lifecycle" (dict "preStop" (dict "exec" (dict "command" (list "sleep" "5"))))) | toJson -}}
{{- end -}}
