//! The verdicts in the headers of the stages' pages.
//!
//! A stage writes its pages before its gate is judged, and a verdict can change later: with another limit, or because
//! an earlier stage is stale. Code that judges the gates of a run therefore updates the pages with [`refresh`]. The
//! hash of a page leaves this part out ([`content_hash`](crate::manifest::content_hash)).

use crate::manifest::{RunManifest, is_page};
use crate::{RunFolder, Stage, WorkflowError};
use mlestar_artifact::write_atomically;
use mlestar_gates::{RunVerdict, StageVerdict, Status};
use mlestar_report::{Link, VerdictHeader};
use std::fs;
use std::path::Path;

/// The evaluation of the final model: a second page of its stage, besides the main one.
pub(crate) const FINAL_REPORT: &str = "final_report.html";

/// Writes the verdicts on a stage and on the run into the header of every page of a finished stage.
///
/// A page that is already right is not written again. A missing page, or one without this part, is left alone: the
/// gates report it as altered.
///
/// # Errors
/// When a page cannot be read or written.
pub fn refresh(
    run: &RunFolder,
    manifest: &RunManifest,
    verdict: &RunVerdict,
) -> Result<(), WorkflowError> {
    for stage in Stage::ALL {
        let Some(record) = manifest.complete_stage(stage) else {
            continue;
        };
        let Some(own) = of_stage(verdict, stage) else {
            continue;
        };
        for name in record.outputs.keys().filter(|n| is_page(Path::new(n))) {
            let path = run.artifact(stage, name);
            let Ok(page) = fs::read_to_string(&path) else {
                continue;
            };
            // The stage's folder, and those inside it.
            let to_root = "../".repeat(1 + name.matches('/').count());
            let header = VerdictHeader {
                stage: own.clone(),
                run: verdict.status(),
                unmet_elsewhere: unmet_elsewhere(verdict, stage, manifest, &to_root),
                summary: Link::new("Summary of the run", format!("{to_root}summary.html")),
                previous: neighbour(stage.number().checked_sub(2), manifest, &to_root),
                next: neighbour(Some(stage.number()), manifest, &to_root),
            };
            if let Some(filled) = header.fill(&page)
                && filled != page
            {
                write_atomically(&path, filled.as_bytes())?;
            }
        }
    }
    Ok(())
}

fn of_stage(verdict: &RunVerdict, stage: Stage) -> Option<&StageVerdict> {
    verdict.stages.iter().find(|own| own.stage == stage.stem())
}

/// Finished stages whose gates are not met, and whether others have not run at all.
fn unmet_elsewhere(
    verdict: &RunVerdict,
    page_of: Stage,
    manifest: &RunManifest,
    to_root: &str,
) -> Vec<Link> {
    Stage::ALL
        .into_iter()
        .filter(|stage| *stage != page_of)
        .filter_map(|stage| {
            let status = of_stage(verdict, stage)?.status();
            let said = match manifest.complete_stage(stage) {
                _ if status == Status::Pass => return None,
                Some(_) => status.to_string(),
                None => "has not run".to_owned(),
            };
            let text = format!("{stage} ({said})");
            Some(Link::new(text, page_path(stage, manifest, to_root)))
        })
        .collect()
}

fn neighbour(index: Option<usize>, manifest: &RunManifest, to_root: &str) -> Option<Link> {
    let stage = *Stage::ALL.get(index?)?;
    Some(Link::new(
        stage.to_string(),
        page_path(stage, manifest, to_root),
    ))
}

/// The path of a stage's main page; empty where it has none.
fn page_path(stage: Stage, manifest: &RunManifest, to_root: &str) -> String {
    main_page(stage, manifest).map_or_else(String::new, |page| {
        format!("{to_root}{}/{page}", stage.folder())
    })
}

/// The page about a finished stage's work.
pub(crate) fn main_page(stage: Stage, manifest: &RunManifest) -> Option<&str> {
    let record = manifest.complete_stage(stage)?;
    record
        .outputs
        .keys()
        .map(String::as_str)
        .find(|name| is_page(Path::new(name)) && *name != FINAL_REPORT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{StageRecord, hash_folder};
    use mlestar_report::Page;

    fn verdict(failing: Stage) -> RunVerdict {
        use mlestar_gates::{Criterion, Evidence, Limit, Measurement, Unit, judge};
        let criterion = Criterion {
            id: "a".into(),
            title: "accuracy".into(),
            limit: Limit::AtLeast(0.9),
            unit: Unit::Fraction,
            remedy: "train longer".into(),
        };
        let stage = |stage: Stage| {
            let value = if stage == failing { 0.5 } else { 0.95 };
            let evidence = Evidence::measured(Measurement::exact(value), ["b.json"]);
            StageVerdict {
                stage: stage.stem().into(),
                verdicts: vec![judge(&criterion, evidence)],
            }
        };
        RunVerdict {
            stages: Stage::ALL.map(stage).to_vec(),
        }
    }

    /// A run whose first two stages have finished, each with a page; the second one's also inside a folder.
    fn run_with_pages(folder: &Path) -> (RunFolder, RunManifest) {
        let run = RunFolder::new(folder);
        let mut manifest = RunManifest::default();
        let page = Page::new("Title").render();
        let [first, second, ..] = Stage::ALL;
        for (stage, name) in [
            (first, "report.html"),
            (second, "report.html"),
            (second, "docs/inner.html"),
        ] {
            write_atomically(&run.artifact(stage, name), page.as_bytes()).unwrap();
        }
        for stage in [first, second] {
            let record = StageRecord {
                complete: true,
                outputs: hash_folder(&run.stage_folder(stage)).unwrap(),
                ..StageRecord::default()
            };
            manifest.set(stage, record);
        }
        (run, manifest)
    }

    fn read(run: &RunFolder, stage: Stage, name: &str) -> String {
        fs::read_to_string(run.artifact(stage, name)).unwrap()
    }

    #[test]
    fn every_page_says_that_a_gate_of_the_run_is_not_met() {
        let folder = tempfile::tempdir().unwrap();
        let (run, manifest) = run_with_pages(folder.path());
        let [first, second, ..] = Stage::ALL;
        refresh(&run, &manifest, &verdict(second)).unwrap();
        let page = read(&run, first, "report.html");
        assert!(page.contains("PASS") && page.contains("FAIL"), "{page}");
        assert!(page.contains("href=\"../2-task-definition/docs/inner.html\""));
        assert!(page.contains("href=\"../summary.html\""));
        let inner = read(&run, second, "docs/inner.html");
        assert!(inner.contains("is below the limit"), "{inner}");
        assert!(inner.contains("href=\"../../1-situation-analysis/report.html\""));
        // Stage 3 has not run: it is named without a link.
        assert!(inner.contains("<span class=\"muted\">3 Action planning</span>"));
        for name in ["report.html", "docs/inner.html"] {
            assert!(read(&run, second, name).contains("FAIL"));
        }
    }

    #[test]
    fn a_refresh_never_alters_a_page_and_every_other_edit_does() {
        let folder = tempfile::tempdir().unwrap();
        let (run, manifest) = run_with_pages(folder.path());
        let [first, second, ..] = Stage::ALL;
        let outputs = |stage| hash_folder(&run.stage_folder(stage)).unwrap();
        for failing in [first, second, Stage::Deployment] {
            refresh(&run, &manifest, &verdict(failing)).unwrap();
            for stage in [first, second] {
                assert_eq!(outputs(stage), manifest.stage(stage).unwrap().outputs);
            }
        }
        let path = run.artifact(first, "report.html");
        let page = fs::read_to_string(&path).unwrap();
        // Inside the part: undone by the next refresh. Elsewhere: found.
        fs::write(&path, page.replace("criteria met", "criteria bent")).unwrap();
        assert_eq!(outputs(first), manifest.stage(first).unwrap().outputs);
        refresh(&run, &manifest, &verdict(Stage::Deployment)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), page);
        fs::write(&path, page.replace("<h1>Title", "<h1>Tital")).unwrap();
        assert_ne!(outputs(first), manifest.stage(first).unwrap().outputs);
        // A missing page, or a file that is no page, stops nothing.
        fs::remove_file(&path).unwrap();
        fs::write(run.artifact(second, "report.html"), [0xff, 0xfe]).unwrap();
        refresh(&run, &manifest, &verdict(second)).unwrap();
        assert_eq!(
            fs::read(run.artifact(second, "report.html")).unwrap(),
            [0xff, 0xfe]
        );
    }
}
