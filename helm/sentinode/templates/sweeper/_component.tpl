{{- define "sentinode.sweeper" -}}
{{- /* Where its init container upgrades the tables, two must not do it at once. */ -}}
{{- $rolling := dict "type" "RollingUpdate" "rollingUpdate" (dict "maxSurge" 1 "maxUnavailable" 0) -}}
{{- dict "name" "sweeper" "class" "reception" "args" (list "run" "sweep") "ports" list
      "strategy" (ternary (dict "type" "Recreate") $rolling (eq (include "sentinode.migration" .) "init"))
      "probes" (include "sentinode.heartbeatProbes" "sweep" | fromYaml) | toJson -}}
{{- end -}}
