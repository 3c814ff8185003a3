{{- define "sentinode.worker-delivery" -}}
{{- dict "name" "worker-delivery" "class" "analysis" "ports" list
      "args" (list "run" "worker" "--queue" "leased.delivery" "--concurrency" (.Values.workers.delivery.concurrency | toString))
      "strategy" (dict "type" "RollingUpdate" "rollingUpdate" (dict "maxSurge" "25%" "maxUnavailable" "25%"))
      "probes" (include "sentinode.heartbeatProbes" "worker" | fromYaml) | toJson -}}
{{- end -}}
