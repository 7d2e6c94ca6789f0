//! The deployment on Kubernetes.

use super::Facts;

const MIB: u64 = 1 << 20;
/// What the server needs besides the model: its threads, connections and images on their way.
const SERVER_MIB: u64 = 64;

pub(super) fn text(facts: &Facts<'_>) -> String {
    let name = facts.service_name();
    let version = facts.chosen.weights.short();
    let memory = facts.measured.memory_bytes().div_ceil(MIB) + SERVER_MIB;
    let threads = facts.measured.threads.max(1);
    format!(
        "# Memory: what was measured with the package, {SERVER_MIB} MiB for the server, and twice that as the limit.\n\
         apiVersion: apps/v1\n\
         kind: Deployment\n\
         metadata:\n  name: {name}\n  labels:\n    app: {name}\n\
         spec:\n  replicas: 2\n  selector:\n    matchLabels:\n      app: {name}\n  template:\n    \
         metadata:\n      labels:\n        app: {name}\n        model: \"{version}\"\n      \
         annotations:\n        prometheus.io/scrape: \"true\"\n        prometheus.io/port: \"8080\"\n    \
         spec:\n      terminationGracePeriodSeconds: 30\n      containers:\n        \
         - name: server\n          image: {name}\n          ports:\n            - name: http\n              containerPort: 8080\n          \
         resources:\n            requests:\n              cpu: \"{threads}\"\n              memory: {memory}Mi\n            \
         limits:\n              memory: {limit}Mi\n          \
         startupProbe:\n            httpGet:\n              path: /v2/health/ready\n              port: http\n            periodSeconds: 1\n            failureThreshold: 60\n          \
         readinessProbe:\n            httpGet:\n              path: /v2/health/ready\n              port: http\n            periodSeconds: 5\n          \
         livenessProbe:\n            httpGet:\n              path: /v2/health/live\n              port: http\n            periodSeconds: 10\n            timeoutSeconds: 5\n          \
         securityContext:\n            allowPrivilegeEscalation: false\n            readOnlyRootFilesystem: true\n            runAsNonRoot: true\n            runAsUser: 65532\n            capabilities:\n              drop: [\"ALL\"]\n\
         ---\n\
         apiVersion: v1\n\
         kind: Service\n\
         metadata:\n  name: {name}\n  labels:\n    app: {name}\n\
         spec:\n  selector:\n    app: {name}\n  ports:\n    - name: http\n      port: 80\n      targetPort: http\n",
        limit = 2 * memory,
    )
}
