{{/*
A Deployment of one of the node's own processes.
Component: root, name, values, image, args, class (reception or analysis), strategy, ports, probes.
*/}}
{{- define "sentinode.deployment" -}}
{{- $component := merge (dict "uid" 10001 "state" true) . -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "sentinode.componentName" . }}
  labels:
    {{- include "sentinode.labels" . | nindent 4 }}
spec:
{{- if not (dig "autoscaling" "enabled" false .values) }}
  replicas: {{ .values.replicaCount }}
{{- end }}
  # A new version that ends at once must not replace one that works.
  minReadySeconds: 5
  strategy:
    {{- toYaml .strategy | nindent 4 }}
  selector:
    matchLabels:
      {{- include "sentinode.selectorLabels" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "sentinode.labels" . | nindent 8 }}
        sentinode/state: shared
        {{- with .values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        # Processes read their configuration when they start.
        checksum/settings: {{ include "sentinode.environment" .root | sha256sum }}
        checksum/files: {{ include "sentinode.files" .root | sha256sum }}
        {{- with .values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      {{- include "sentinode.podHead" $component | nindent 6 }}
      terminationGracePeriodSeconds: {{ .values.terminationGracePeriodSeconds }}
      {{- include "sentinode.placement" $component | trim | nindent 6 }}
      initContainers:
        {{- include "sentinode.initContainer" . | nindent 8 }}
      containers:
        - name: {{ .name }}
          image: {{ include "sentinode.image" . | quote }}
          imagePullPolicy: {{ .root.Values.image.pullPolicy }}
          command: [sentinode]
          args: {{ .args | toJson }}
          {{- include "sentinode.containerEnvironment" . | nindent 10 }}
          {{- with .ports }}
          ports:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          {{- with .probes }}
          {{- toYaml . | nindent 10 }}
          {{- end }}
          securityContext:
            {{- include "sentinode.containerSecurity" . | nindent 12 }}
          resources:
            {{- toYaml .values.resources | nindent 12 }}
          volumeMounts:
            {{- include "sentinode.mounts" . | nindent 12 }}
      volumes:
        {{- include "sentinode.volumes" . | nindent 8 }}
{{- end -}}

{{/* Probes of a process that only its heartbeat tells of. role */}}
{{- define "sentinode.heartbeatProbes" -}}
startupProbe:
  exec: {command: [sentinode, probe, {{ . }}]}
  periodSeconds: 5
  timeoutSeconds: 10
  failureThreshold: 60
livenessProbe:
  exec: {command: [sentinode, probe, {{ . }}]}
  periodSeconds: 60
  timeoutSeconds: 20
  failureThreshold: 5
{{- end -}}

{{/* Component; state: whether its pods need the state folder. Where that keeps them on one node there is
none: a pod that was evicted waits for the others to follow, and the budget would not let them. */}}
{{- define "sentinode.pdb" -}}
{{- if and .values.podDisruptionBudget.enabled (not (and .state (include "sentinode.oneNode" .root))) -}}
apiVersion: {{ include "sentinode.pdbVersion" .root }}
kind: PodDisruptionBudget
metadata:
  name: {{ include "sentinode.componentName" . }}
  labels:
    {{- include "sentinode.labels" . | nindent 4 }}
spec:
  maxUnavailable: {{ include "sentinode.text" .values.podDisruptionBudget.maxUnavailable }}
  {{- if semverCompare ">=1.27.0-0" .root.Capabilities.KubeVersion.Version }}
  # Pods that serve nobody must not keep a node from being drained.
  unhealthyPodEvictionPolicy: AlwaysAllow
  {{- end }}
  selector:
    matchLabels:
      {{- include "sentinode.selectorLabels" . | nindent 6 }}
{{- end -}}
{{- end -}}

{{- define "sentinode.hpa" -}}
{{- $scaling := .values.autoscaling -}}
{{- if $scaling.enabled -}}
apiVersion: {{ include "sentinode.hpaVersion" .root }}
kind: HorizontalPodAutoscaler
metadata:
  name: {{ include "sentinode.componentName" . }}
  labels:
    {{- include "sentinode.labels" . | nindent 4 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "sentinode.componentName" . }}
  minReplicas: {{ $scaling.minReplicas }}
  maxReplicas: {{ $scaling.maxReplicas }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: {{ $scaling.targetCPUUtilizationPercentage }}
  behavior:
    scaleDown:
      # Associations and analyses last minutes.
      stabilizationWindowSeconds: 600
{{- end -}}
{{- end -}}

{{/* KEDA on the lengths of queues. Component, and queues */}}
{{- define "sentinode.scaledObject" -}}
{{- $scaling := .values.autoscaling -}}
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: {{ include "sentinode.componentName" . }}
  labels:
    {{- include "sentinode.labels" . | nindent 4 }}
spec:
  scaleTargetRef:
    name: {{ include "sentinode.componentName" . }}
  minReplicaCount: {{ $scaling.minReplicas }}
  maxReplicaCount: {{ $scaling.maxReplicas }}
  # KEDA's cooldownPeriod is only about the last pod, which always stays.
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        scaleDown:
          stabilizationWindowSeconds: {{ $scaling.cooldownSeconds }}
  triggers:
  {{- range $queue := .queues }}
  {{- with $ }}
    - type: redis
      metadata:
        # KEDA asks from a namespace of its own, where a bare name is another Service's.
        address: {{ printf "%s:%s" (include "sentinode.brokerHostAnywhere" .root) (include "sentinode.brokerPort" .root) | quote }}
        {{- if (include "sentinode.brokerPassword" .root | fromJson).secretName }}
        # Read from the environment of the worker's own container.
        passwordFromEnv: BROKER_PASSWORD
        {{- end }}
        databaseIndex: {{ .root.Values.broker.database | quote }}
        enableTLS: {{ and .root.Values.broker.tls (not .root.Values.redis.enabled) | quote }}
        listName: {{ $queue }}
        listLength: {{ $scaling.queueLength | quote }}
  {{- end }}
  {{- end }}
{{- end -}}
