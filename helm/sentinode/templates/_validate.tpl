{{/* What a schema cannot say. Every message ends with what to write. */}}
{{- define "sentinode.validate" -}}
{{- $wrong := list -}}
{{- $database := .Values.database -}}
{{- $broker := .Values.broker -}}
{{- $state := .Values.state -}}
{{- $dicom := .Values.dicom -}}
{{- $triton := .Values.triton -}}
{{- $oneNode := include "sentinode.oneNode" . -}}

{{- /* Keys that moved; the schema refuses them too, unless it was skipped. */ -}}
{{- range $path, $hint := .Files.Get "renamed.yaml" | fromYaml -}}
{{- $at := $.Values -}}
{{- $present := true -}}
{{- range splitList "." $path -}}
{{- if not (kindIs "map" $at) -}}
{{- $present = false -}}
{{- else if hasKey $at . -}}
{{- $at = get $at . -}}
{{- else -}}
{{- $present = false -}}
{{- $at = dict -}}
{{- end -}}
{{- end -}}
{{- if $present -}}
{{- $wrong = append $wrong (printf "%s is not a value of this chart: %s" $path $hint) -}}
{{- end -}}
{{- end -}}

{{- /* Names: those of Services begin with a letter and have no dot. */ -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" (include "sentinode.fullname" .)) -}}
{{- $wrong = append $wrong (printf "%s cannot begin the names of Services: lower-case letters, digits and -, a letter first. Set fullnameOverride" (include "sentinode.fullname" .)) -}}
{{- end -}}

{{- /* Labels of the chart itself would stand there twice. */ -}}
{{- $labels := include "sentinode.labels" (dict "root" . "name" "any") | fromYaml -}}
{{- range $name, $one := dict "receiver" .Values.receiver "web" .Values.web "sweeper" .Values.sweeper "triton" $triton "workers.analysis" .Values.workers.analysis "workers.delivery" .Values.workers.delivery "redis" .Values.redis "postgresql" .Values.postgresql "orthanc" .Values.orthanc -}}
{{- range $label, $_ := $one.podLabels -}}
{{- if or (hasKey $labels $label) (eq $label "sentinode/state") -}}
{{- $wrong = append $wrong (printf "%s.podLabels: %s is a label of the chart's own. Choose another" $name $label) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Autoscaling */ -}}
{{- range $name, $one := dict "receiver" .Values.receiver "web" .Values.web "triton" $triton "workers.analysis" .Values.workers.analysis "workers.delivery" .Values.workers.delivery -}}
{{- if and $one.autoscaling.enabled (gt (int $one.autoscaling.minReplicas) (int $one.autoscaling.maxReplicas)) -}}
{{- $wrong = append $wrong (printf "%s.autoscaling.minReplicas is more than maxReplicas. Set one of them otherwise" $name) -}}
{{- end -}}
{{- end -}}

{{- /* Database */ -}}
{{- if eq $database.kind "sqlite" -}}
{{- if not $oneNode -}}
{{- $wrong = append $wrong "database.kind sqlite: its file cannot be shared between nodes. Set state.accessMode to ReadWriteOnce or state.kind to hostPath, or use PostgreSQL" -}}
{{- end -}}
{{- if .Values.postgresql.enabled -}}
{{- $wrong = append $wrong "postgresql.enabled with database.kind sqlite: nobody would use it. Set one of them otherwise" -}}
{{- end -}}
{{- if eq (include "sentinode.migration" .) "hook" -}}
{{- $wrong = append $wrong "database.migration hook cannot reach a SQLite file. Set it to auto" -}}
{{- end -}}
{{- else if .Values.postgresql.enabled -}}
{{- if or $database.host $database.url.secretName -}}
{{- $wrong = append $wrong "postgresql.enabled and an external database (database.host or database.url) at the same time. Set postgresql.enabled to false, or remove the external one" -}}
{{- end -}}
{{- if eq (include "sentinode.migration" .) "hook" -}}
{{- $wrong = append $wrong "database.migration hook runs before the trial database exists. Set it to auto" -}}
{{- end -}}
{{- else if not (or $database.host $database.url.secretName) -}}
{{- $wrong = append $wrong "no database. Set database.host and database.password.secretName (or database.url.secretName); for a trial postgresql.enabled; for one small node database.kind sqlite" -}}
{{- end -}}
{{- if and (eq (include "sentinode.migration" .) "init") (gt (int .Values.sweeper.replicaCount) 1) -}}
{{- $wrong = append $wrong "several sweepers would upgrade the tables at once. Set sweeper.replicaCount to 1, or database.migration to none and upgrade by hand" -}}
{{- end -}}

{{- /* Broker */ -}}
{{- if and .Values.redis.enabled (or $broker.host $broker.url.secretName) -}}
{{- $wrong = append $wrong "redis.enabled and an external broker (broker.host or broker.url) at the same time. Set redis.enabled to false, or remove the external one" -}}
{{- end -}}
{{- if not (or .Values.redis.enabled $broker.host $broker.url.secretName) -}}
{{- $wrong = append $wrong "no broker. Set broker.host (or broker.url.secretName), or redis.enabled for the chart's own" -}}
{{- end -}}
{{- if and $broker.caSecretName (not $broker.tls) -}}
{{- $wrong = append $wrong "broker.caSecretName without broker.tls. Set broker.tls to true, or remove it" -}}
{{- end -}}
{{- if and (include "sentinode.keda" .) $broker.url.secretName (not $broker.host) -}}
{{- if or .Values.workers.analysis.autoscaling.enabled .Values.workers.delivery.autoscaling.enabled -}}
{{- $wrong = append $wrong "KEDA cannot read broker.url. Set broker.host and broker.password.secretName instead, or turn autoscaling of the workers off" -}}
{{- end -}}
{{- end -}}

{{- /* Storage */ -}}
{{- if eq $state.kind "hostPath" -}}
{{- if not (and $state.hostPath $state.node) -}}
{{- $wrong = append $wrong "state.kind hostPath needs state.hostPath (a folder that belongs to uid 10001) and state.node (the node's label kubernetes.io/hostname)" -}}
{{- end -}}
{{- if $state.existingClaim -}}
{{- $wrong = append $wrong "state.existingClaim with state.kind hostPath. Set state.kind to claim, or remove it" -}}
{{- end -}}
{{- else if or $state.hostPath $state.node -}}
{{- $wrong = append $wrong "state.hostPath and state.node need state.kind hostPath" -}}
{{- end -}}

{{- /* DICOM */ -}}
{{- if and $dicom.tls.enabled (not $dicom.tls.secretName) -}}
{{- $wrong = append $wrong "dicom.tls.enabled needs dicom.tls.secretName, a Secret of type kubernetes.io/tls" -}}
{{- end -}}
{{- if and (not $dicom.tls.enabled) (or (not $dicom.tls.plain) $dicom.tls.secretName $dicom.tls.clientCASecretName) -}}
{{- $wrong = append $wrong "dicom.tls is set up but off. Set dicom.tls.enabled to true, or remove the rest of dicom.tls" -}}
{{- end -}}
{{- if and $dicom.tls.enabled $dicom.tls.plain -}}
{{- range list "port" "listenPort" -}}
{{- if eq (int (get $dicom .)) (int (get $dicom.tls .)) -}}
{{- $wrong = append $wrong (printf "dicom.%s and dicom.tls.%s are the same. Set one of them otherwise" . .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $dicom.tls.enabled $dicom.tls.plain $dicom.nodePort (eq (int $dicom.nodePort) (int $dicom.tls.nodePort)) -}}
{{- $wrong = append $wrong "dicom.nodePort and dicom.tls.nodePort are the same. Set one of them otherwise" -}}
{{- end -}}
{{- if and (or (has $dicom.ipFamilyPolicy (list "PreferDualStack" "RequireDualStack")) (has "IPv6" $dicom.ipFamilies)) (not (contains ":" $dicom.listenAddress)) -}}
{{- $wrong = append $wrong "a Service with IPv6 needs a receiver that takes such calls. Set dicom.listenAddress to ::, which takes IPv4 as well" -}}
{{- end -}}
{{- if and (eq $dicom.exposure "HostPort") $oneNode (or (gt (int .Values.receiver.replicaCount) 1) .Values.receiver.autoscaling.enabled) -}}
{{- $wrong = append $wrong "only one receiver can hold a host port of the one node. Set receiver.replicaCount to 1 and settings.dicom_processes to the number of processes" -}}
{{- end -}}
{{- if and (ne $dicom.exposure "LoadBalancer") (or $dicom.loadBalancer.ip $dicom.loadBalancer.class $dicom.loadBalancer.sourceRanges) -}}
{{- $wrong = append $wrong "dicom.loadBalancer needs dicom.exposure LoadBalancer" -}}
{{- end -}}

{{- /* Triton */ -}}
{{- if and (not $triton.enabled) (not (regexMatch "^[^,]+:[0-9]+ *(,[^,]+:[0-9]+ *)*$" $triton.url)) -}}
{{- $wrong = append $wrong "triton.enabled false needs triton.url, host:port of the gRPC of an existing server" -}}
{{- end -}}
{{- if and $triton.enabled $triton.url -}}
{{- $wrong = append $wrong "triton.url with triton.enabled true. Set triton.enabled to false, or remove triton.url" -}}
{{- end -}}
{{- if and (eq $triton.modelRepository.source "pvc") (not $triton.modelRepository.claimName) -}}
{{- $wrong = append $wrong "triton.modelRepository.source pvc needs triton.modelRepository.claimName" -}}
{{- end -}}
{{- if and (eq $triton.modelRepository.source "s3") (not $triton.modelRepository.uri) -}}
{{- $wrong = append $wrong "triton.modelRepository.source s3 needs triton.modelRepository.uri, e.g. s3://bucket/models" -}}
{{- end -}}

{{- if and $triton.enabled (eq $triton.modelRepository.source "s3") .Values.networkPolicy.enabled -}}
{{- $uri := $triton.modelRepository.uri -}}
{{- $port := regexFind ":[0-9]+/" $uri | trimAll ":/" | default (ternary "80" "443" (contains "//http://" $uri)) -}}
{{- if and $uri (ne (int $port) (int .Values.networkPolicy.bucketPort)) -}}
{{- $wrong = append $wrong (printf "triton.modelRepository.uri is on port %s, which the network policy does not open. Set networkPolicy.bucketPort to it" $port) -}}
{{- end -}}
{{- end -}}

{{- /* Monitoring */ -}}
{{- $rule := .Values.monitoring.prometheusRule -}}
{{- if and $rule.enabled (le (int64 $rule.freeDiskBytes) (int64 (dig "min_free_bytes" 1073741824 (.Values.settings | default dict)))) -}}
{{- $wrong = append $wrong "monitoring.prometheusRule.freeDiskBytes is not above settings.min_free_bytes (1073741824 where it is not set): modalities would be refused before the alert. Set it to more" -}}
{{- end -}}

{{- /* Web */ -}}
{{- if and .Values.web.ingress.enabled (not .Values.web.ingress.host) -}}
{{- $wrong = append $wrong "web.ingress.enabled needs web.ingress.host" -}}
{{- end -}}
{{- if and .Values.networkPolicy.enabled (ne .Values.web.service.type "ClusterIP") -}}
{{- $addresses := list -}}
{{- range .Values.networkPolicy.webFrom -}}{{- if .ipBlock -}}{{- $addresses = append $addresses .ipBlock -}}{{- end -}}{{- end -}}
{{- if not $addresses -}}
{{- $wrong = append $wrong (printf "web.service.type %s brings callers from outside the cluster, and networkPolicy.webFrom lets in pods only. Add an ipBlock to it, e.g. {ipBlock: {cidr: 10.20.0.0/16}}" .Values.web.service.type) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.web.httpRoute.enabled (not .Values.web.httpRoute.parentRefs) -}}
{{- $wrong = append $wrong "web.httpRoute.enabled needs web.httpRoute.parentRefs, the Gateways that serve it" -}}
{{- end -}}

{{- if and .Values.test.account.secretName (not .Values.test.account.name) -}}
{{- $wrong = append $wrong "test.account.secretName needs test.account.name, the account whose password it is" -}}
{{- end -}}

{{- $mounted := list "orthanc" "database-ca" "broker-ca" "dicom-tls" "dicom-client-ca" "web-admin" "web-accounts" -}}
{{- range .Values.secretMounts -}}
{{- if has .name $mounted -}}
{{- $wrong = append $wrong (printf "secretMounts: the name %s is taken. Choose another" .name) -}}
{{- end -}}
{{- $mounted = append $mounted .name -}}
{{- end -}}

{{- /* Files that destinations, peers and settings name must be mounted where they are read. Every
worker looks at all of its destinations when it starts; peers are called by these two. */ -}}
{{- $workers := ternary (list "worker-analysis" "worker-delivery") (list "worker-analysis") .Values.workers.delivery.enabled -}}
{{- $settings := dict "password_file" (.Values.settings).orthanc_password_file "token_file" (.Values.settings).stow_token_file "key_file" (.Values.settings).web_session_key_file -}}
{{- $readers := list (dict "pods" $workers "entries" .Values.destinations) (dict "pods" (list "receiver" "sweeper") "entries" .Values.peers) (dict "pods" (list "web") "entries" (list $settings)) -}}
{{- range $reader := $readers -}}
{{- range $pod := .pods -}}
{{- $there := list -}}
{{- range include "sentinode.secretMounts" (dict "root" $ "name" $pod) | fromJsonArray -}}
{{- $there = append $there .name -}}
{{- end -}}
{{- range $entry := $reader.entries -}}
{{- range $file := compact (list .password_file .token_file .ca_file .certificate_file .key_file) -}}
{{- if hasPrefix "/etc/sentinode/secrets/" $file -}}
{{- $name := index (splitList "/" $file) 4 -}}
{{- if not (has $name $mounted) -}}
{{- $wrong = append $wrong (printf "%s is not mounted. Add to secretMounts an entry named %s" $file $name) -}}
{{- else if not (has $name $there) -}}
{{- $wrong = append $wrong (printf "%s is read by the pods of %s too, where %s is not mounted. Add them to the components of this entry of secretMounts" $file $pod $name) -}}
{{- end -}}
{{- else if and (not (hasPrefix "/" $file)) (ne $pod "web") -}}
{{- $wrong = append $wrong (printf "%s: nothing lies beside the files that the chart writes. Set /etc/sentinode/secrets/NAME/FILE, and NAME in secretMounts" $file) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- if $wrong -}}
{{- fail (printf "\n\nThese values do not fit together:\n  - %s\n" (join "\n  - " (uniq $wrong))) -}}
{{- end -}}
{{- end -}}
