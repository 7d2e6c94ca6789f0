//! The gate of stage 2. Every assessment is derived again from the specification and the raw
//! figures.

use super::{ArtifactReader, Found, agree};
use crate::stages::situation_analysis::{self, SituationAnalysis};
use crate::stages::task_definition::{
    Assessment, Feasibility, FeasibilityReport, FeasibilitySummary, REPORT, SPEC, Subject,
    TaskSpec, assess, is_at_risk, is_realistic,
};
use crate::words::counted;
use crate::{RunFolder, Stage};
use mlestar_data::SplitName;
use mlestar_gates::Measurement;

const STAGE: Stage = Stage::TaskDefinition;

/// Measures the criterion `id` of stage 2; `None` where it has no such criterion.
pub(super) fn measure(id: &str, reader: &ArtifactReader<'_>) -> Option<Found<Measurement>> {
    Some(match id {
        "measurable_targets" => measurable_targets(reader),
        "realistic_targets" => realistic_targets(reader),
        "feasible_constraints" => feasible_constraints(reader),
        "quality_requirements_consistent" => consistent(reader),
        _ => return None,
    })
}

/// The specification, the report, and the assessments that follow from both.
struct Derived {
    spec: TaskSpec,
    report: FeasibilityReport,
    assessments: Vec<Assessment>,
}

fn derive(reader: &ArtifactReader<'_>) -> Found<Derived> {
    let spec: TaskSpec = reader.artifact(STAGE, SPEC)?;
    let report: FeasibilityReport = reader.artifact(STAGE, REPORT)?;
    let assessments = assess(&spec, &report.figures);
    let same_verdict = |row: &&Assessment| {
        let claimed = report
            .assessments
            .iter()
            .find(|claimed| claimed.id == row.id);
        claimed.is_some_and(|claimed| claimed.verdict == row.verdict)
    };
    let n_same = assessments.iter().filter(same_verdict).count();
    let file = || RunFolder::display_name(STAGE, REPORT);
    let n_claimed = report.assessments.len();
    agree(
        file(),
        "verdicts that follow from the figures",
        n_claimed as f64,
        n_same as f64,
    )?;
    let counted = FeasibilitySummary::of(&assessments);
    for (what, claimed, recomputed) in [
        ("feasible", report.summary.n_feasible, counted.n_feasible),
        ("doubtful", report.summary.n_doubtful, counted.n_doubtful),
        (
            "infeasible",
            report.summary.n_infeasible,
            counted.n_infeasible,
        ),
        (
            "not measurable",
            report.summary.n_not_measurable,
            counted.n_not_measurable,
        ),
    ] {
        let what = format!("demands that are {what}");
        agree(file(), &what, claimed as f64, recomputed as f64)?;
    }
    Ok(Derived {
        spec,
        report,
        assessments,
    })
}

fn measurable_targets(reader: &ArtifactReader<'_>) -> Found<Measurement> {
    let Derived { spec, report, .. } = derive(reader)?;
    let analysis: SituationAnalysis =
        reader.artifact(Stage::SituationAnalysis, situation_analysis::ARTIFACT)?;
    let data = &report.figures.data;
    let n_test = analysis
        .measurements
        .class_counts
        .test
        .iter()
        .sum::<usize>();
    let file = RunFolder::display_name(STAGE, REPORT);
    agree(file, "test images", data.n_test() as f64, n_test as f64)?;
    // Averages over classes leave out a class without a test image.
    let has_pictures = n_test > 0 && data.test_class_counts.len() == spec.classes.len();
    let is_measurable = |target: f64| has_pictures && target > 0.0 && target <= 1.0;
    let absent = match analysis.measurements.classes_without(SplitName::Test).len() {
        0 => String::new(),
        n => format!(
            ", without images of {n} of {}",
            counted(spec.classes.len(), "class")
        ),
    };
    let n_targets = spec.targets().count();
    let n_measurable = spec
        .targets()
        .filter(|target| is_measurable(target.target))
        .count();
    Ok(
        Measurement::exact(n_measurable as f64 / n_targets as f64).noted(format!(
            "{n_measurable} of {}, on {}{absent}",
            counted(n_targets, "target"),
            counted(n_test, "test image")
        )),
    )
}

/// A target at risk counts as neither within reach nor out of reach: it widens the interval.
fn realistic_targets(reader: &ArtifactReader<'_>) -> Found<Measurement> {
    let Derived { spec, report, .. } = derive(reader)?;
    let n_targets = spec.targets().count();
    let unrealistic: Vec<String> = spec
        .targets()
        .filter(|target| !is_realistic(target, &spec, &report.figures.data))
        .map(|target| format!("{} {}", target.metric, target.target))
        .collect();
    let at_risk: Vec<String> = spec
        .targets()
        .filter(|target| is_at_risk(target, &spec, &report.figures))
        .map(|target| format!("{} {}", target.metric, target.target))
        .collect();
    let n_realistic = n_targets - unrealistic.len();
    let mut notes = Vec::new();
    if !unrealistic.is_empty() {
        notes.push(format!("not realistic: {}", unrealistic.join(", ")));
    }
    if !at_risk.is_empty() {
        notes.push(format!(
            "at risk with so few training images: {}",
            at_risk.join(", ")
        ));
    }
    let note = match notes.is_empty() {
        true => format!("{n_realistic} of {}", counted(n_targets, "target")),
        false => notes.join("; "),
    };
    let share = |n: usize| n as f64 / n_targets as f64;
    let certain = share(n_realistic - at_risk.len());
    Ok(match at_risk.is_empty() {
        true => Measurement::exact(certain),
        false => Measurement::with_interval(certain, [certain, share(n_realistic)]),
    }
    .noted(note))
}

/// A doubtful constraint counts as neither met nor broken: it widens the interval.
fn feasible_constraints(reader: &ArtifactReader<'_>) -> Found<Measurement> {
    let Derived { assessments, .. } = derive(reader)?;
    let constraints: Vec<&Assessment> = assessments
        .iter()
        .filter(|row| row.subject == Subject::Constraint)
        .collect();
    let n = constraints.len().max(1) as f64;
    let with = |verdict| constraints.iter().filter(move |row| row.verdict == verdict);
    let n_feasible = with(Feasibility::Feasible).count() as f64;
    let n_doubtful = with(Feasibility::Doubtful).count() as f64;
    let others = constraints
        .iter()
        .filter(|row| row.verdict != Feasibility::Feasible);
    let named: Vec<String> = others
        .map(|row| format!("{} is {}: {}", row.title, row.verdict.as_str(), row.reason))
        .collect();
    let note = match named.is_empty() {
        true => counted(n as usize, "constraint"),
        false => named.join("; "),
    };
    let value = n_feasible / n;
    Ok(match n_doubtful > 0.0 {
        true => Measurement::with_interval(value, [value, (n_feasible + n_doubtful) / n]),
        false => Measurement::exact(value),
    }
    .noted(note))
}

fn consistent(reader: &ArtifactReader<'_>) -> Found<Measurement> {
    let Derived { assessments, .. } = derive(reader)?;
    let rows = assessments
        .iter()
        .filter(|row| row.subject == Subject::Consistency);
    let contradictions: Vec<String> = rows
        .filter(|row| row.verdict != Feasibility::Feasible)
        .map(|row| row.recommendation.clone())
        .collect();
    Ok(Measurement::flag(contradictions.is_empty()).noted(contradictions.join(" ")))
}
