//! The criteria that every gate checks before its figures count: is the stage up to date, are its files as it wrote
//! them, and is every reading of the test split on record? They cannot be switched off.

use super::Found;
use crate::freshness::{Surroundings, outdated};
use crate::manifest::{RunManifest, StageRecord, hash_folder};
use crate::words::counted;
use crate::{RunFolder, Stage, audit};
use mlestar_artifact::ContentHash;
use mlestar_gates::{Criterion, Evidence, Limit, Measurement, Unit, Verdict, judge};
use std::fs;

/// The criteria of this kind that the gate of `stage` has, with their verdicts.
pub(super) fn judge_standing(
    stage: Stage,
    surroundings: &Surroundings,
    run: &RunFolder,
    manifest: &RunManifest,
) -> Vec<Verdict> {
    let mut verdicts = vec![
        verdict(
            "up_to_date",
            "made from the current inputs",
            "Run the chain again: `mlestar run` reruns what is stale; `mlestar explain` says why it is.",
            up_to_date(stage, surroundings, run, manifest),
        ),
        verdict(
            "files_intact",
            "every file is as the stage wrote it",
            "Restore the file, or run the chain again: the stage reruns.",
            files_intact(stage, run, manifest),
        ),
    ];
    let reads_test = |record: &StageRecord| {
        let mark = record.audit.as_ref();
        mark.is_none_or(|mark| mark.test_readings > 0)
    };
    if manifest.complete_stage(stage).is_some_and(reads_test) {
        verdicts.push(verdict(
            "test_readings",
            "readings of the test split are on record",
            "Restore audit.jsonl. A rerun (--force) writes a new record, but that cannot tell how often the \
            test images were read before.",
            test_readings(stage, run, manifest),
        ));
    }
    verdicts
}

fn verdict(id: &str, title: &str, remedy: &str, found: Found<Measurement>) -> Verdict {
    let criterion = Criterion {
        id: id.into(),
        title: title.into(),
        limit: Limit::Equals(1.0),
        unit: Unit::Flag,
        remedy: remedy.into(),
    };
    let evidence = match found {
        Ok(measurement) => Evidence::measured(measurement, Vec::<String>::new()),
        Err(evidence) => *evidence,
    };
    judge(&criterion, evidence)
}

fn record(stage: Stage, manifest: &RunManifest) -> Found<&StageRecord> {
    manifest.complete_stage(stage).ok_or_else(|| {
        let file = stage.folder();
        Box::new(Evidence::missing(
            file,
            format!("stage {stage} has not finished"),
        ))
    })
}

fn up_to_date(
    stage: Stage,
    surroundings: &Surroundings,
    run: &RunFolder,
    manifest: &RunManifest,
) -> Found<Measurement> {
    record(stage, manifest)?;
    let reasons = outdated(stage, surroundings, run, manifest);
    match reasons.is_empty() {
        true => {
            Ok(Measurement::flag(true).noted("config, data, code and the files of earlier stages"))
        }
        false => Err(Box::new(Evidence::Stale { reasons })),
    }
}

fn files_intact(stage: Stage, run: &RunFolder, manifest: &RunManifest) -> Found<Measurement> {
    let record = record(stage, manifest)?;
    let folder = run.stage_folder(stage);
    let on_disk = hash_folder(&folder)
        .map_err(|error| Box::new(Evidence::missing(stage.folder(), error.to_string())))?;
    let mut n_wrong = 0;
    let mut first = None;
    for (name, recorded) in &record.outputs {
        let file = || RunFolder::display_name(stage, name);
        let wrong = match on_disk.get(name) {
            Some(found) if found == recorded => continue,
            Some(found) => Evidence::Altered {
                file: file(),
                recorded: recorded.short().into(),
                found: found.short().into(),
            },
            None => Evidence::missing(file(), "it is gone".to_owned()),
        };
        n_wrong += 1;
        first.get_or_insert(wrong);
    }
    match first {
        None => Ok(Measurement::flag(true).noted(counted(record.outputs.len(), "file"))),
        Some(Evidence::Missing { file, reason }) if n_wrong > 1 => {
            Err(Box::new(Evidence::missing(
                file,
                format!(
                    "{reason}; {} altered or missing",
                    counted(n_wrong - 1, "more file")
                ),
            )))
        }
        Some(evidence) => Err(Box::new(evidence)),
    }
}

/// The log up to its length when the stage ended, after checking that this part is unaltered.
fn test_readings(stage: Stage, run: &RunFolder, manifest: &RunManifest) -> Found<Measurement> {
    const FILE: &str = "audit.jsonl";
    let missing = |reason: String| Box::new(Evidence::missing(FILE, reason));
    let record = record(stage, manifest)?;
    let Some(mark) = &record.audit else {
        return Err(missing(format!("stage {stage} left no mark in it")));
    };
    let log = fs::read(run.audit_path()).map_err(|error| missing(error.to_string()))?;
    let length = usize::try_from(mark.bytes).unwrap_or(usize::MAX);
    let Some(then) = log.get(..length) else {
        return Err(missing(format!(
            "{} of the {} bytes that it had when stage {stage} ended are missing",
            mark.bytes - log.len() as u64,
            mark.bytes
        )));
    };
    let found = ContentHash::of_bytes(then);
    if found != mark.hash {
        return Err(Box::new(Evidence::Altered {
            file: FILE.into(),
            recorded: mark.hash.short().into(),
            found: found.short().into(),
        }));
    }
    let readings = audit::test_readings(then, stage);
    if readings.len() != mark.test_readings {
        return Err(Box::new(Evidence::Contradiction {
            file: "manifest.json".into(),
            claimed: mark.test_readings as f64,
            recomputed: readings.len() as f64,
            what: "readings of the test split".into(),
        }));
    }
    let last = readings.last().map_or("", String::as_str);
    Ok(Measurement::flag(true).noted(format!(
        "{} by this stage since the run started, the last for: {last}",
        readings.len()
    )))
}
