//! `predict`.

mod inputs;
mod launch;
mod rows;
mod shard;

use crate::cli::arguments::PredictOptions;
use crate::cli::console::Console;
use crate::cli::output;
use crate::cli::packages::package_of;
use crate::cli::project::set_threads;
use inputs::Input;
use mlestar_artifact::AtomicFile;
use mlestar_data::readers::name::shown;
use mlestar_export::Predictor;
use mlestar_export::package::{self, Manifest};
use mlestar_gates::ExitCode;
use mlestar_workflow::{Reporter, WorkflowError};
use rayon::prelude::*;
use rows::{Answer, Ranked, Rows};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

pub use shard::Shard;

/// Images that are decoded and predicted together.
const BATCH: usize = 64;

pub fn run(options: &PredictOptions) -> Result<ExitCode, WorkflowError> {
    if options.top == 0 {
        return Err(WorkflowError::Usage(
            "--top is 0, but must be at least 1".into(),
        ));
    }
    if options.slurm.is_chosen() {
        launch::launch(options)?;
        return Ok(ExitCode::Pass);
    }
    set_threads(options.threads)?;
    let opened = package_of(&options.model)?;
    tell_gates(&package::read_manifest(opened.folder())?);
    let predictor = Predictor::open(opened.folder())?;
    let all = inputs::collect(&options.inputs)?;
    let range = options.shard.map(|shard| shard.range(all.len()));
    let inputs = &all[range.unwrap_or(0..all.len())];
    let mut out = Output::new(options.output.as_deref())?;
    let n_classes = predictor.model().n_classes();
    let rows = Rows::new(options.format, options.top, n_classes);
    out.write(&rows.head())?;
    let mut console = Console::new();
    let shows_progress = out.is_apart() && inputs.len() > BATCH;
    let (mut n_done, mut n_failed) = (0, 0);
    for batch in inputs.chunks(BATCH) {
        let answers = answer(&predictor, batch, options.top)?;
        n_failed += answers
            .iter()
            .filter(|answer| answer.result.is_err())
            .count();
        out.write(&rows.text(&answers))?;
        n_done += batch.len();
        if shows_progress {
            console.progress("images", n_done as u64, inputs.len() as u64);
        }
    }
    out.finish()?;
    if n_failed == 0 {
        return Ok(ExitCode::Pass);
    }
    eprintln!("error: {n_failed} of {n_done} images could not be predicted; their rows say why",);
    Ok(ExitCode::ProgramFailure)
}

/// Warns when gates of the model are not met. It predicts all the same.
fn tell_gates(manifest: &Manifest) {
    let unmet: Vec<String> = manifest
        .gates
        .iter()
        .filter(|gate| gate.status != "PASS")
        .map(|gate| format!("{} {}", gate.gate, gate.status))
        .collect();
    if !unmet.is_empty() {
        eprintln!(
            "warning: not every gate of this model is met: {}",
            unmet.join(", ")
        );
    }
}

/// The predictions for a batch, in its order.
fn answer(
    predictor: &Predictor,
    batch: &[Input],
    top: usize,
) -> Result<Vec<Answer>, WorkflowError> {
    let preparation = predictor.preparation();
    let decoded: Vec<Result<_, String>> = batch
        .par_iter()
        .map(|input| match input {
            Input::File(path) => preparation.read(path),
            Input::Content(content) => preparation.apply(content),
            Input::Refused(_, reason) => Err(reason.clone()),
        })
        .collect();
    let readable = decoded.iter().flatten();
    let n = readable.clone().count();
    let pixels: Vec<u8> = readable
        .flat_map(|image| image.as_raw().iter().copied())
        .collect();
    let (height, width) = (preparation.height, preparation.width);
    let mut predictions = predictor
        .predict_batch(&pixels, n, height, width)?
        .into_iter();
    let answers = batch.iter().zip(decoded).map(|(input, decoded)| {
        let result: Result<Ranked, String> = decoded.and_then(|_| {
            let prediction = predictions.next();
            let prediction = prediction.ok_or("the model gave no prediction")?;
            Ok(Ranked {
                none_of_these: prediction.none_of_these,
                classes: predictor.top_k(&prediction, top),
            })
        });
        Answer {
            name: input.name(),
            result,
        }
    });
    Ok(answers.collect())
}

/// Where the rows go.
enum Output {
    Standard,
    File(AtomicFile, PathBuf),
}

impl Output {
    fn new(path: Option<&Path>) -> Result<Self, WorkflowError> {
        Ok(match path {
            None => Self::Standard,
            Some(path) => Self::File(AtomicFile::create(path)?, path.to_owned()),
        })
    }

    /// Whether the rows go elsewhere than to the terminal that shows the progress.
    fn is_apart(&self) -> bool {
        matches!(self, Self::File(..)) || !std::io::stdout().is_terminal()
    }

    fn write(&mut self, text: &str) -> Result<(), WorkflowError> {
        match self {
            Self::Standard => {
                output::write_raw(text.as_bytes());
                Ok(())
            }
            Self::File(file, path) => file.write_all(text.as_bytes()).map_err(|source| {
                WorkflowError::from(mlestar_artifact::ArtifactError::Write {
                    path: path.clone(),
                    source,
                })
            }),
        }
    }

    fn finish(self) -> Result<(), WorkflowError> {
        match self {
            Self::Standard => Ok(()),
            Self::File(file, path) => {
                file.commit()?;
                println!("{}", shown(&path));
                Ok(())
            }
        }
    }
}
