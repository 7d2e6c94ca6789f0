//! The trials as TensorBoard shows them: a folder each, with its settings and its results.

use super::TRIAL_EVENTS;
use crate::{StageContext, WorkflowError};
use mlestar_train::TrainError;
use mlestar_train::tensorboard::{EventWriter, HparamStatus, HparamValue};
use mlestar_tune::{ParameterValue, StudyReport, TrialRecord, TrialState};
use std::path::Path;
use std::{fs, io};

/// The scalar that the trials are compared by.
const METRIC: &str = "validation/accuracy";

/// Writes the events of every trial of a study, those that were taken over from an earlier one included.
pub(super) fn write(context: &StageContext<'_>, study: &StudyReport) -> Result<(), WorkflowError> {
    // A resumed search already has those of its first trials.
    let all = context.path(TRIAL_EVENTS);
    if let Err(source) = fs::remove_dir_all(&all)
        && source.kind() != io::ErrorKind::NotFound
    {
        return Err(WorkflowError::RunFolder { path: all, source });
    }
    for trial in &study.trials {
        let folder = format!("{TRIAL_EVENTS}/trial-{:03}", trial.number);
        write_trial(&context.path(&folder), trial)?;
    }
    Ok(())
}

fn write_trial(folder: &Path, trial: &TrialRecord) -> Result<(), TrainError> {
    let mut writer = EventWriter::create(folder, 0)?;
    let settings: Vec<(&str, HparamValue)> = trial
        .parameters
        .iter()
        .map(|(key, value)| (key.as_str(), hparam(value)))
        .collect();
    writer.hparams_start(&settings, &[METRIC])?;
    for reported in &trial.intermediate {
        writer.scalars(reported.step, &[(METRIC, reported.value)])?;
    }
    writer.hparams_end(match trial.state {
        TrialState::Complete | TrialState::Pruned => HparamStatus::Success,
        TrialState::Failed => HparamStatus::Failure,
    })
}

fn hparam(value: &ParameterValue) -> HparamValue {
    match value {
        ParameterValue::Bool(value) => (*value).into(),
        ParameterValue::Int(value) => (*value as f64).into(),
        ParameterValue::Float(value) => (*value).into(),
        ParameterValue::Text(value) => value.as_str().into(),
        ParameterValue::List(_) | ParameterValue::Table(_) => value.to_string().as_str().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlestar_tune::IntermediateValue;

    #[test]
    fn a_trial_leaves_its_settings_and_its_results() {
        let folder = tempfile::tempdir().unwrap();
        let trial = TrialRecord {
            number: 4,
            state: TrialState::Complete,
            parameters: [
                ("training.batch_size".to_owned(), ParameterValue::Int(64)),
                (
                    "training.optimizer.kind".to_owned(),
                    ParameterValue::Text("lion".into()),
                ),
            ]
            .into_iter()
            .collect(),
            value: Some(0.75),
            values: Vec::new(),
            intermediate: vec![IntermediateValue {
                step: 1,
                value: 0.75,
            }],
            message: None,
        };
        write_trial(folder.path(), &trial).unwrap();
        let mut files = std::fs::read_dir(folder.path()).unwrap();
        let content = std::fs::read(files.next().unwrap().unwrap().path()).unwrap();
        let holds = |text: &str| {
            let bytes = text.as_bytes();
            content.windows(bytes.len()).any(|window| window == bytes)
        };
        for text in [
            "training.batch_size",
            "training.optimizer.kind",
            "lion",
            "validation/accuracy",
            "_hparams_/session_end_info",
        ] {
            assert!(holds(text), "{text}");
        }
        assert!(
            content
                .windows(4)
                .any(|window| window == 0.75_f32.to_le_bytes())
        );
    }
}
