//! The accuracy of one training over time, from its record or from a CSV file.

use crate::WorkflowError;
use crate::training_analysis::{find_trainings, newest_identity};
use mlestar_train::analysis::read_history;
use mlestar_train::checkpoint::TrainingIdentity;
use std::fs;
use std::path::{Path, PathBuf};

/// The validation accuracy of a training over the time that it took.
#[derive(Clone, Debug)]
pub struct Curve {
    /// What it is called; curves with the same label belong together.
    pub label: String,
    /// The folder or file that it was read from.
    pub path: PathBuf,
    /// Minutes of training and validation until each point, rising. Not empty.
    pub minutes: Vec<f64>,
    /// The accuracy (0-1) at each of them.
    pub accuracies: Vec<f64>,
    /// The settings in its checkpoint; absent without one, and for a CSV file.
    pub identity: Option<TrainingIdentity>,
}

const CSV_HEADER: &str = "seconds,accuracy";

impl Curve {
    /// Reads the curve at `path`: of a run (its baseline), of a training's folder, or of a CSV file with the
    /// header `seconds,accuracy`.
    ///
    /// # Errors
    /// [`WorkflowError::NoTraining`] when there is no record, and [`WorkflowError::Usage`] when a CSV file is
    /// not as it must be; the message names the file and the line.
    pub fn read(label: String, path: &Path) -> Result<Self, WorkflowError> {
        let is_csv = path
            .extension()
            .is_some_and(|ext| ext.eq_ignore_ascii_case("csv"));
        match is_csv {
            true => Self::from_csv(label, path),
            false => Self::from_training(label, path),
        }
    }

    fn from_training(label: String, path: &Path) -> Result<Self, WorkflowError> {
        let nothing = || WorkflowError::NoTraining {
            path: path.to_owned(),
        };
        let place = find_trainings(path)
            .into_iter()
            .next()
            .ok_or_else(nothing)?;
        let history = read_history(&place.folder)?;
        let mut seconds = 0.0;
        let (mut minutes, mut accuracies) = (Vec::new(), Vec::new());
        for epoch in &history.epochs {
            seconds += epoch.seconds + epoch.validation_seconds;
            if let Some(accuracy) = epoch.validation_accuracy {
                minutes.push(seconds / 60.0);
                accuracies.push(accuracy);
            }
        }
        let curve = Self {
            label,
            path: place.folder.clone(),
            minutes,
            accuracies,
            identity: newest_identity(&place.folder),
        };
        match curve.minutes.is_empty() {
            true => Err(nothing()),
            false => Ok(curve),
        }
    }

    fn from_csv(label: String, path: &Path) -> Result<Self, WorkflowError> {
        let wrong = |line: usize, what: &str| {
            WorkflowError::Usage(format!("{}, line {line}: {what}", path.display()))
        };
        let text = fs::read_to_string(path).map_err(|error| {
            WorkflowError::Usage(format!("{} cannot be read: {error}", path.display()))
        })?;
        let mut lines = text.lines().enumerate();
        let header = lines.next().map(|(_, line)| line.trim());
        if header != Some(CSV_HEADER) {
            return Err(wrong(1, &format!("the header must be {CSV_HEADER}")));
        }
        let (mut minutes, mut accuracies) = (Vec::new(), Vec::new());
        for (index, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
            let point = line.split_once(',').and_then(|(seconds, accuracy)| {
                let value = |text: &str| text.trim().parse::<f64>().ok();
                Some((value(seconds)? / 60.0, value(accuracy)?))
            });
            let Some((at, accuracy)) = point else {
                return Err(wrong(
                    index + 1,
                    &format!("{line:?} is not two numbers with a comma between them"),
                ));
            };
            let before = minutes.last().copied().unwrap_or(0.0);
            if !(at.is_finite() && at >= before) {
                return Err(wrong(index + 1, "the seconds must be 0 or more and rise"));
            }
            if !(0.0..=1.0).contains(&accuracy) {
                return Err(wrong(index + 1, "the accuracy must be 0 to 1"));
            }
            minutes.push(at);
            accuracies.push(accuracy);
        }
        if minutes.is_empty() {
            return Err(wrong(2, "there is no line after the header"));
        }
        Ok(Self {
            label,
            path: path.to_owned(),
            minutes,
            accuracies,
            identity: None,
        })
    }

    /// The seed of the training, where it is known.
    #[must_use]
    pub fn seed(&self) -> Option<u64> {
        self.identity.as_ref().map(|identity| identity.seed)
    }

    /// Minutes until the highest accuracy, and that accuracy; the first of equal ones.
    #[must_use]
    pub fn best(&self) -> (f64, f64) {
        let points = self
            .minutes
            .iter()
            .copied()
            .zip(self.accuracies.iter().copied());
        let better = |best: (f64, f64), point: (f64, f64)| match point.1 > best.1 {
            true => point,
            false => best,
        };
        points.fold((0.0, 0.0), better)
    }

    /// Minutes until the accuracy was first at least `level`.
    #[must_use]
    pub fn minutes_to(&self, level: f64) -> Option<f64> {
        let index = self.accuracies.iter().position(|value| *value >= level)?;
        self.minutes.get(index).copied()
    }
}
