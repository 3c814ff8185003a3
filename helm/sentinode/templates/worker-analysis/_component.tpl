{{- define "sentinode.worker-analysis" -}}
{{- $queues := ternary "leased.analysis" "leased.analysis,leased.delivery" .Values.workers.delivery.enabled -}}
{{- dict "name" "worker-analysis" "class" "analysis" "ports" list
      "args" (list "run" "worker" "--queue" $queues "--concurrency" (.Values.workers.analysis.concurrency | toString))
      "strategy" (dict "type" "RollingUpdate" "rollingUpdate" (dict "maxSurge" "25%" "maxUnavailable" "25%"))
      "probes" (include "sentinode.heartbeatProbes" "worker" | fromYaml) | toJson -}}
{{- end -}}
