{{- define "sentinode.web" -}}
{{- $live := dict "httpGet" (dict "path" "/health/live" "port" "http") -}}
{{- /* Not /health/ready: the dashboard must open to show that a worker is missing. */ -}}
{{- $tables := dict "httpGet" (dict "path" "/health/startup" "port" "http") -}}
{{- dict "name" "web" "class" "reception" "args" (list "run" "web")
      "ports" (list (dict "name" "http" "containerPort" (int .Values.web.listenPort) "protocol" "TCP"))
      "strategy" (dict "type" "RollingUpdate" "rollingUpdate" (dict "maxSurge" 1 "maxUnavailable" 0))
      "probes" (dict
        "startupProbe" (merge (dict "periodSeconds" 2 "timeoutSeconds" 5 "failureThreshold" 60) $live)
        "readinessProbe" (merge (dict "periodSeconds" 10 "timeoutSeconds" 5 "failureThreshold" 3) $tables)
        "livenessProbe" (merge (dict "periodSeconds" 20 "timeoutSeconds" 5 "failureThreshold" 3) $live)
        "lifecycle" (dict "preStop" (dict "exec" (dict "command" (list "sleep" "5"))))) | toJson -}}
{{- end -}}
