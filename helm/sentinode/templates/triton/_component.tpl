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
{{- /* Of the three only gRPC takes IPv6 by itself; the other two want it said so. */ -}}
{{- if contains ":" $triton.listenAddress -}}
{{- $args = concat $args (list (printf "--http-address=ipv6:%s" $triton.listenAddress) (printf "--grpc-address=[%s]" $triton.listenAddress)
      (printf "--metrics-address=ipv6:%s" $triton.listenAddress)) -}}
{{- else if ne $triton.listenAddress "0.0.0.0" -}}
{{- range list "http" "grpc" "metrics" -}}{{- $args = append $args (printf "--%s-address=%s" . $triton.listenAddress) -}}{{- end -}}
{{- end -}}
{{ concat $args ($triton.options | default list) | toJson }}
{{- end -}}
