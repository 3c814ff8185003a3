{{/* JSON list. Models can be loaded again one by one, and one that fails leaves the others: with strict
readiness its pod would serve none and be restarted for ever. */}}
{{- define "sentinode.tritonArgs" -}}
{{- $triton := .Values.triton -}}
{{- $repository := $triton.modelRepository -}}
{{- $folder := ternary $repository.uri $repository.path (eq $repository.source "s3") -}}
{{- $configuration := $triton.configuration | default (ternary "trt" "cpu" $triton.gpu.enabled) -}}
{{- $args := list "tritonserver" (printf "--model-repository=%s" $folder)
      "--model-control-mode=explicit" "--load-model=*" "--exit-on-error=false" "--strict-readiness=false"
      (printf "--model-config-name=%s" $configuration)
      "--backend-config=python,shm-region-prefix-name=sentinode-" -}}
{{- if not $triton.gpu.enabled -}}
{{- $args = concat $args (list "--allow-gpu-metrics=false" "--pinned-memory-pool-byte-size=0") -}}
{{- end -}}
{{ concat $args $triton.options | toJson }}
{{- end -}}
