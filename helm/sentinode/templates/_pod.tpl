{{/* Pieces that every pod has in common. */}}

{{- define "sentinode.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* root, uid */}}
{{- define "sentinode.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .uid }}
runAsGroup: {{ .uid }}
fsGroup: {{ .uid }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* Top of a pod's spec. root, name, values, uid, class */}}
{{- define "sentinode.podHead" -}}
serviceAccountName: {{ include "sentinode.serviceAccountName" .root | quote }}
automountServiceAccountToken: false
# Names of Services would become SENTINODE_*_PORT and be read as settings.
enableServiceLinks: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . | quote }}
{{- end }}
{{- end }}
securityContext:
  {{- include "sentinode.podSecurity" . | nindent 2 }}
{{- $class := (.values).priorityClassName }}
{{- if and (not $class) .root.Values.priorityClasses.create .class }}
{{- $class = include "sentinode.priorityClass" . }}
{{- end }}
{{- with $class }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* Values of the component on whose nodes a hook's pod goes too. Its pods need not be there. */}}
{{- define "sentinode.sameNodes" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with (.affinity).nodeAffinity }}
affinity:
  nodeAffinity:
    {{- toYaml . | nindent 4 }}
{{- end }}
{{- end -}}

{{/* Where the pods go. root, name, values, state: whether they need the state folder */}}
{{- define "sentinode.placement" -}}
{{- $oneNode := and .state (include "sentinode.oneNode" .root) -}}
{{- $nodes := deepCopy (.values.nodeSelector | default dict) -}}
{{- if and .state (eq .root.Values.state.kind "hostPath") -}}
{{- $_ := set $nodes "kubernetes.io/hostname" .root.Values.state.node -}}
{{- end -}}
{{- with $nodes }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- $affinity := deepCopy (.values.affinity | default dict) }}
{{- if $oneNode }}
{{- $labels := dict "app.kubernetes.io/instance" .root.Release.Name "sentinode/state" "shared" }}
{{- $term := dict "labelSelector" (dict "matchLabels" $labels) "topologyKey" "kubernetes.io/hostname" }}
{{- $pods := $affinity.podAffinity | default dict }}
{{- $terms := append ($pods.requiredDuringSchedulingIgnoredDuringExecution | default list) $term }}
{{- $_ := set $affinity "podAffinity" (merge (dict "requiredDuringSchedulingIgnoredDuringExecution" $terms) $pods) }}
{{- end }}
{{- with $affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if and .root.Values.topologySpread.enabled (not $oneNode) }}
topologySpreadConstraints:
{{- $component := . }}
{{- /* Zones are a wish always: where nodes have no such label, a condition could never hold. */}}
{{- $spread := dict "kubernetes.io/hostname" .root.Values.topologySpread.whenUnsatisfiable "topology.kubernetes.io/zone" "ScheduleAnyway" }}
{{- range $key, $otherwise := $spread }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: {{ $otherwise }}
    {{- if semverCompare ">=1.26.0-0" $component.root.Capabilities.KubeVersion.Version }}
    # Nodes that are closed to these pods, control planes and drained ones, would count as empty.
    nodeTaintsPolicy: Honor
    {{- end }}
    labelSelector:
      matchLabels:
        {{- include "sentinode.selectorLabels" $component | nindent 8 }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Volumes of the node's own processes. */}}
{{- define "sentinode.volumes" -}}
- name: tmp
  emptyDir: {}
- name: config
  configMap:
    name: {{ include "sentinode.fullname" .root }}-files
- name: state
{{- if eq .root.Values.state.kind "hostPath" }}
  hostPath:
    path: {{ .root.Values.state.hostPath | quote }}
    type: Directory
{{- else }}
  persistentVolumeClaim:
    claimName: {{ .root.Values.state.existingClaim | default (printf "%s-state" (include "sentinode.fullname" .root)) | quote }}
{{- end }}
{{- range include "sentinode.secretMounts" . | fromJsonArray }}
- name: secret-{{ .name }}
  secret:
    secretName: {{ .secretName | quote }}
    defaultMode: 0440
{{- with .items }}
    items:
      {{- toYaml . | nindent 6 }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "sentinode.mounts" -}}
- name: tmp
  mountPath: /tmp
- name: config
  mountPath: /etc/sentinode/config
  readOnly: true
- name: state
  mountPath: /var/lib/sentinode
{{- range include "sentinode.secretMounts" . | fromJsonArray }}
- name: secret-{{ .name }}
  mountPath: /etc/sentinode/secrets/{{ .name }}
  readOnly: true
{{- end }}
{{- end -}}

{{- define "sentinode.containerEnvironment" -}}
envFrom:
  - configMapRef:
      name: {{ include "sentinode.fullname" .root }}-settings
env:
  - name: HOME
    value: /tmp
  {{- include "sentinode.secretEnvironment" .root | trim | nindent 2 }}
{{- end -}}

{{/* Waits for the tables of this version, or makes them where nothing else does. */}}
{{- define "sentinode.initContainer" -}}
{{- $upgrades := and (eq (include "sentinode.migration" .root) "init") (eq .name "sweeper") -}}
- name: {{ ternary "upgrade-database" "wait-for-database" $upgrades }}
  image: {{ include "sentinode.image" (dict "root" .root "image" .root.Values.image.node) | quote }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  command: [sentinode]
  args: {{ ternary (list "db" "upgrade") (list "db" "wait") $upgrades | toJson }}
  {{- include "sentinode.containerEnvironment" . | nindent 2 }}
  securityContext:
    {{- include "sentinode.containerSecurity" . | nindent 4 }}
  resources:
    {{- /* Those of the container after it: a pod is counted by the larger, and where quotas ask for a limit both have it. */}}
    {{- toYaml .values.resources | nindent 4 }}
  volumeMounts:
    {{- include "sentinode.mounts" . | nindent 4 }}
{{- end -}}

{{/* Cluster-wide, so the namespace is part of it. root, class */}}
{{- define "sentinode.priorityClass" -}}
{{ printf "%s-%s-%s" (include "sentinode.fullname" .root) .class .root.Release.Namespace | trimSuffix "-" }}
{{- end -}}
