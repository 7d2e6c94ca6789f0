//! Quality requirements: reachable, and measurable with the images that there are.

use super::super::artifact::{Assessment, ComparedFigure, Feasibility, Subject, TaskSpec};
use super::super::figures::FeasibilityFigures;
use super::targets::first_names;
use super::{computed, half_width, measured, smallest_proof};
use crate::config::Interpretability;
use crate::words::counted;
use mlestar_gates::{Limit, Unit};

pub(super) fn assess(spec: &TaskSpec, figures: &FeasibilityFigures) -> Vec<Assessment> {
    vec![
        validation_accuracy(spec, figures),
        overfitting_gap(spec, figures),
        class_recall(spec, figures),
        interpretability(spec, figures),
    ]
}

fn requirement(
    id: &str,
    title: &str,
    demanded: Option<Limit>,
    comparisons: Vec<ComparedFigure>,
    (verdict, reason, recommendation): (Feasibility, String, &str),
) -> Assessment {
    Assessment {
        id: id.to_owned(),
        subject: Subject::Quality,
        title: title.to_owned(),
        demanded,
        unit: Unit::Fraction,
        comparisons,
        verdict,
        reason,
        recommendation: recommendation.to_owned(),
    }
}

fn validation_accuracy(spec: &TaskSpec, figures: &FeasibilityFigures) -> Assessment {
    let minimum = spec.quality.validation_accuracy_min;
    let (data, confidence) = (&figures.data, spec.confidence);
    let (ceiling, n) = (data.accuracy_ceiling(), data.n_validation);
    let proof = smallest_proof(minimum, n, confidence);
    let judged = match proof {
        _ if n == 0 => (
            Feasibility::NotMeasurable,
            "there is no validation image".to_owned(),
            "Raise data.validation_fraction.",
        ),
        None => (
            Feasibility::Infeasible,
            format!("even {n} of {n} correct predictions would not prove it"),
            "Raise data.validation_fraction.",
        ),
        Some(found) if found > ceiling => (
            Feasibility::Doubtful,
            format!("proof needs a measured {found:.4}, above the ceiling {ceiling:.4}"),
            "Lower the requirement, or check the suspected labels.",
        ),
        Some(found) => (
            Feasibility::Feasible,
            format!("a measured {found:.4} on {n} images proves it; the ceiling is {ceiling:.4}"),
            "None.",
        ),
    };
    let mut comparisons = vec![
        computed(
            "upper bound: labels in doubt",
            ceiling,
            Unit::Fraction,
            "as for the accuracy target",
        ),
        computed(
            "half width of the interval at the minimum",
            half_width(minimum, n, confidence),
            Unit::Fraction,
            format!(
                "Wilson's interval, {}, confidence {confidence}",
                counted(n, "validation image")
            ),
        ),
    ];
    if let Some(simple) = data.simple_accuracy {
        let method = format!("stage 1, {} validation images; no network", data.n_simple);
        comparisons.push(measured(
            "lower bound: best simple classifier",
            simple,
            Unit::Fraction,
            method,
        ));
    }
    requirement(
        "validation_accuracy",
        "validation accuracy after training",
        Some(Limit::AtLeast(minimum)),
        comparisons,
        judged,
    )
}

fn overfitting_gap(spec: &TaskSpec, figures: &FeasibilityFigures) -> Assessment {
    let limit = spec.quality.overfitting_gap_max;
    let (data, confidence) = (&figures.data, spec.confidence);
    let at = spec.quality.validation_accuracy_min;
    // Both accuracies are uncertain; their half widths add as independent errors do.
    let of_train = half_width((at + limit).min(1.0), data.n_train, confidence);
    let of_validation = half_width(at, data.n_validation, confidence);
    let resolution = of_train.hypot(of_validation);
    let judged = if data.n_train == 0 || data.n_validation == 0 {
        (
            Feasibility::NotMeasurable,
            "a split is empty".to_owned(),
            "Provide training and validation images.",
        )
    } else if resolution > limit {
        (
            Feasibility::Doubtful,
            format!(
                "gaps below {resolution:.4} cannot be told from chance, so the gate can be INCONCLUSIVE"
            ),
            "Validate on more images, or allow a larger gap.",
        )
    } else {
        (
            Feasibility::Feasible,
            format!("gaps are measured to +-{resolution:.4}"),
            "None.",
        )
    };
    let comparisons = vec![computed(
        "resolution of the splits: half width of the interval of the difference",
        resolution,
        Unit::Fraction,
        format!(
            "{} training and {} validation images at an accuracy of {at}, confidence {confidence}",
            data.n_train, data.n_validation
        ),
    )];
    requirement(
        "overfitting_gap",
        "training accuracy minus validation accuracy",
        Some(Limit::AtMost(limit)),
        comparisons,
        judged,
    )
}

fn class_recall(spec: &TaskSpec, figures: &FeasibilityFigures) -> Assessment {
    let minimum = spec.quality.per_class_recall_min;
    let n = figures.data.n_smallest_test_class();
    let absent = &figures.data.classes_without_test;
    let proof = smallest_proof(minimum, n, spec.confidence);
    let judged = match proof {
        _ if n == 0 => (
            Feasibility::NotMeasurable,
            "no class has a test image".to_owned(),
            "Provide test images of every class.",
        ),
        None => (
            Feasibility::Infeasible,
            format!("even {n} of {n} correct predictions in the smallest class would not prove it"),
            "Collect more test images of that class, or lower the requirement.",
        ),
        Some(found) if !absent.is_empty() => (
            Feasibility::Doubtful,
            format!(
                "there is no test image of {}; of the others, a class of {n} proves it with a measured recall of \
                 {found:.4}",
                first_names(absent)
            ),
            "Provide test images of every class.",
        ),
        Some(found) => (
            Feasibility::Feasible,
            format!(
                "a class of {} proves it with a measured recall of {found:.4}",
                counted(n, "test image")
            ),
            "None.",
        ),
    };
    let mut comparisons = vec![computed(
        "half width of the interval at the minimum",
        half_width(minimum, n, spec.confidence),
        Unit::Fraction,
        format!(
            "Wilson's interval, {} of the smallest class, confidence {}",
            counted(n, "test image"),
            spec.confidence
        ),
    )];
    if let Some(found) = proof {
        let method = "the first whose interval lies wholly at or above the minimum";
        comparisons.push(computed(
            "smallest measured recall that proves it",
            found,
            Unit::Fraction,
            method,
        ));
    }
    requirement(
        "per_class_recall",
        "recall of every class on test images",
        Some(Limit::AtLeast(minimum)),
        comparisons,
        judged,
    )
}

/// What the reports of stage 5 show, compared with what the task asks for.
fn interpretability(spec: &TaskSpec, figures: &FeasibilityFigures) -> Assessment {
    let n_classes = spec.classes.len() as f64;
    let n_test = figures.data.n_test() as f64;
    let comparisons = vec![
        computed(
            "classes with figures of their own",
            n_classes,
            Unit::Count,
            "precision, recall and F1 of stage 5",
        ),
        computed(
            "predictions that are kept",
            n_test,
            Unit::Count,
            "one row per test image, with all probabilities",
        ),
        computed(
            "predictions with an explanation",
            0.0,
            Unit::Count,
            "no such method is built in",
        ),
    ];
    let judged = match spec.quality.interpretability {
        Interpretability::High => (
            Feasibility::Infeasible,
            "the task asks for explanations of single predictions, and there are none".to_owned(),
            "Set task.quality.interpretability to \"medium\".",
        ),
        level => (
            Feasibility::Feasible,
            match level {
                Interpretability::Low => "the task asks for aggregate figures".to_owned(),
                _ => "the task asks for the figures of every class and the wrong predictions"
                    .to_owned(),
            },
            "None.",
        ),
    };
    requirement(
        "interpretability",
        "how open decisions are to inspection",
        None,
        comparisons,
        judged,
    )
}

#[cfg(test)]
mod tests {
    use super::super::testing::{figures, find, spec};
    use super::*;

    fn verdict(
        id: &str,
        change: impl FnOnce(&mut TaskSpec, &mut FeasibilityFigures),
    ) -> Feasibility {
        let (mut spec, mut figures) = (spec(), figures());
        change(&mut spec, &mut figures);
        find(assess(&spec, &figures), id).verdict
    }

    #[test]
    fn requirements_need_enough_pictures() {
        for id in [
            "validation_accuracy",
            "overfitting_gap",
            "per_class_recall",
            "interpretability",
        ] {
            assert_eq!(verdict(id, |_, _| {}), Feasibility::Feasible, "{id}");
        }
        let small = |_: &mut TaskSpec, figures: &mut FeasibilityFigures| {
            figures.data.n_validation = 100;
            figures.data.test_class_counts = vec![6; 10];
        };
        assert_eq!(verdict("validation_accuracy", small), Feasibility::Feasible);
        assert_eq!(verdict("overfitting_gap", small), Feasibility::Doubtful);
        // Six of six prove no more than 0.61.
        assert_eq!(verdict("per_class_recall", small), Feasibility::Infeasible);
        assert_eq!(
            verdict("validation_accuracy", |_, f| f.data.n_validation = 10),
            Feasibility::Infeasible
        );
        for id in ["validation_accuracy", "overfitting_gap"] {
            assert_eq!(
                verdict(id, |_, f| f.data.n_validation = 0),
                Feasibility::NotMeasurable,
                "{id}"
            );
        }
        assert_eq!(
            verdict("per_class_recall", |_, f| f.data.test_class_counts =
                vec![0; 10]),
            Feasibility::NotMeasurable
        );
        assert_eq!(
            verdict("per_class_recall", |_, f| {
                f.data.test_class_counts[3] = 0;
                f.data.classes_without_test = vec!["class 3".into()];
            }),
            Feasibility::Doubtful
        );
    }

    #[test]
    fn explanations_of_single_predictions_are_not_promised() {
        let high = |spec: &mut TaskSpec, _: &mut FeasibilityFigures| {
            spec.quality.interpretability = Interpretability::High;
        };
        assert_eq!(verdict("interpretability", high), Feasibility::Infeasible);
    }
}
