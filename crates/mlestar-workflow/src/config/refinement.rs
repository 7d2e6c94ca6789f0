use super::Objective;
use mlestar_train::OptimizerKind;
use mlestar_tune::{ParameterSpace, ParameterValue, Pruner, Sampler, SearchSpace, StudyConfig};
use serde::{Deserialize, Serialize};

/// Section `[refinement]`: the search for better settings. The final training is as long as the baseline's,
/// `training.epochs`, so that both sides of the comparison are trained for equally long.
///
/// | key | default | purpose | range |
/// |---|---|---|---|
/// | `enabled` | true | whether to search; without it the final model is the baseline | true, false |
/// | `trials` | 20 | trials, the baseline's included | 1 to 100,000 |
/// | `sampler` | `"tpe"` | how parameters are chosen | `"tpe"`, `"gp"`, `"cma-es"`, `"sobol"`, `"random"`, `"grid"` |
/// | `pruner` | `"median"` | when a trial is pruned | [`Pruner`]; `"none"` with several objectives; `halving` only in `mlestar tune` |
/// | `startup_trials` | 5 | random trials before the estimator is used, and complete ones before anything is pruned | 1 to 100,000 |
/// | `warmup_epochs` | 2 | epochs of a trial before it may be pruned | 0 to 10,000 |
/// | `epochs_per_trial` | 10 | length of a trial | 1 to 10,000 |
/// | `train_fraction_per_trial` | 1 | share of the training images that a trial uses, by class | above 0, at most 1 |
/// | `proposals` | 6 | single changes that stage 6 tries before the search, the most promising first | 0 to 1,000 |
/// | `finalists` | 2 | best settings that stage 6 compares with the config's own, with several seeds | 1 to 100 |
/// | `seeds` | 3 | trainings of each of them; 0: the finalist with the best trial is chosen | 0 to 100 |
/// | `retrain_with_validation` | false | whether a better model is trained again with four fifths of the validation images; the last fifth is for its confidence | true, false |
/// | `window` | 4 | `mlestar tune`: trials that may run at the same time; a suggestion rests on the results of all trials but the last `window - 1` | 1 to 1,000 |
/// | `objectives` | `["accuracy"]` | `mlestar tune`: what a trial is measured by | 1 to 5 of [`Objective`] |
/// | `space` | [`RefinementConfig::space_for`] the optimizer | what is searched, by dotted key of `model`, `augmentation` or `training`; in `mlestar tune` also of `data` | at least one |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RefinementConfig {
    /// Whether to search.
    pub enabled: bool,
    /// Trials, the baseline's included.
    pub trials: usize,
    /// How parameters are chosen.
    pub sampler: Sampler,
    /// When a trial is pruned.
    pub pruner: Pruner,
    /// Random trials before the estimator is used, and complete ones before anything is pruned.
    pub startup_trials: usize,
    /// Epochs of a trial before it may be pruned.
    pub warmup_epochs: u64,
    /// Length of a trial.
    pub epochs_per_trial: usize,
    /// Share of the training images that a trial uses.
    pub train_fraction_per_trial: f64,
    /// Single changes that stage 6 tries before the search.
    pub proposals: usize,
    /// Best settings that stage 6 compares with the config's own, with several seeds.
    pub finalists: usize,
    /// Trainings of each finalist and of the config's own settings.
    pub seeds: usize,
    /// Whether a better model is trained again with validation images.
    pub retrain_with_validation: bool,
    /// Trials of a study of several processes that may run at the same time. Stage 6 does not use it.
    pub window: usize,
    /// What a trial of a study of several processes is measured by. Stage 6 searches for accuracy.
    pub objectives: Vec<Objective>,
    /// The search space. Setting it replaces the whole default. In a file the default is
    /// [`space_for`](Self::space_for) the optimizer that the file names, in a program it is the space for Adam.
    pub space: SearchSpace,
}

impl Default for RefinementConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            trials: 20,
            sampler: Sampler::Tpe,
            pruner: Pruner::Median,
            startup_trials: 5,
            warmup_epochs: 2,
            epochs_per_trial: 10,
            train_fraction_per_trial: 1.0,
            proposals: 6,
            finalists: 2,
            seeds: 3,
            retrain_with_validation: false,
            window: 4,
            objectives: vec![Objective::Accuracy],
            space: Self::space_for(OptimizerKind::Adam),
        }
    }
}

impl RefinementConfig {
    /// The default search space: batch size, dropout, and ranges of learning rate and weight decay around the usual
    /// values for the optimizer.
    ///
    /// | optimizer | learning rate | weight decay |
    /// |---|---|---|
    /// | `adam` | 1e-4 to 1e-2 | 1e-5 to 1e-3 |
    /// | `adamw` | 1e-4 to 1e-2 | 1e-3 to 0.1 |
    /// | `sgd` | 0.01 to 1 | 1e-5 to 1e-3 |
    /// | `lion` | 3e-5 to 3e-3 | 0.01 to 1 |
    /// | `muon` | 0.01 to 0.5 | 0.005 to 0.5 |
    #[must_use]
    pub fn space_for(optimizer: OptimizerKind) -> SearchSpace {
        let batch_sizes = ParameterSpace::categorical([64, 128, 256].map(ParameterValue::Int));
        // Adam and SGD add the decay to the gradient; the others shrink the parameter by it times the rate.
        let (rate, decay) = match optimizer {
            OptimizerKind::AdamW => ([1e-4, 1e-2], [1e-3, 0.1]),
            OptimizerKind::Sgd => ([0.01, 1.0], [1e-5, 1e-3]),
            OptimizerKind::Lion => ([3e-5, 3e-3], [0.01, 1.0]),
            OptimizerKind::Muon => ([0.01, 0.5], [0.005, 0.5]),
            _ => ([1e-4, 1e-2], [1e-5, 1e-3]),
        };
        let logarithmic = |[low, high]: [f64; 2]| ParameterSpace::log_float(low, high);
        SearchSpace::new(
            [
                ("training.optimizer.learning_rate", logarithmic(rate)),
                ("training.optimizer.weight_decay", logarithmic(decay)),
                ("training.batch_size", batch_sizes),
                ("model.dropout", ParameterSpace::float(0.3, 0.7)),
            ]
            .map(|(key, space)| (key.to_owned(), space)),
        )
    }

    /// The study of several processes that these settings describe; its steps are epochs counted from 1.
    pub fn shared_study(&self) -> StudyConfig {
        StudyConfig {
            window: self.window,
            directions: self.objectives.iter().map(|o| o.direction()).collect(),
            ..self.study()
        }
    }

    /// The study of stage 6 that these settings describe; its steps are epochs counted from 1.
    pub fn study(&self) -> StudyConfig {
        StudyConfig {
            trials: self.trials,
            sampler: self.sampler,
            pruner: self.pruner,
            startup_trials: self.startup_trials,
            warmup_steps: self.warmup_epochs.saturating_add(1),
            space: self.space.clone(),
            ..StudyConfig::default()
        }
    }
}
