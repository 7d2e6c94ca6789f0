//! Whether the demands are consistent.

use super::super::artifact::{Assessment, Feasibility, Source, Subject, TaskSpec};
use super::comparison;
use crate::config::MetricName;
use mlestar_gates::{Limit, Unit};

pub(super) fn assess(spec: &TaskSpec) -> Vec<Assessment> {
    let mut all = vec![
        not_above(
            "validation_minimum_fits_target",
            "the validation minimum is not above the primary target",
            (
                "task.quality.validation_accuracy_min",
                spec.quality.validation_accuracy_min,
            ),
            ("task.primary.target", spec.primary.target),
            "a model could reach the target and still fail the gate of stage 4",
        ),
        not_above(
            "class_minimum_fits_target",
            "the recall that every class must reach is not above the primary target",
            (
                "task.quality.per_class_recall_min",
                spec.quality.per_class_recall_min,
            ),
            ("task.primary.target", spec.primary.target),
            "when every class reaches its minimum, accuracy is at least as high: the target would \
             demand nothing",
        ),
    ];
    all.extend(recall_fits_accuracy(spec));
    all
}

/// Weighted recall is accuracy: a higher target for it would silently replace the primary one.
fn recall_fits_accuracy(spec: &TaskSpec) -> Option<Assessment> {
    let recall = spec
        .secondary
        .iter()
        .find(|target| target.metric == MetricName::RecallWeighted)?;
    (spec.primary.metric == MetricName::Accuracy).then(|| {
        not_above(
            "weighted_recall_fits_target",
            "the target of weighted recall, which equals accuracy, is not above that of accuracy",
            ("task.secondary.recall_weighted", recall.target),
            ("task.primary.target", spec.primary.target),
            "the secondary target would silently replace the primary one",
        )
    })
}

fn not_above(
    id: &str,
    title: &str,
    (lower_key, lower): (&str, f64),
    (upper_key, upper): (&str, f64),
    otherwise: &str,
) -> Assessment {
    let figure = |key: &str, value| {
        comparison(
            key,
            value,
            Unit::Fraction,
            Source::Config,
            "the specification",
        )
    };
    let (verdict, reason, recommendation) = if lower <= upper {
        (
            Feasibility::Feasible,
            format!("{lower} is not above {upper}"),
            "None.".to_owned(),
        )
    } else {
        (
            Feasibility::Infeasible,
            otherwise.to_owned(),
            format!("Lower {lower_key} or raise {upper_key}."),
        )
    };
    Assessment {
        id: id.to_owned(),
        subject: Subject::Consistency,
        title: title.to_owned(),
        demanded: Some(Limit::AtMost(upper)),
        unit: Unit::Fraction,
        comparisons: vec![figure(lower_key, lower), figure(upper_key, upper)],
        verdict,
        reason,
        recommendation,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{find, spec};
    use super::*;

    #[test]
    fn demands_that_contradict_each_other_are_found() {
        let verdict = |id: &str, change: fn(&mut TaskSpec)| {
            let mut spec = spec();
            spec.secondary[0].metric = MetricName::RecallWeighted;
            change(&mut spec);
            find(assess(&spec), id).verdict
        };
        for id in [
            "validation_minimum_fits_target",
            "class_minimum_fits_target",
            "weighted_recall_fits_target",
        ] {
            assert_eq!(verdict(id, |_| {}), Feasibility::Feasible);
            assert_eq!(
                verdict(id, |spec| spec.primary.target = 0.5),
                Feasibility::Infeasible
            );
        }
        let mut other = spec();
        other.primary.metric = MetricName::BalancedAccuracy;
        assert!(
            assess(&other)
                .iter()
                .all(|row| row.id != "weighted_recall_fits_target")
        );
    }
}
