//! Metric targets: above what a blind guess reaches, below what the labels allow, and provable with
//! the test pictures that there are.

use super::super::artifact::{Assessment, Comparison, Subject, TargetSpec, TaskSpec, Verdict};
use super::super::figures::{DataFigures, FeasibilityFigures};
use super::{computed, half_width, measured, smallest_proof};
use crate::config::MetricName;
use mlestar_gates::{Limit, Unit};

pub(super) fn assess(spec: &TaskSpec, figures: &FeasibilityFigures) -> Vec<Assessment> {
    let mut all: Vec<Assessment> = spec
        .targets()
        .map(|target| assess_target(target, spec, &figures.data))
        .collect();
    all.push(resolution(spec, &figures.data));
    all
}

/// What always naming the most frequent class reaches, where it has the fraction `rate` of the
/// pictures: the other classes have recall and precision 0.
fn blind_value(metric: MetricName, rate: f64, n_classes: usize) -> f64 {
    match metric {
        MetricName::Accuracy | MetricName::RecallWeighted => rate,
        MetricName::BalancedAccuracy => 1.0 / n_classes.max(1) as f64,
        MetricName::PrecisionWeighted => rate * rate,
        MetricName::F1Weighted => rate * 2.0 * rate / (1.0 + rate),
    }
}

/// Whether a target demands something, and no bound rules it out.
pub(crate) fn is_realistic(target: &TargetSpec, spec: &TaskSpec, data: &DataFigures) -> bool {
    let blind = blind_value(target.metric, data.majority_rate(), spec.classes.len());
    target.target > blind && target.target <= highest_measurable(spec, data)
}

/// The ceiling that the labels set, plus what the test split cannot resolve.
fn highest_measurable(spec: &TaskSpec, data: &DataFigures) -> f64 {
    let ceiling = data.accuracy_ceiling();
    (ceiling + half_width(ceiling, data.n_test(), spec.confidence)).min(1.0)
}

fn assess_target(target: &TargetSpec, spec: &TaskSpec, data: &DataFigures) -> Assessment {
    let blind = blind_value(target.metric, data.majority_rate(), spec.classes.len());
    let ceiling = data.accuracy_ceiling();
    let (verdict, reason, recommendation) = if data.n_test() == 0 {
        (
            Verdict::NotMeasurable,
            "there is no test picture to measure it on".to_owned(),
            "Provide test pictures, or raise data.test_fraction.",
        )
    } else if target.target > highest_measurable(spec, data) {
        (
            Verdict::Infeasible,
            format!(
                "it is above {ceiling:.4}, what remains when the labels in doubt are wrong, by more than the test split resolves"
            ),
            "Check the suspected labels of stage 1, or lower the target.",
        )
    } else if target.target > ceiling {
        (
            Verdict::Doubtful,
            format!("it is above {ceiling:.4}, what remains when the labels in doubt are wrong"),
            "Check the suspected labels of stage 1 before training.",
        )
    } else if target.target <= blind {
        (
            Verdict::Doubtful,
            format!(
                "always naming the most frequent class reaches {blind:.4}: the target proves nothing"
            ),
            "Raise the target above that.",
        )
    } else {
        (
            Verdict::Feasible,
            between(target, data, blind, ceiling),
            "None.",
        )
    };
    Assessment {
        id: format!("target_{}", target.metric),
        subject: Subject::Target,
        title: format!(
            "{} on test pictures",
            target.metric.as_str().replace('_', " ")
        ),
        demanded: Some(Limit::AtLeast(target.target)),
        unit: Unit::Fraction,
        comparisons: bounds(target, spec, data, blind),
        verdict,
        reason,
        recommendation: recommendation.to_owned(),
    }
}

fn between(target: &TargetSpec, data: &DataFigures, blind: f64, ceiling: f64) -> String {
    let simple = data.simple_accuracy.filter(|_| is_accuracy(target.metric));
    match simple {
        Some(simple) if simple >= target.target => format!(
            "a simple classifier without a network already reaches {simple:.4}; the ceiling is {ceiling:.4}"
        ),
        Some(simple) => format!(
            "between {simple:.4}, which a simple classifier reaches, and the ceiling {ceiling:.4}: \
             {:.0}% of the way",
            100.0 * (target.target - simple) / (ceiling - simple).max(1e-9)
        ),
        None => format!("between {blind:.4} of a blind guess and the ceiling {ceiling:.4}"),
    }
}

/// Weighted recall is accuracy under another name.
fn is_accuracy(metric: MetricName) -> bool {
    matches!(metric, MetricName::Accuracy | MetricName::RecallWeighted)
}

fn bounds(target: &TargetSpec, spec: &TaskSpec, data: &DataFigures, blind: f64) -> Vec<Comparison> {
    let mut all = vec![computed(
        "lower bound: always naming the most frequent class",
        blind,
        Unit::Fraction,
        format!(
            "it has {:.4} of the {} test pictures",
            data.majority_rate(),
            data.n_test()
        ),
    )];
    if let Some(simple) = data.simple_accuracy.filter(|_| is_accuracy(target.metric)) {
        all.push(measured(
            "lower bound: best simple classifier",
            simple,
            Unit::Fraction,
            format!("stage 1, {} validation pictures; no network", data.n_simple),
        ));
    }
    all.push(computed(
        "upper bound: labels in doubt",
        data.accuracy_ceiling(),
        Unit::Fraction,
        format!(
            "1 less the share of {} pictures whose label is contradicted: {} by their neighbours \
             (which confirm {} of all labels), {} by an equal picture of another class",
            data.n_pictures,
            data.n_suspected_mislabels,
            data.label_neighbour_accuracy
                .map_or("no".to_owned(), |found| format!("{found:.3}")),
            data.n_conflicting_duplicates
        ),
    ));
    if data.n_leaked > 0 {
        all.push(measured(
            "validation and test pictures that an earlier split has too",
            data.n_leaked as f64,
            Unit::Count,
            "stage 1; measured accuracies can be too good by up to their share",
        ));
    }
    all.push(computed(
        "what the test split resolves: half width of the interval at the target",
        half_width(target.target, data.n_test(), spec.confidence),
        Unit::Fraction,
        format!(
            "Wilson's interval, {} pictures, confidence {}",
            data.n_test(),
            spec.confidence
        ),
    ));
    all
}

/// Whether the test split can prove the primary target at all.
fn resolution(spec: &TaskSpec, data: &DataFigures) -> Assessment {
    let (target, n_test) = (spec.primary.target, data.n_test());
    let proof = smallest_proof(target, n_test, spec.confidence);
    let ceiling = data.accuracy_ceiling();
    let (verdict, reason, recommendation) = match proof {
        _ if n_test == 0 => (
            Verdict::NotMeasurable,
            "there is no test picture".to_owned(),
            "Provide test pictures.",
        ),
        None => (
            Verdict::Infeasible,
            format!("even {n_test} of {n_test} right answers would not prove it"),
            "Collect more test pictures.",
        ),
        Some(found) if found > ceiling => (
            Verdict::Doubtful,
            format!("{found:.4} must be measured to prove it, above the ceiling {ceiling:.4}"),
            "Collect more test pictures, or check the suspected labels.",
        ),
        Some(found) => (
            Verdict::Feasible,
            format!(
                "{found:.4} measured on {n_test} pictures proves it; anything between is inconclusive"
            ),
            "None.",
        ),
    };
    let confidence = spec.confidence;
    let mut comparisons = vec![computed(
        "half width of the interval at the target",
        half_width(target, n_test, confidence),
        Unit::Fraction,
        format!("Wilson's interval, {n_test} test pictures, confidence {confidence}"),
    )];
    if let Some(found) = proof {
        comparisons.push(computed(
            "smallest measured value that proves the target",
            found,
            Unit::Fraction,
            "the first whose interval lies wholly at or above the target",
        ));
        comparisons.push(computed(
            "smallest excess over the target that can be proven",
            found - target,
            Unit::Fraction,
            "the value above less the target",
        ));
    }
    Assessment {
        id: "test_resolution".into(),
        subject: Subject::Target,
        title: format!(
            "test pictures that prove the {} target",
            spec.primary.metric.as_str().replace('_', " ")
        ),
        demanded: Some(Limit::AtLeast(target)),
        unit: Unit::Fraction,
        comparisons,
        verdict,
        reason,
        recommendation: recommendation.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{figures, find, spec};
    use super::*;

    fn verdict(target: f64, change: impl FnOnce(&mut FeasibilityFigures)) -> Verdict {
        let (mut spec, mut figures) = (spec(), figures());
        spec.primary.target = target;
        change(&mut figures);
        let realistic = is_realistic(&spec.primary, &spec, &figures.data);
        let verdict = find(assess(&spec, &figures), "target_accuracy").verdict;
        let ruled_out = matches!(verdict, Verdict::Infeasible) || target <= 0.1;
        assert_eq!(realistic, !ruled_out, "{target}");
        verdict
    }

    #[test]
    fn a_target_must_lie_between_its_bounds() {
        // 120 of 60,000 labels are in doubt: the ceiling is 0.998.
        assert_eq!(verdict(0.85, |_| {}), Verdict::Feasible);
        assert_eq!(verdict(0.9985, |_| {}), Verdict::Doubtful);
        assert_eq!(verdict(1.0, |_| {}), Verdict::Infeasible);
        assert_eq!(verdict(0.1, |_| {}), Verdict::Doubtful);
        assert_eq!(
            verdict(0.999, |f| f.data.n_suspected_mislabels = 0),
            Verdict::Feasible
        );
        // Neighbours that are right in half of all cases rule nothing out.
        assert_eq!(
            verdict(0.999, |f| f.data.label_neighbour_accuracy = Some(0.5)),
            Verdict::Feasible
        );
        assert_eq!(
            verdict(0.95, |f| f.data.n_conflicting_duplicates = 6_000),
            Verdict::Infeasible
        );
    }

    #[test]
    fn blind_values_are_those_of_a_constant_answer() {
        use mlestar_eval::{ConfusionMatrix, Predictions, averages};
        // 6 of 10 pictures are of class 0, and every answer is class 0.
        let labels = vec![0, 0, 0, 0, 0, 0, 1, 1, 1, 2];
        let predictions = Predictions::new(labels, [0.8, 0.1, 0.1].repeat(10), 3).unwrap();
        let found = averages(&ConfusionMatrix::from(&predictions)).weighted_average;
        let blind = |metric| blind_value(metric, 0.6, 3);
        assert!((blind(MetricName::PrecisionWeighted) - found.precision).abs() < 1e-12);
        assert!((blind(MetricName::RecallWeighted) - found.recall).abs() < 1e-12);
        assert!((blind(MetricName::F1Weighted) - found.f1).abs() < 1e-12);
        assert_eq!(blind(MetricName::BalancedAccuracy), 1.0 / 3.0);
    }

    #[test]
    fn few_test_pictures_prove_little() {
        let of = |count: usize| {
            let mut figures = figures();
            figures.data.test_class_counts = vec![count; 10];
            find(assess(&spec(), &figures), "test_resolution").verdict
        };
        assert_eq!(of(1_000), Verdict::Feasible);
        assert_eq!(of(2), Verdict::Infeasible);
        assert_eq!(of(0), Verdict::NotMeasurable);
    }
}
