{{- define "operator.name" -}}
{{- if contains "quorate-operator" .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-quorate-operator" .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "operator.selector" -}}
app.kubernetes.io/name: quorate-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "operator.labels" -}}
{{ include "operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "operator.serviceAccount" -}}
{{- if .Values.serviceAccount.name -}}
{{- .Values.serviceAccount.name -}}
{{- else if .Values.serviceAccount.create -}}
{{- include "operator.name" . -}}
{{- else -}}
default
{{- end -}}
{{- end -}}

{{- define "operator.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default (printf "v%s" .Chart.AppVersion)) -}}
{{- end -}}
{{- end -}}

{{- /* What the operator does to the objects of clusters, and nothing else. Secrets are read by name: they are not listed. */ -}}
{{- define "operator.rules" -}}
# Makes and deletes the clusters of rehearsals.
- apiGroups: [quorate.io]
  resources: [etcdclusters]
  verbs: [get, list, watch, create, delete]
- apiGroups: [quorate.io]
  resources: [etcdclusters/status]
  verbs: [patch]
- apiGroups: [quorate.io]
  resources: [etcdmembers]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [quorate.io]
  resources: [etcdbackups]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [quorate.io]
  resources: [etcdbackupschedules, etcdrestores]
  verbs: [get, list, watch]
- apiGroups: [quorate.io]
  resources: [etcdbackups/status, etcdbackupschedules/status, etcdrestores/status]
  verbs: [patch]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, create, patch, delete]
# Whether a namespace is being deleted.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get]
- apiGroups: [""]
  resources: [pods, persistentvolumeclaims, services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create, patch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [monitoring.coreos.com]
  resources: [podmonitors]
  verbs: [get, create, patch, delete]
- apiGroups: [cert-manager.io]
  resources: [certificates]
  verbs: [get, list, create, patch, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{/* As the operator names it: those of several namespaces elect apart. */}}
{{- define "operator.lease" -}}
quorate-operator{{ with .Values.watchNamespace }}-{{ . }}{{ end }}
{{- end -}}
