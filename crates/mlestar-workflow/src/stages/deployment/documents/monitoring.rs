//! What to watch once the model is deployed.

use super::Facts;
use crate::stages::deployment::verdicts;
use mlestar_report::format;

pub(super) fn text(facts: &Facts<'_>) -> String {
    let paired = &facts.comparison.paired;
    let alarms = facts
        .metric("false_alarms")
        .map_or(0.0, |metric| metric.value);
    format!(
        "# Monitoring\n\n{place}\n\
         `mlestar serve` publishes these figures at `/metrics` for Prometheus, and deploy/alerts.yaml holds the rules.\n\n\
         | watch | expected | act when |\n|---|---|---|\n\
         | accuracy on images labelled later | {accuracy} | its interval lies below that |\n\
         | drift of brightness, contrast and predicted classes from the training images | population stability index below 0.1 | above 0.25: look at the images, label some |\n\
         | share of \"none of these\" | {alarms} on test images | it doubles: other things are photographed |\n\
         | latency, 95th percentile | {p95} on the machine of requirements.md | it doubles |\n\
         | requests answered with 429 | none | any for minutes: add a copy of the service |\n\n\
         Keep a sample of images with the model's predictions, and label some of them: accuracy is the only \
         measure that a change of the images cannot fool.\n\n\
         The exported file agreed with the trained network on {same} of {n} test images, logits to {difference:.1e}. \
         `mlestar package verify .` repeats a part of that on any machine: it predicts the golden images again.\n",
        place = verdicts::place(),
        accuracy = format::fraction(paired.accuracy_b),
        alarms = format::fraction(alarms),
        p95 = format::milliseconds(facts.measured.latency.p95.ms),
        same = facts.parity.parity.same_top1,
        n = facts.parity.pictures,
        difference = facts.parity.parity.max_abs_difference,
    )
}
