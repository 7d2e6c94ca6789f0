//! `compare-trainings`.

use crate::cli::arguments::CompareTrainingsOptions;
use crate::cli::project;
use mlestar_gates::ExitCode;
use mlestar_workflow::WorkflowError;
use mlestar_workflow::training_comparison::{Curve, Group, TrainingComparison, compare};
use std::path::{Path, PathBuf};

pub fn run(options: &CompareTrainingsOptions) -> Result<ExitCode, WorkflowError> {
    let curves = options
        .trainings
        .iter()
        .map(|text| {
            let (label, path) = labelled(text)?;
            Curve::read(label, &path)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let comparison = compare(&curves, &options.reach)?;
    let files = comparison.write(&curves, &options.output)?;
    print(&comparison);
    for file in files {
        println!("{}", file.display());
    }
    Ok(ExitCode::Pass)
}

/// `LABEL=PATH`, or a path, whose last part is then the label. A plain name stands for `runs/NAME`, unless
/// there is such a file.
fn labelled(text: &str) -> Result<(String, PathBuf), WorkflowError> {
    let (label, path) = match text.split_once('=') {
        // A path may hold an equals sign, too.
        Some((label, path)) if !Path::new(text).exists() => (Some(label), Path::new(path)),
        _ => (None, Path::new(text)),
    };
    let name = path.file_stem().unwrap_or(path.as_os_str());
    let label = label.map_or_else(|| name.to_string_lossy().into_owned(), str::to_owned);
    if label.is_empty() {
        let message = format!("{text:?} has no label before the equals sign");
        return Err(WorkflowError::Usage(message));
    }
    let path = match path.exists() {
        true => path.to_owned(),
        false => project::run_path(path),
    };
    Ok((label, path))
}

fn print(comparison: &TrainingComparison) {
    for group in &comparison.groups {
        println!("{}", line(group, &comparison.levels));
        for training in &group.trainings {
            // Without them, its settings are not among the differences.
            let unknown = match training.seed {
                Some(_) => "",
                None => " (settings unknown)",
            };
            println!(
                "    {:.4} after {:.1} of {:.1} minutes  {}{unknown}",
                training.best_accuracy,
                training.best_after_minutes,
                training.minutes,
                training.path.display()
            );
        }
    }
    for difference in &comparison.differences {
        let values: Vec<&str> = difference.values.iter().map(|(_, v)| v.as_str()).collect();
        println!("{}: {}", difference.key, values.join(" | "));
    }
}

fn line(group: &Group, levels: &[f64]) -> String {
    let error = match group.standard_error {
        Some(error) => format!(" ± {error:.4} (n = {})", group.trainings.len()),
        None => String::new(),
    };
    let reached = levels
        .iter()
        .zip(&group.median_minutes)
        .filter_map(|(level, minutes)| Some(format!(", {level} in {:.1} min", (*minutes)?)));
    let reached: String = reached.collect();
    format!(
        "{}: best accuracy {:.4}{error}{reached}",
        group.label, group.mean_accuracy
    )
}
