//! The images of trials, by the settings that prepare them.

use crate::config::Config;
use crate::trial_training::share_of;
use crate::{Reporter, WorkflowError, context};
use mlestar_data::describe::describe;
use mlestar_data::{ImageSet, ImageSplits, Normalization};
use mlestar_train::StopSignal;
use std::sync::Arc;

/// How many differently prepared sets a process keeps.
const MOST_SETS: usize = 3;

/// What a trial learns from and is judged by.
pub(super) struct TrialImages {
    /// The share of the training images that a trial uses.
    pub(super) train: Arc<ImageSet>,
    pub(super) validation: Arc<ImageSet>,
    /// The config's, or that of all training images.
    pub(super) normalization: Normalization,
}

impl TrialImages {
    pub(super) fn load(
        config: &Config,
        stop: &StopSignal,
        reporter: &mut dyn Reporter,
    ) -> Result<Self, WorkflowError> {
        let ImageSplits {
            train, validation, ..
        } = context::load_data(config, stop, reporter)?.splits;
        let normalization = context::normalization(&config.data, &describe(&train))?;
        let share = config.refinement.train_fraction_per_trial;
        Ok(Self {
            train: share_of(&Arc::new(train), share, config.seed)?,
            validation: Arc::new(validation),
            normalization,
        })
    }
}

/// The sets that were used last.
#[derive(Default)]
pub(super) struct Shelf {
    /// The newest last.
    sets: Vec<(String, Arc<TrialImages>)>,
}

impl Shelf {
    /// The images as `config` prepares them.
    pub(super) fn images(
        &mut self,
        config: &Config,
        stop: &StopSignal,
        reporter: &mut dyn Reporter,
    ) -> Result<Arc<TrialImages>, WorkflowError> {
        let key = config.section_hash_input("data").to_string();
        let found = self.sets.iter().position(|(known, _)| *known == key);
        let set = match found {
            Some(at) => self.sets.remove(at),
            None => {
                // Before loading, so that never more than so many are in memory.
                if self.sets.len() >= MOST_SETS {
                    self.sets.remove(0);
                }
                let images = TrialImages::load(config, stop, reporter)?;
                (key, Arc::new(images))
            }
        };
        let images = Arc::clone(&set.1);
        self.sets.push(set);
        Ok(images)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Override;

    #[test]
    fn a_set_is_loaded_once_and_the_oldest_leaves() {
        let text = "[data.synthetic]\nn_train = 240\nn_validation = 80\nn_test = 80\n";
        let with = |mean: f32| {
            let set = format!("data.normalization={{mean=[{mean},0.5,0.5], std=[0.2,0.2,0.2]}}");
            Config::parse(text, "test", &[Override::parse(&set).unwrap()]).unwrap()
        };
        let mut shelf = Shelf::default();
        let stop = StopSignal::new();
        let mut images = |mean: f32| shelf.images(&with(mean), &stop, &mut ()).unwrap();
        let first = images(0.1);
        assert!(Arc::ptr_eq(&first, &images(0.1)));
        images(0.2);
        images(0.3);
        assert!(Arc::ptr_eq(&first, &images(0.1)));
        images(0.4);
        images(0.5);
        assert!(Arc::ptr_eq(&first, &images(0.1)));
        for mean in [0.6, 0.7, 0.8] {
            images(mean);
        }
        assert!(!Arc::ptr_eq(&first, &images(0.1)));
        assert_eq!(first.normalization.mean[0], 0.1);
    }
}
