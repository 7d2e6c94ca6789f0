//! `analyze-training`.

use crate::cli::arguments::AnalyzeTrainingOptions;
use crate::cli::project;
use mlestar_gates::ExitCode;
use mlestar_workflow::WorkflowError;
use mlestar_workflow::training_analysis::{
    AnalysedTraining, SettingsSource, TrainingPlace, analyse_training, find_trainings,
};
use mlestar_workflow::words::counted;
use std::path::PathBuf;

pub fn run(options: &AnalyzeTrainingOptions) -> Result<ExitCode, WorkflowError> {
    let named = options.folder.as_deref();
    let project = project::open_at(&options.project, named)?;
    let path = project::named_path(named).unwrap_or_else(|| project.run.root().to_owned());
    let mut n_analysed = 0;
    for place in find_trainings(&path) {
        let Some(analysed) = analyse_training(&place, &project.config)? else {
            continue;
        };
        let files = analysed.write(&place)?;
        if n_analysed > 0 {
            println!();
        }
        print_analysis(&place, &analysed, &files);
        n_analysed += 1;
    }
    if n_analysed > 0 {
        return Ok(ExitCode::Pass);
    }
    eprintln!(
        "error: no training has recorded anything in {}; `mlestar run --to 4` trains. Name the run's \
         folder, or a folder with metrics.jsonl or steps.jsonl",
        path.display()
    );
    Ok(ExitCode::MissingArtifact)
}

fn print_analysis(place: &TrainingPlace, analysed: &AnalysedTraining, files: &[PathBuf]) {
    let analysis = &analysed.analysis;
    let best = match (analysis.best_epoch, analysis.best_validation_accuracy) {
        (Some(epoch), Some(accuracy)) => {
            format!(", best validation accuracy {accuracy:.4} in epoch {epoch}")
        }
        _ => String::new(),
    };
    // Without a checkpoint the config may be another training's.
    let epochs = match analysis.epochs <= analysis.epochs_planned {
        true => format!(
            "{} of {}",
            analysis.epochs,
            counted(analysis.epochs_planned, "epoch")
        ),
        false => counted(analysis.epochs, "epoch"),
    };
    println!(
        "{}: {}, {}{best}",
        place.name,
        epochs,
        counted(analysis.steps, "step")
    );
    if analysis.settings_from == SettingsSource::Config {
        println!("no checkpoint can be read: the settings are those of the config");
    }
    if analysis.findings.is_empty() {
        println!("nothing found");
    }
    for (index, finding) in analysis.findings.iter().enumerate() {
        println!(
            "{}. {}, {}",
            index + 1,
            finding.kind.title(),
            finding.severity.word()
        );
        println!("   {}", finding.statement);
        for suggestion in &finding.suggestions {
            let now = suggestion.configured.as_deref().unwrap_or("not set");
            println!(
                "   try --set '{suggestion}' (now {now}): {}",
                suggestion.reason
            );
        }
    }
    for file in files {
        println!("{}", file.display());
    }
}
