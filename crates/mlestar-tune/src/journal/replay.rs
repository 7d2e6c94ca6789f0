//! What the lines of a journal say, applied in order, by the rules of Optuna's `JournalStorageReplayResult`.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use serde_json::{Map, Value};

use super::distribution::Distribution;
use super::line::Line;
use crate::space::Parameters;
use crate::study::Direction;

/// The state of a trial, with Optuna's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Running,
    Complete,
    Pruned,
    Failed,
    Waiting,
}

impl State {
    pub(super) fn code(self) -> u8 {
        self as u8
    }

    fn of_code(code: u8) -> Result<Self, String> {
        let states = [
            Self::Running,
            Self::Complete,
            Self::Pruned,
            Self::Failed,
            Self::Waiting,
        ];
        let found = states.get(usize::from(code)).copied();
        found.ok_or_else(|| format!("unknown state {code} of a trial"))
    }

    pub(crate) fn is_finished(self) -> bool {
        matches!(self, Self::Complete | Self::Pruned | Self::Failed)
    }
}

/// A study of the journal.
#[derive(Debug)]
pub(crate) struct Study {
    pub(crate) id: usize,
    pub(crate) name: String,
    pub(crate) directions: Vec<Direction>,
    pub(crate) system: Map<String, Value>,
    /// Ids of its trials, in order of their numbers.
    pub(crate) trials: Vec<usize>,
    /// Ids of trials in the order in which they began or went on: a trial once for each time.
    pub(crate) begun: Vec<usize>,
}

/// A trial of the journal.
#[derive(Debug)]
pub(crate) struct JournalTrial {
    pub(crate) id: usize,
    pub(crate) study: usize,
    pub(crate) number: usize,
    pub(crate) state: State,
    pub(crate) parameters: Parameters,
    pub(crate) values: Vec<f64>,
    /// NaN where Python wrote it.
    pub(crate) intermediate: BTreeMap<i64, f64>,
    pub(crate) user: Map<String, Value>,
    pub(crate) system: Map<String, Value>,
}

/// All studies and trials of a journal.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    /// By id; none for one that was deleted.
    studies: Vec<Option<Study>>,
    trials: Vec<JournalTrial>,
    /// Distributions by their text: trials of a study repeat them.
    distributions: HashMap<String, Rc<Distribution>>,
}

impl Replay {
    pub(crate) fn studies(&self) -> impl Iterator<Item = &Study> {
        self.studies.iter().flatten()
    }

    /// How many studies there ever were: the id of the next one.
    pub(crate) fn n_studies(&self) -> usize {
        self.studies.len()
    }

    pub(crate) fn study(&self, id: usize) -> Option<&Study> {
        self.studies.get(id)?.as_ref()
    }

    /// How many trials there are: the id of the next one.
    pub(crate) fn n_trials(&self) -> usize {
        self.trials.len()
    }

    pub(crate) fn trial(&self, id: usize) -> Option<&JournalTrial> {
        self.trials.get(id)
    }

    /// The trials of a study, by number.
    pub(crate) fn trials_of(&self, study: usize) -> impl Iterator<Item = &JournalTrial> {
        let ids = self.study(study).map(|study| study.trials.as_slice());
        ids.unwrap_or_default()
            .iter()
            .filter_map(|id| self.trials.get(*id))
    }

    pub(super) fn apply(&mut self, line: Line<'_>) -> Result<(), String> {
        match line.op_code {
            0 => self.create_study(&line),
            1 => {
                if let Some(study) = self.studies.get_mut(need(line.study_id, "study_id")?) {
                    *study = None;
                }
                Ok(())
            }
            2 | 10 => Ok(()),
            3 => {
                let study = self.studies.get_mut(need(line.study_id, "study_id")?);
                if let Some(Some(study)) = study {
                    study.system.extend(line.system_attr.unwrap_or_default());
                }
                Ok(())
            }
            4 => self.create_trial(line),
            5..=9 => self.change_trial(line),
            other => Err(format!("unknown operation {other}")),
        }
    }

    fn create_study(&mut self, line: &Line<'_>) -> Result<(), String> {
        let name = line.study_name.as_ref().ok_or("`study_name` is missing")?;
        if self.studies().any(|study| study.name == *name) {
            return Ok(());
        }
        let direction = |code: &u8| match code {
            2 => Direction::Maximize,
            _ => Direction::Minimize,
        };
        let directions = line.directions.as_ref().ok_or("`directions` is missing")?;
        self.studies.push(Some(Study {
            id: self.studies.len(),
            name: name.to_string(),
            directions: directions.iter().map(direction).collect(),
            system: Map::new(),
            trials: Vec::new(),
            begun: Vec::new(),
        }));
        Ok(())
    }

    fn create_trial(&mut self, line: Line<'_>) -> Result<(), String> {
        let study_id = need(line.study_id, "study_id")?;
        let id = self.trials.len();
        let mut parameters = Parameters::new();
        let distributions = line.distributions.unwrap_or_default();
        for (key, stored) in line.params.unwrap_or_default() {
            let text = distributions
                .get(&key)
                .ok_or("a parameter has no distribution")?;
            let value = self.distribution(text)?.value(stored)?;
            parameters.insert(key.into_owned(), value);
        }
        let Some(Some(study)) = self.studies.get_mut(study_id) else {
            return Ok(());
        };
        let state = line.state.map_or(Ok(State::Running), State::of_code)?;
        let number = study.trials.len();
        study.trials.push(id);
        if state != State::Waiting {
            study.begun.push(id);
        }
        let steps = line.intermediate_values.unwrap_or_default();
        let steps = steps
            .into_iter()
            .filter_map(|(step, value)| Some((step.parse().ok()?, value.unwrap_or(f64::NAN))));
        self.trials.push(JournalTrial {
            id,
            study: study_id,
            number,
            state,
            parameters,
            values: line
                .values
                .or(line.value.map(|value| vec![value]))
                .unwrap_or_default(),
            intermediate: steps.collect(),
            user: line.user_attrs.unwrap_or_default(),
            system: line.system_attrs.unwrap_or_default(),
        });
        Ok(())
    }

    /// Operations on a trial that is missing or finished have no effect.
    fn change_trial(&mut self, line: Line<'_>) -> Result<(), String> {
        let id = need(line.trial_id, "trial_id")?;
        let parameter = match (
            &line.param_name,
            &line.distribution,
            line.param_value_internal,
        ) {
            (Some(name), Some(text), Some(stored)) => {
                Some((name.to_string(), self.distribution(text)?.value(stored)?))
            }
            _ => None,
        };
        let Some(trial) = self
            .trials
            .get_mut(id)
            .filter(|trial| !trial.state.is_finished())
        else {
            return Ok(());
        };
        match line.op_code {
            5 => trial.parameters.extend(parameter),
            6 => {
                let state = need(line.state, "state").and_then(State::of_code)?;
                let begins = state == State::Running && trial.state != State::Running;
                trial.state = state;
                if let Some(values) = line.values {
                    trial.values = values;
                }
                if begins && let Some(Some(study)) = self.studies.get_mut(trial.study) {
                    study.begun.push(id);
                }
            }
            7 => {
                let step = need(line.step, "step")?;
                let value = line.intermediate_value.unwrap_or(f64::NAN);
                trial.intermediate.insert(step, value);
            }
            8 => trial.user.extend(line.user_attr.unwrap_or_default()),
            _ => trial.system.extend(line.system_attr.unwrap_or_default()),
        }
        Ok(())
    }

    fn distribution(&mut self, text: &str) -> Result<Rc<Distribution>, String> {
        if let Some(known) = self.distributions.get(text) {
            return Ok(Rc::clone(known));
        }
        let parsed = Rc::new(Distribution::parse(text)?);
        self.distributions
            .insert(text.to_owned(), Rc::clone(&parsed));
        Ok(parsed)
    }
}

fn need<T>(field: Option<T>, name: &str) -> Result<T, String> {
    field.ok_or_else(|| format!("`{name}` is missing"))
}
