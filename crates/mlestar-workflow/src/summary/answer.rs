//! The first screen of the summary: whether the result is good enough, what is not, and what to do.

use crate::manifest::RunManifest;
use crate::{RunFolder, Stage};
use mlestar_gates::{RunVerdict, Status, Verdict};
use mlestar_report::{Block, Code, KeyFigure, Section};

/// Unmet criteria that the first screen has room for; the section on gates has all of them.
const MOST_SHOWN: usize = 3;

/// The first section; its heading is the answer. `figures` are what the model is judged by.
pub(super) fn section(
    verdict: &RunVerdict,
    run: &RunFolder,
    manifest: &RunManifest,
    figures: Vec<KeyFigure>,
) -> Section {
    let missing = not_run(manifest);
    let unmet = unmet(verdict, manifest);
    let mut section = Section::new(heading(verdict, &missing, &unmet));
    if !figures.is_empty() {
        section = section.block(figures);
    }
    if !unmet.is_empty() {
        section = section
            .block(Block::heading("Not met"))
            .block(Block::list(lines(&unmet)));
    }
    section = section.block(Block::heading("What to do"));
    let blocks = what_now(run, &missing, &unmet);
    blocks.into_iter().fold(section, Section::block)
}

/// Stages that have not finished.
fn not_run(manifest: &RunManifest) -> Vec<Stage> {
    let stages = Stage::ALL.into_iter();
    stages
        .filter(|stage| manifest.complete_stage(*stage).is_none())
        .collect()
}

/// The unmet criteria of the stages that have run, failed ones first.
fn unmet<'a>(verdict: &'a RunVerdict, manifest: &RunManifest) -> Vec<(Stage, &'a Verdict)> {
    let judged = Stage::ALL.into_iter().zip(&verdict.stages);
    let mut unmet: Vec<(Stage, &Verdict)> = judged
        .filter(|(stage, _)| manifest.complete_stage(*stage).is_some())
        .flat_map(|(stage, verdicts)| verdicts.unmet().map(move |verdict| (stage, verdict)))
        .collect();
    unmet.sort_by_key(|(_, verdict)| verdict.status != Status::Fail);
    unmet
}

fn heading(verdict: &RunVerdict, missing: &[Stage], unmet: &[(Stage, &Verdict)]) -> String {
    let total = verdict.counts().total();
    let has = |status| unmet.iter().any(|(_, verdict)| verdict.status == status);
    if has(Status::Fail) {
        return format!("Not good enough: {}", share_of(unmet.len(), total));
    }
    if has(Status::Stale) || has(Status::Missing) {
        return format!("Not proven: {}", share_of(unmet.len(), total));
    }
    if !unmet.is_empty() {
        return format!("Not decided yet: {}", share_of(unmet.len(), total));
    }
    match missing.len() {
        0 => format!("Good enough: all {total} criteria are met"),
        n if n == Stage::ALL.len() => "Nothing has run yet".to_owned(),
        n => format!("Not finished: {n} of {} stages not run", Stage::ALL.len()),
    }
}

fn share_of(unmet: usize, total: usize) -> String {
    let are = if unmet == 1 { "is" } else { "are" };
    format!("{unmet} of {total} criteria {are} not met")
}

/// A line for each criterion, as far as the first screen has room.
fn lines(unmet: &[(Stage, &Verdict)]) -> Vec<String> {
    let shown = unmet.iter().take(MOST_SHOWN);
    let mut lines: Vec<String> = shown
        .map(|(stage, verdict)| {
            let (number, status) = (stage.number(), verdict.status);
            format!("{status} in stage {number}: {}", verdict.message)
        })
        .collect();
    if unmet.len() > MOST_SHOWN {
        let more = unmet.len() - MOST_SHOWN;
        lines.push(format!("and {more} more, below under Gates"));
    }
    lines
}

/// What to change, and the command that resumes the run.
fn what_now(run: &RunFolder, missing: &[Stage], unmet: &[(Stage, &Verdict)]) -> Vec<Block> {
    // With the config that the run recorded.
    let again = format!("mlestar run --run {}", run.argument());
    let mut remedies: Vec<&str> = Vec::new();
    for (_, verdict) in unmet {
        let remedy = verdict.criterion.remedy.as_str();
        if !remedy.is_empty() && !remedies.contains(&remedy) {
            remedies.push(remedy);
        }
    }
    if !remedies.is_empty() {
        let caption = "Then run again. Only stale stages run:";
        return vec![
            Block::list(remedies.into_iter().take(MOST_SHOWN)),
            Code::new(again).caption(caption).into(),
        ];
    }
    if !missing.is_empty() {
        let caption = "Resume where it stopped:";
        return vec![Code::new(again).caption(caption).into()];
    }
    let command = format!("mlestar predict {} IMAGE", run.argument());
    let caption =
        "Predict with the model; 7-deployment/package/README.md says what it is good for:";
    vec![Code::new(command).caption(caption).into()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::StageRecord;
    use mlestar_gates::{Criterion, Evidence, Limit, Measurement, StageVerdict, Unit, judge};
    use mlestar_report::Page;

    /// Seven stages with one criterion each, measured as `evidence` says.
    fn verdict(evidence: impl Fn(Stage) -> Evidence) -> RunVerdict {
        let stages = Stage::ALL.map(|stage| {
            let criterion = Criterion {
                id: "accuracy".into(),
                title: "accuracy".into(),
                limit: Limit::AtLeast(0.9),
                unit: Unit::Fraction,
                remedy: format!("Change training.epochs of {}.", stage.stem()),
            };
            StageVerdict {
                stage: stage.stem().into(),
                verdicts: vec![judge(&criterion, evidence(stage))],
            }
        });
        RunVerdict {
            stages: stages.to_vec(),
        }
    }

    fn measured(value: f64) -> Evidence {
        Evidence::measured(Measurement::exact(value), ["a.json"])
    }

    fn html(verdict: &RunVerdict, n_complete: usize) -> String {
        let mut manifest = RunManifest::default();
        for stage in &Stage::ALL[..n_complete] {
            let record = StageRecord {
                complete: true,
                ..StageRecord::default()
            };
            manifest.set(*stage, record);
        }
        let run = RunFolder::new("runs/flowers");
        let section = section(verdict, &run, &manifest, Vec::new());
        Page::new("t").section(section).render()
    }

    #[test]
    fn a_run_that_passes_is_good_enough_and_can_be_asked() {
        let html = html(&verdict(|_| measured(0.95)), 7);
        assert!(
            html.contains("Good enough: all 7 criteria are met"),
            "{html}"
        );
        assert!(html.contains("mlestar predict flowers IMAGE"));
        assert!(!html.contains("Change training.epochs"));
    }

    #[test]
    fn what_fails_stands_before_what_is_undecided_with_its_remedy() {
        let evidence = |stage| match stage {
            Stage::Evaluation => measured(0.5),
            Stage::Implementation => {
                let straddles = Measurement::with_interval(0.91, [0.85, 0.95]);
                Evidence::measured(straddles, ["a.json"])
            }
            _ => measured(0.95),
        };
        let html = html(&verdict(evidence), 7);
        assert!(
            html.contains("Not good enough: 2 of 7 criteria are not met"),
            "{html}"
        );
        let place = |text: &str| html.find(text).expect(text);
        assert!(place("FAIL in stage 5") < place("INCONCLUSIVE in stage 4"));
        assert!(place("Change training.epochs of evaluation") < place("mlestar run --run flowers"));
        assert!(!html.contains("mlestar predict"));
    }

    #[test]
    fn many_unmet_criteria_do_not_push_what_to_do_from_the_first_screen() {
        let html = html(&verdict(|_| measured(0.5)), 7);
        assert_eq!(html.matches("FAIL in stage").count(), MOST_SHOWN);
        assert!(html.contains("and 4 more, below under Gates"), "{html}");
    }

    /// A stage that has not run lacks all its evidence; that is one fact, not a list.
    #[test]
    fn stages_that_have_not_run_are_counted_and_not_listed() {
        let missing = |stage| match stage {
            Stage::Deployment => Evidence::missing("a.json", "it did not run"),
            _ => measured(0.95),
        };
        let html = html(&verdict(missing), 6);
        assert!(
            html.contains("Not finished: 1 of 7 stages not run"),
            "{html}"
        );
        assert!(!html.contains("MISSING") && html.contains("mlestar run --run flowers"));
    }
}
