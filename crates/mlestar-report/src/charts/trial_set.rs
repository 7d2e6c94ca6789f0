use super::{MAX_ITEMS, TrialState, check_count, check_length};
use crate::drawing::{Range, Scale, Tick, short_number, truncate};
use crate::{ReportError, format};

/// The trials of a hyper-parameter search, as charts and tables of trials show them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TrialSet {
    /// The number of each trial.
    pub numbers: Vec<u64>,
    /// How each trial ended.
    pub states: Vec<TrialState>,
    /// What was measured, one for each objective.
    pub objectives: Vec<TrialObjective>,
    /// What was tried.
    pub settings: Vec<TrialSetting>,
    /// A remark on each trial, such as why it failed; may be empty.
    pub remarks: Vec<String>,
}

/// One objective of a search.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialObjective {
    /// Its name, with its unit.
    pub label: String,
    /// Whether larger values are better.
    pub maximize: bool,
    /// The value of each trial; of a pruned one the last that it reported; NaN if there is none.
    pub values: Vec<f64>,
}

/// One setting of the trials of a search.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialSetting {
    /// Its name.
    pub label: String,
    /// How its values are placed along an axis.
    pub scale: SettingScale,
    /// Its value in each trial: a number, or the position in the list of words; NaN if the trial does not have it.
    pub values: Vec<f64>,
}

/// How the values of a setting are placed along an axis.
#[derive(Debug, Clone, PartialEq)]
pub enum SettingScale {
    /// Numbers in equal distances. Values outside the range widen it.
    Linear {
        /// The left end.
        low: f64,
        /// The right end.
        high: f64,
    },
    /// Numbers by their logarithm. If a value is not above 0, the axis is linear.
    Log {
        /// The left end, above 0.
        low: f64,
        /// The right end.
        high: f64,
    },
    /// Words, from the left.
    Words(Vec<String>),
}

impl TrialSet {
    /// Refuses lists that do not have one entry for each trial, and more than 400 settings.
    pub(crate) fn check(&self, chart: &'static str) -> Result<(), ReportError> {
        check_count(chart, "settings", self.settings.len(), MAX_ITEMS)?;
        let expected = (self.numbers.len(), "one for each trial");
        check_length(chart, "states", self.states.len(), expected)?;
        check_length(chart, "remarks", self.remarks.len(), expected)?;
        for objective in &self.objectives {
            check_length(chart, &objective.label, objective.values.len(), expected)?;
        }
        for setting in &self.settings {
            check_length(chart, &setting.label, setting.values.len(), expected)?;
        }
        Ok(())
    }

    /// The positions of the complete trials with a value of the objective, best first.
    pub fn ranked(&self, objective: &TrialObjective) -> Vec<usize> {
        let mut trials: Vec<usize> = (0..self.numbers.len())
            .filter(|trial| self.states[*trial] == TrialState::Complete)
            .filter(|trial| objective.values[*trial].is_finite())
            .collect();
        let sign = if objective.maximize { -1.0 } else { 1.0 };
        let loss = |trial: &usize| sign * objective.values[*trial];
        trials.sort_by(|a, b| loss(a).total_cmp(&loss(b)));
        trials
    }

    /// A trial in a few words: its number, its state where it is not complete, and the value.
    pub(crate) fn words(&self, trial: usize, objective: &TrialObjective) -> String {
        let value = format::significant(objective.values[trial], 4);
        let state = match self.states[trial] {
            TrialState::Complete => "",
            TrialState::Pruned => ", pruned",
            TrialState::Failed => ", failed",
        };
        format!("trial {}: {value}{state}", self.numbers[trial])
    }
}

impl TrialObjective {
    /// Its name, and which direction is better.
    pub(crate) fn directed(&self) -> String {
        let better = if self.maximize { "higher" } else { "lower" };
        format!("{}, {better} is better", self.label)
    }
}

impl TrialSetting {
    /// The value of a trial in words.
    pub fn shown(&self, trial: usize) -> String {
        let value = self.values[trial];
        match &self.scale {
            _ if !value.is_finite() => format::MISSING.to_owned(),
            SettingScale::Words(words) => words
                .get(value as usize)
                .cloned()
                .unwrap_or_else(|| format::MISSING.to_owned()),
            _ => format::significant(value, 4),
        }
    }

    /// Whether some trial does not have it.
    pub(crate) fn is_missing_somewhere(&self) -> bool {
        self.values.iter().any(|value| !value.is_finite())
    }

    /// The axis from `left` to `right`, in pixels.
    pub(crate) fn axis(&self, left: f64, right: f64) -> SettingAxis {
        let range = |low: f64, high: f64| {
            let given = Range::of([low, high]).unwrap_or(Range::new(0.0, 1.0));
            self.values
                .iter()
                .fold(given, |range, value| range.with(*value))
        };
        let scale = match &self.scale {
            SettingScale::Linear { low, high } => Scale::linear(range(*low, *high), left, right),
            SettingScale::Log { low, high } => Scale::log(range(*low, *high), left, right),
            SettingScale::Words(words) => {
                let n = words.len().max(1) as f64;
                Scale::linear(Range::new(-0.5, n - 0.5), left, right)
            }
        };
        let words = match &self.scale {
            SettingScale::Words(words) => words.clone(),
            _ => Vec::new(),
        };
        SettingAxis { scale, words }
    }
}

/// A setting's axis as drawn.
pub(crate) struct SettingAxis {
    pub(crate) scale: Scale,
    /// The words of a setting that has some; else empty.
    pub(crate) words: Vec<String>,
}

impl SettingAxis {
    /// About `wanted` labels along the axis: every word, or round numbers.
    pub(crate) fn ticks(&self, wanted: usize) -> Vec<Tick> {
        if self.words.is_empty() {
            return self.scale.ticks(wanted);
        }
        // The distance of two words.
        let room = (self.scale.at(1.0) - self.scale.at(0.0)).max(50.0);
        let words = self.words.iter().enumerate();
        words
            .map(|(index, word)| Tick {
                value: index as f64,
                label: truncate(word, room, 11.5),
            })
            .collect()
    }

    /// The labels of both ends, or every word.
    pub(crate) fn ends(&self) -> Vec<Tick> {
        if !self.words.is_empty() {
            return self.ticks(0);
        }
        let ends = [self.scale.low(), self.scale.high()];
        let tick = |value| Tick {
            value,
            label: short_number(value),
        };
        ends.map(tick).to_vec()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Four trials: complete, pruned, failed and the best one; the second setting exists in two of them.
    pub(crate) fn four_trials() -> TrialSet {
        TrialSet {
            numbers: vec![0, 1, 2, 3],
            states: vec![
                TrialState::Complete,
                TrialState::Pruned,
                TrialState::Failed,
                TrialState::Complete,
            ],
            objectives: vec![
                TrialObjective {
                    label: "accuracy".into(),
                    maximize: true,
                    values: vec![0.8, 0.5, f64::NAN, 0.9],
                },
                TrialObjective {
                    label: "seconds".into(),
                    maximize: false,
                    values: vec![10.0, f64::NAN, f64::NAN, 30.0],
                },
            ],
            settings: vec![
                TrialSetting {
                    label: "rate".into(),
                    scale: SettingScale::Log {
                        low: 1e-4,
                        high: 1.0,
                    },
                    values: vec![1e-4, 1.0, 0.1, 0.01],
                },
                TrialSetting {
                    label: "momentum".into(),
                    scale: SettingScale::Linear {
                        low: 0.0,
                        high: 1.0,
                    },
                    values: vec![0.5, f64::NAN, f64::NAN, 0.9],
                },
                TrialSetting {
                    label: "optimizer".into(),
                    scale: SettingScale::Words(vec!["sgd".into(), "adam".into()]),
                    values: vec![0.0, 1.0, 1.0, 0.0],
                },
            ],
            remarks: vec![
                String::new(),
                String::new(),
                "no memory".into(),
                String::new(),
            ],
        }
    }

    #[test]
    fn axes_place_numbers_by_their_scale_and_words_in_cells() {
        let set = four_trials();
        let place = |setting: usize, value| set.settings[setting].axis(0.0, 100.0).scale.at(value);
        assert!((place(0, 0.01) - 50.0).abs() < 1e-9);
        assert!((place(1, 0.25) - 25.0).abs() < 1e-9);
        assert!((place(2, 0.0) - 25.0).abs() < 1e-9);
        let labels: Vec<String> = set.settings[2]
            .axis(0.0, 1.0)
            .ticks(9)
            .into_iter()
            .map(|t| t.label)
            .collect();
        assert_eq!(labels, ["sgd", "adam"]);
        assert_eq!(set.settings[1].shown(1), "–");
        assert_eq!(set.settings[2].shown(1), "adam");
        // A value outside the range widens the axis.
        let mut wide = set.settings[1].clone();
        wide.values[0] = 3.0;
        assert_eq!(wide.axis(0.0, 100.0).scale.at(3.0), 100.0);
    }

    #[test]
    fn only_complete_trials_are_ranked_in_the_direction_of_the_objective() {
        let set = four_trials();
        assert_eq!(set.ranked(&set.objectives[0]), [3, 0]);
        assert_eq!(set.ranked(&set.objectives[1]), [0, 3]);
        assert_eq!(set.words(1, &set.objectives[0]), "trial 1: 0.5, pruned");
    }

    #[test]
    fn a_list_of_another_length_is_named() {
        let mut set = four_trials();
        set.settings[1].values.pop();
        let error = set.check("slice").unwrap_err().to_string();
        assert!(error.contains("momentum") && error.contains('3'), "{error}");
    }
}
