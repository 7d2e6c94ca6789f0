//! Metric targets: above what a blind guess reaches, below what the labels allow, and provable with
//! the test images that there are.

use super::super::artifact::{
    Assessment, ComparedFigure, Feasibility, Subject, TargetSpec, TaskSpec,
};
use super::super::figures::{DataFigures, FeasibilityFigures};
use super::{computed, half_width, measured, smallest_proof};
use crate::config::MetricName;
use mlestar_gates::{Limit, Unit};

pub(super) fn assess(spec: &TaskSpec, figures: &FeasibilityFigures) -> Vec<Assessment> {
    let mut all: Vec<Assessment> = spec
        .targets()
        .map(|target| assess_target(target, spec, figures))
        .collect();
    all.push(coverage(&figures.data));
    all.push(resolution(spec, &figures.data));
    all
}

/// What always predicting the most frequent class reaches, where it has the fraction `rate` of the images: the other
/// classes have recall and precision 0.
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

/// What simple classifiers reach on this metric: the best of those on colours, which stage 1 fits. Weighted averages are
/// close to accuracy; balanced accuracy is where no class is much larger than another.
fn simple_value(metric: MetricName, data: &DataFigures) -> Option<f64> {
    let largest = data.test_class_counts.iter().max().copied().unwrap_or(0);
    let is_balanced = 2 * largest <= 3 * data.n_smallest_test_class();
    data.simple_accuracy
        .filter(|_| metric != MetricName::BalancedAccuracy || is_balanced)
}

/// The share of a simple classifier's errors that a network trained from scratch usually removes at most, by the
/// training images per class. A cautious rule of thumb from small photographs. `None` where there are enough images
/// for it to say nothing.
fn usual_gain(pictures_a_class: usize) -> Option<f64> {
    match pictures_a_class {
        0..100 => Some(0.35),
        100..300 => Some(0.5),
        300..1_000 => Some(0.75),
        _ => None,
    }
}

/// How far a target is from what is known to be within reach.
struct Margin {
    /// What simple methods reach.
    simple: f64,
    /// Training images of a class, on average.
    pictures_a_class: usize,
    /// Share of the way from there to the ceiling that the target demands.
    demanded: f64,
    /// Share that is usual with so many images.
    usual: f64,
}

/// The margin of a target that demands more than is usual with so few images.
fn too_far(target: &TargetSpec, spec: &TaskSpec, figures: &FeasibilityFigures) -> Option<Margin> {
    let data = &figures.data;
    if figures.has_prior_knowledge {
        return None;
    }
    let pictures_a_class = data.n_train / spec.classes.len().max(1);
    let usual = usual_gain(pictures_a_class)?;
    // Shapes tell some classes apart that colours do not.
    let simple =
        simple_value(target.metric, data)?.max(data.label_neighbour_accuracy.unwrap_or(0.0));
    let demanded = (target.target - simple) / (data.accuracy_ceiling() - simple).max(1e-9);
    (demanded > usual).then_some(Margin {
        simple,
        pictures_a_class,
        demanded,
        usual,
    })
}

/// Whether a target is neither ruled out nor known to be within reach.
pub(crate) fn is_at_risk(
    target: &TargetSpec,
    spec: &TaskSpec,
    figures: &FeasibilityFigures,
) -> bool {
    is_realistic(target, spec, &figures.data) && too_far(target, spec, figures).is_some()
}

fn assess_target(target: &TargetSpec, spec: &TaskSpec, figures: &FeasibilityFigures) -> Assessment {
    let data = &figures.data;
    let simple = simple_value(target.metric, data);
    let blind = blind_value(target.metric, data.majority_rate(), spec.classes.len());
    let ceiling = data.accuracy_ceiling();
    let (verdict, reason, recommendation) = if data.n_test() == 0 {
        (
            Feasibility::NotMeasurable,
            "there is no test image to measure it on".to_owned(),
            "Provide test images, or raise data.test_fraction.",
        )
    } else if target.target > highest_measurable(spec, data) {
        (
            Feasibility::Infeasible,
            format!(
                "it is above {ceiling:.4}, the ceiling if the labels in doubt are wrong, by more than the \
                test split resolves"
            ),
            "Check the suspected labels of stage 1, or lower the target.",
        )
    } else if target.target > ceiling {
        (
            Feasibility::Doubtful,
            format!("it is above {ceiling:.4}, the ceiling if the labels in doubt are wrong"),
            "Check the suspected labels of stage 1 before training.",
        )
    } else if target.target <= blind {
        (
            Feasibility::Doubtful,
            format!(
                "always predicting the most frequent class reaches {blind:.4}: the target proves nothing"
            ),
            "Raise the target above that.",
        )
    } else if let Some(margin) = too_far(target, spec, figures) {
        (
            Feasibility::Doubtful,
            format!(
                "simple classifiers reach {:.4}, and the target demands {:.0}% of the way from there to the \
                ceiling {ceiling:.4}, with {} training images per class; a network trained from scratch \
                usually gets at most {:.0}% of the way with so few (a rule of thumb, not a bound)",
                margin.simple,
                100.0 * margin.demanded,
                margin.pictures_a_class,
                100.0 * margin.usual
            ),
            "Collect more images, start from trained weights (training.initial_weights), or lower the \
            target. Only a training tells for certain.",
        )
    } else if let Some(simple) = simple.filter(|simple| *simple >= target.target) {
        (
            Feasibility::Doubtful,
            format!(
                "a simple classifier without a network already reaches {simple:.4} ({} validation images): reaching the \
                 target would not show that the network is worth its cost",
                data.n_simple
            ),
            "Raise the target above that.",
        )
    } else {
        (
            Feasibility::Feasible,
            between(target, data, blind, ceiling),
            "None.",
        )
    };
    Assessment {
        id: format!("target_{}", target.metric),
        subject: Subject::Target,
        title: format!(
            "{} on test images",
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
    match simple_value(target.metric, data) {
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

fn bounds(
    target: &TargetSpec,
    spec: &TaskSpec,
    data: &DataFigures,
    blind: f64,
) -> Vec<ComparedFigure> {
    let mut all = vec![computed(
        "lower bound: always predicting the most frequent class",
        blind,
        Unit::Fraction,
        format!(
            "it has {:.4} of the {} test images",
            data.majority_rate(),
            data.n_test()
        ),
    )];
    if let Some(simple) = simple_value(target.metric, data) {
        let which = match is_accuracy(target.metric) {
            true => "",
            false => "; its accuracy, which this metric is close to",
        };
        all.push(measured(
            "best simple classifier by colours",
            simple,
            Unit::Fraction,
            format!(
                "stage 1, {} validation images; no network{which}",
                data.n_simple
            ),
        ));
        let n_classes = spec.classes.len().max(1);
        all.push(computed(
            "training images per class",
            (data.n_train / n_classes) as f64,
            Unit::Count,
            format!("{} in {n_classes} classes", data.n_train),
        ));
    }
    if let Some(neighbours) = data.label_neighbour_accuracy {
        all.push(measured(
            "nearest neighbours by shape",
            neighbours,
            Unit::Fraction,
            "stage 1, images of all splits whose nearest training images vote for their label; no network",
        ));
    }
    all.push(computed(
        "upper bound: labels in doubt",
        data.accuracy_ceiling(),
        Unit::Fraction,
        format!(
            "1 minus the share of {} images whose label is contradicted: {} by their neighbours \
             (which confirm {} of all labels), {} by an equal image of another class",
            data.n_pictures,
            data.n_suspected_mislabels,
            data.label_neighbour_accuracy
                .map_or("no".to_owned(), |found| format!("{found:.3}")),
            data.n_conflicting_duplicates
        ),
    ));
    if data.n_leaked.test > 0 {
        let share = data.n_leaked.test as f64 / data.n_test().max(1) as f64;
        all.push(measured(
            "test images that repeat one of an earlier split or continue its sequence",
            share,
            Unit::Fraction,
            format!(
                "stage 1, {} of {}; test accuracy can be too good by this share, and by more if stage 1 has \
                not recognised all",
                data.n_leaked.test,
                data.n_test()
            ),
        ));
    }
    all.push(computed(
        "resolution of the test split: half width of the interval at the target",
        half_width(target.target, data.n_test(), spec.confidence),
        Unit::Fraction,
        format!(
            "Wilson's interval, {} images, confidence {}",
            data.n_test(),
            spec.confidence
        ),
    ));
    all
}

/// Whether every class has images to judge it by.
fn coverage(data: &DataFigures) -> Assessment {
    let n_classes = data.test_class_counts.len();
    let missing = [
        ("validation", &data.classes_without_validation),
        ("test", &data.classes_without_test),
    ];
    let named: Vec<String> = missing
        .iter()
        .filter(|(_, classes)| !classes.is_empty())
        .map(|(split, classes)| format!("no {split} image of {}", first_names(classes)))
        .collect();
    let (verdict, reason, recommendation) = match named.is_empty() {
        true => (
            Feasibility::Feasible,
            format!("all {n_classes} classes have validation and test images"),
            "None.",
        ),
        false => (
            Feasibility::Doubtful,
            format!(
                "{}: nothing can be said about them, and averages over classes are over the others",
                named.join("; ")
            ),
            "Add images of these classes to that split.",
        ),
    };
    let comparisons = missing
        .iter()
        .map(|(split, classes)| {
            measured(
                &format!("classes without a {split} image"),
                classes.len() as f64,
                Unit::Count,
                format!("of {n_classes}, counted by stage 1"),
            )
        })
        .collect();
    Assessment {
        id: "classes_covered".into(),
        subject: Subject::Quality,
        title: "every class has images to judge it by".into(),
        demanded: None,
        unit: Unit::Count,
        comparisons,
        verdict,
        reason,
        recommendation: recommendation.to_owned(),
    }
}

/// Names that are written out; the rest is counted.
const LISTED_NAMES: usize = 5;

pub(super) fn first_names(names: &[String]) -> String {
    let listed = names.iter().take(LISTED_NAMES).map(String::as_str);
    let listed = listed.collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(LISTED_NAMES) {
        0 => listed,
        rest => format!("{listed} and {rest} more"),
    }
}

/// Whether the test split can prove the primary target at all.
fn resolution(spec: &TaskSpec, data: &DataFigures) -> Assessment {
    let (target, n_test) = (spec.primary.target, data.n_test());
    let proof = smallest_proof(target, n_test, spec.confidence);
    let ceiling = data.accuracy_ceiling();
    let (verdict, reason, recommendation) = match proof {
        _ if n_test == 0 => (
            Feasibility::NotMeasurable,
            "there is no test image".to_owned(),
            "Provide test images.",
        ),
        None => (
            Feasibility::Infeasible,
            format!("even {n_test} of {n_test} correct predictions would not prove it"),
            "Collect more test images.",
        ),
        Some(found) if found > ceiling => (
            Feasibility::Doubtful,
            format!("proof needs a measured {found:.4}, above the ceiling {ceiling:.4}"),
            "Collect more test images, or check the suspected labels.",
        ),
        Some(found) => (
            Feasibility::Feasible,
            format!(
                "a measured {found:.4} on {n_test} images proves it; values between the target and that are \
                inconclusive"
            ),
            "None.",
        ),
    };
    let confidence = spec.confidence;
    let mut comparisons = vec![computed(
        "half width of the interval at the target",
        half_width(target, n_test, confidence),
        Unit::Fraction,
        format!("Wilson's interval, {n_test} test images, confidence {confidence}"),
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
            "the value above minus the target",
        ));
    }
    Assessment {
        id: "test_resolution".into(),
        subject: Subject::Target,
        title: format!(
            "test images that prove the {} target",
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

    fn verdict(target: f64, change: impl FnOnce(&mut FeasibilityFigures)) -> Feasibility {
        let (mut spec, mut figures) = (spec(), figures());
        spec.primary.target = target;
        change(&mut figures);
        let realistic = is_realistic(&spec.primary, &spec, &figures.data);
        let verdict = find(assess(&spec, &figures), "target_accuracy").verdict;
        let ruled_out = matches!(verdict, Feasibility::Infeasible) || target <= 0.1;
        assert_eq!(realistic, !ruled_out, "{target}");
        verdict
    }

    #[test]
    fn a_target_must_lie_between_its_bounds() {
        // 120 of 60,000 labels are in doubt: the ceiling is 0.998.
        assert_eq!(verdict(0.85, |_| {}), Feasibility::Feasible);
        assert_eq!(verdict(0.9985, |_| {}), Feasibility::Doubtful);
        assert_eq!(verdict(1.0, |_| {}), Feasibility::Infeasible);
        assert_eq!(verdict(0.1, |_| {}), Feasibility::Doubtful);
        assert_eq!(
            verdict(0.999, |f| f.data.n_suspected_mislabels = 0),
            Feasibility::Feasible
        );
        // Neighbours that are right in half of all cases rule nothing out.
        assert_eq!(
            verdict(0.999, |f| f.data.label_neighbour_accuracy = Some(0.5)),
            Feasibility::Feasible
        );
        assert_eq!(
            verdict(0.95, |f| f.data.n_conflicting_duplicates = 6_000),
            Feasibility::Infeasible
        );
    }

    /// 0.85 is no promise where a linear classifier has 0.58 and there are 195 images to learn from.
    #[test]
    fn a_target_far_above_simple_classifiers_is_at_risk_with_few_pictures() {
        let at = |n_train: usize, simple, target, prior| {
            let (mut spec, mut figures) = (spec(), figures());
            spec.classes.truncate(2);
            spec.primary.target = target;
            figures.data.n_train = n_train;
            figures.data.test_class_counts = vec![1_000; 2];
            figures.data.simple_accuracy = Some(simple);
            figures.data.label_neighbour_accuracy = Some(0.55);
            figures.has_prior_knowledge = prior;
            let at_risk = is_at_risk(&spec.primary, &spec, &figures);
            let row = find(assess(&spec, &figures), "target_accuracy");
            assert_eq!(
                at_risk,
                row.verdict == Feasibility::Doubtful && target > simple
            );
            row
        };
        let ants_and_bees = at(195, 0.58, 0.85, false);
        assert_eq!(ants_and_bees.verdict, Feasibility::Doubtful);
        insta::assert_snapshot!(ants_and_bees.reason, @"simple classifiers reach 0.5800, and the target demands 64% of the way from there to the ceiling 1.0000, with 97 training images per class; a network trained from scratch usually gets at most 35% of the way with so few (a rule of thumb, not a bound)");
        assert_eq!(at(195, 0.58, 0.85, true).verdict, Feasibility::Feasible);
        assert_eq!(at(195, 0.58, 0.65, false).verdict, Feasibility::Feasible);
        assert_eq!(at(9_000, 0.58, 0.85, false).verdict, Feasibility::Feasible);
    }

    #[test]
    fn a_target_below_a_simple_classifier_is_not_feasible_without_a_word() {
        let mut figures = figures();
        figures.data.simple_accuracy = Some(0.91);
        let row = find(assess(&spec(), &figures), "target_accuracy");
        assert_eq!(row.verdict, Feasibility::Doubtful);
        assert!(
            row.reason.contains("already reaches 0.9100"),
            "{}",
            row.reason
        );
        // It can be reached, so that the gate has nothing against it.
        assert!(is_realistic(&spec().primary, &spec(), &figures.data));
        assert!(!is_at_risk(&spec().primary, &spec(), &figures));
    }

    #[test]
    fn a_class_without_pictures_is_named() {
        let mut figures = figures();
        assert_eq!(
            find(assess(&spec(), &figures), "classes_covered").verdict,
            Feasibility::Feasible
        );
        figures.data.classes_without_test = vec!["fish".into()];
        let row = find(assess(&spec(), &figures), "classes_covered");
        assert_eq!(row.verdict, Feasibility::Doubtful);
        assert!(
            row.reason.starts_with("no test image of fish:"),
            "{}",
            row.reason
        );
    }

    #[test]
    fn blind_values_are_those_of_a_constant_answer() {
        use mlestar_eval::{ConfusionMatrix, Predictions, averages};
        // 6 of 10 images are of class 0, and every answer is class 0.
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
        assert_eq!(of(1_000), Feasibility::Feasible);
        assert_eq!(of(2), Feasibility::Infeasible);
        assert_eq!(of(0), Feasibility::NotMeasurable);
    }
}
