//! An S3 store for backups, in the default namespace.

use serde_json::{Value, json};

use super::Image;

/// What its pod runs.
pub const IMAGES: [Image; 2] = [Image::Versitygw, Image::Debug];

/// A bucket that is a folder of a pod's, whose container `shell` has it too.
pub const MANIFEST: &str = r#"
apiVersion: v1
kind: Secret
metadata: {name: store}
stringData: {accessKeyId: quorate, secretAccessKey: not-a-secret}
---
apiVersion: v1
kind: Service
metadata: {name: store}
spec:
  selector: {app: store}
  ports: [{port: 7070}]
---
apiVersion: v1
kind: Pod
metadata: {name: store, labels: {app: store}}
spec:
  containers:
  - name: store
    image: quorate.test/versitygw:e2e
    imagePullPolicy: Never
    args: ["--access", "quorate", "--secret", "not-a-secret", "--port", ":7070", "posix", "/data"]
    ports: [{containerPort: 7070}]
    readinessProbe: {tcpSocket: {port: 7070}, periodSeconds: 1}
    volumeMounts: [{name: data, mountPath: /data/backups, subPath: backups}]
  - name: shell
    image: quorate.test/debug:e2e
    imagePullPolicy: Never
    command: ["sleep", "infinity"]
    volumeMounts: [{name: data, mountPath: /data/backups, subPath: backups}]
  volumes: [{name: data, emptyDir: {}}]
"#;

/// As resources name it.
pub fn store() -> Value {
    json!({"s3": {"bucket": "backups", "endpoint": "http://store.default.svc:7070", "credentialsSecret": "store"}})
}
