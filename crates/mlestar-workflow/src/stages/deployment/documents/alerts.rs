//! The alert rules for Prometheus.

use super::Facts;

pub(super) fn text(facts: &Facts<'_>) -> String {
    let name = facts.service_name();
    // The histogram of the server has buckets up to seconds; below this the rule would only see the network.
    let latency = (2.0 * facts.measured.latency.p95.ms / 1e3).max(0.01);
    let alarms = facts
        .metric("false_alarms")
        .map_or(0.0, |metric| metric.value);
    // Twice the share on test images, and no less than that of a few images in an hour.
    let none_of_these = (2.0 * alarms).max(0.05);
    format!(
        "# Rules for the figures that `mlestar serve` publishes at /metrics.\n\
         groups:\n  \
         - name: {name}\n    rules:\n      \
         - alert: ModelImagesHaveChanged\n        \
         expr: mlestar_drift_psi > 0.25\n        \
         for: 30m\n        labels:\n          severity: warning\n        annotations:\n          \
         summary: The images differ from the training images ({{{{ $labels.of }}}}).\n      \
         - alert: ModelSeesOtherThings\n        \
         expr: sum(rate(mlestar_none_of_these_total[1h])) / sum(rate(mlestar_predictions_total[1h])) > {none_of_these:.4}\n        \
         for: 1h\n        labels:\n          severity: warning\n        annotations:\n          \
         summary: Twice as many images as expected are none of the classes.\n      \
         - alert: ModelIsSlow\n        \
         expr: histogram_quantile(0.95, sum by (le) (rate(mlestar_phase_seconds_bucket{{phase=\"compute\"}}[10m]))) > {latency:.4}\n        \
         for: 10m\n        labels:\n          severity: warning\n        annotations:\n          \
         summary: Predicting takes twice as long as measured when the package was made.\n      \
         - alert: ModelRefusesWork\n        \
         expr: sum by (reason) (rate(mlestar_rejected_total[5m])) > 0\n        \
         for: 5m\n        labels:\n          severity: critical\n        annotations:\n          \
         summary: The server refuses requests for overload ({{{{ $labels.reason }}}}).\n      \
         - alert: ModelReloadFailed\n        \
         expr: increase(mlestar_reloads_total{{result=\"failed\"}}[1h]) > 0\n        \
         labels:\n          severity: warning\n        annotations:\n          \
         summary: A new package was refused; the old model still answers.\n"
    )
}
