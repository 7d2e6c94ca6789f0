//! The config with the best parameters.

use super::{StudyFolder, StudyStatus, TrialRow, progress};
use crate::WorkflowError;
use crate::config::{Config, RawConfig};
use mlestar_artifact::write_atomically;

/// The best trial of a study, or one of the front, and its config.
#[derive(Debug, Clone, PartialEq)]
pub struct Best {
    /// The study.
    pub status: StudyStatus,
    /// The trial.
    pub trial: TrialRow,
    /// The study's config with the parameters of the trial. Stage 6 does not search again.
    pub config: Config,
}

/// Finds the best trial, or the complete trial `number`, and writes `optimized.toml` with its parameters. Without a
/// number, several objectives have the trial of the front that is best in the first objective.
///
/// # Errors
/// No study or a damaged one, no such complete trial, or a folder that cannot be written.
pub fn best(folder: &StudyFolder, number: Option<u64>) -> Result<Best, WorkflowError> {
    let status = progress(folder)?;
    let chosen = number.or(status.best).or_else(|| best_of_front(&status));
    let mut complete = status.trials.iter().filter(|row| !row.values.is_empty());
    let Some(trial) = complete.find(|row| Some(row.number) == chosen).cloned() else {
        return Err(WorkflowError::Usage(match number {
            Some(number) => format!(
                "trial {number} of the study in {} is not complete; `mlestar tune status` lists the trials",
                folder.root().display()
            ),
            None => format!(
                "no trial of the study in {} is complete yet; go on with `mlestar tune`",
                folder.root().display()
            ),
        }));
    };
    let config = folder
        .read()?
        .config()?
        .with_parameters(&trial.parameters)?;
    let mut sections: RawConfig = (*config).clone();
    sections.refinement.enabled = false;
    let config = Config::check(sections)?;
    let text = format!("{}{}", heading(&status, &trial), config.to_toml()?);
    write_atomically(&folder.optimized_path(), text.as_bytes())?;
    Ok(Best {
        status,
        trial,
        config,
    })
}

fn best_of_front(status: &StudyStatus) -> Option<u64> {
    let front = status
        .trials
        .iter()
        .filter(|row| status.front.contains(&row.number));
    let sign = match status.objectives.first()?.direction() {
        mlestar_tune::Direction::Maximize => 1.0,
        mlestar_tune::Direction::Minimize => -1.0,
    };
    let value = |row: &&TrialRow| row.values.first().map_or(f64::NEG_INFINITY, |v| sign * v);
    front
        .max_by(|a, b| value(a).total_cmp(&value(b)).then(b.number.cmp(&a.number)))
        .map(|row| row.number)
}

fn heading(status: &StudyStatus, trial: &TrialRow) -> String {
    let values = status.objectives.iter().zip(&trial.values);
    let values: Vec<String> = values
        .map(|(objective, value)| format!("{} {}", objective.name(), objective.format(*value)))
        .collect();
    format!(
        "# Trial {} of the study {:?}, {} trials: {}\n# mlestar run --config optimized.toml\n\n",
        trial.number,
        status.name,
        status.trials.len(),
        values.join(", ")
    )
}
