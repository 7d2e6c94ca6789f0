//! Assigns images to splits, using only their labels and groups.

use std::collections::BTreeSet;

use crate::config::DataConfig;
use crate::error::{DataError, Result};
use crate::split::{grouped_split, stratified_split, subset_with_minimum};

/// The labels of a source's splits. Plans number the images consecutively: train, then validation, then test.
pub(crate) struct Pools<'a> {
    /// The place, for messages.
    pub place: String,
    /// The class names.
    pub classes: &'a [String],
    pub train: &'a [u32],
    pub validation: Option<&'a [u32]>,
    pub test: Option<&'a [u32]>,
    /// A group number for each image, in the order of the plans; images that belong together share it.
    pub groups: Option<&'a [u32]>,
}

/// The images of each split. Each image is in at most one list, and the lists are ascending.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub train: Vec<usize>,
    pub validation: Vec<usize>,
    pub test: Vec<usize>,
}

impl Pools<'_> {
    pub fn n_available(&self) -> usize {
        self.train.len()
            + self.validation.map_or(0, <[u32]>::len)
            + self.test.map_or(0, <[u32]>::len)
    }

    pub fn plan(&self, config: &DataConfig, seed: u64) -> Result<Plan> {
        self.check_classes()?;
        let n_train = self.train.len();
        let n_development = n_train + self.validation.map_or(0, <[u32]>::len);
        let mut train: Vec<usize> = (0..n_train).collect();
        let mut validation: Option<Vec<usize>> =
            self.validation.map(|_| (n_train..n_development).collect());
        let mut test: Vec<usize> = (n_development..self.n_available()).collect();
        if self.test.is_none() {
            let needed = if validation.is_none() { 3 } else { 2 };
            self.check_enough(&train, needed, "test")?;
            (train, test) =
                self.split_off(&train, config.test_fraction, needed - 1, seed, "test")?;
        }
        if let Some(n) = config.subset {
            let n_splits_to_make = usize::from(validation.is_none());
            let parts = [&train, validation.as_deref().unwrap_or_default(), &test];
            let parts = self.reduce(n, parts, n_splits_to_make, seed)?;
            let [t, v, s] = parts;
            (train, test) = (t, s);
            validation = validation.map(|_| v);
        }
        let validation = match validation {
            Some(validation) => validation,
            None => {
                self.check_enough(&train, 2, "validation")?;
                let parts =
                    self.split_off(&train, config.validation_fraction, 1, seed, "validation")?;
                train = parts.0;
                parts.1
            }
        };
        Ok(Plan {
            train,
            validation,
            test,
        })
    }

    /// Selects `n` of the training and validation images, and the same share of the test images. The parts are
    /// `[train, validation, test]`; an empty validation part stays empty. Each class keeps a training image,
    /// and one more for each of the `n_splits_to_make` splits that will be taken from them.
    pub fn reduce(
        &self,
        n: usize,
        [train, validation, test]: [&[usize]; 3],
        n_splits_to_make: usize,
        seed: u64,
    ) -> Result<[Vec<usize>; 3]> {
        let available = train.len() + validation.len();
        if n > available {
            return Err(DataError::SubsetTooLarge {
                requested: n,
                available,
                place: format!("{} (images that are not in a test split)", self.place),
            });
        }
        let k = self.classes.len();
        let train_minimum = 1 + n_splits_to_make;
        let minimum = train_minimum + usize::from(!validation.is_empty());
        if n < minimum * k {
            return Err(DataError::SubsetTooSmall {
                requested: n,
                needed: minimum * k,
                needed_for: format!("one image of each of {k} classes for every split"),
            });
        }
        let scaled = |part: usize| (part as f64 * n as f64 / available as f64).round() as usize;
        let n_validation = if validation.is_empty() {
            0
        } else {
            // The training images must be enough for the other splits, and vice versa.
            let (low, high) = (k.max(n.saturating_sub(train.len())), n - train_minimum * k);
            scaled(validation.len())
                .min(high)
                .max(low)
                .min(validation.len())
        };
        let n_train = n - n_validation;
        let n_test = scaled(test.len()).max(k).min(test.len());
        Ok([
            self.subset(train, n_train, train_minimum, seed),
            self.subset(validation, n_validation, 1, seed),
            self.subset(test, n_test, 1, seed),
        ])
    }

    fn subset(&self, indices: &[usize], n: usize, minimum: usize, seed: u64) -> Vec<usize> {
        let labels: Vec<u32> = indices.iter().map(|i| self.label(*i)).collect();
        subset_with_minimum(&labels, n, minimum, seed)
            .into_iter()
            .map(|i| indices[i])
            .collect()
    }

    /// The images that remain and those held out for `split`. If images are grouped, at least `keep` groups of
    /// each class remain.
    fn split_off(
        &self,
        indices: &[usize],
        fraction: f64,
        keep: usize,
        seed: u64,
        split: &'static str,
    ) -> Result<(Vec<usize>, Vec<usize>)> {
        let labels: Vec<u32> = indices.iter().map(|i| self.label(*i)).collect();
        let purpose = format!("{split} split");
        let (stay, held_out) = match self.groups {
            None => stratified_split(&labels, fraction, seed, &purpose),
            Some(groups) => {
                let groups: Vec<u32> = indices.iter().map(|i| groups[*i]).collect();
                grouped_split(&labels, &groups, fraction, keep, seed, &purpose).map_err(
                    |class| {
                        let of_class = labels.iter().zip(&groups);
                        let of_class = of_class.filter(|(label, _)| **label == class);
                        let distinct: BTreeSet<u32> = of_class.map(|(_, group)| *group).collect();
                        DataError::TooFewGroups {
                            class: self.classes[class as usize].clone(),
                            n: distinct.len(),
                            needed: keep + 1,
                            split,
                        }
                    },
                )?
            }
        };
        let back = |part: Vec<usize>| part.into_iter().map(|i| indices[i]).collect();
        Ok((back(stay), back(held_out)))
    }

    fn label(&self, index: usize) -> u32 {
        let validation = self.validation.unwrap_or_default();
        match index.checked_sub(self.train.len()) {
            None => self.train[index],
            Some(i) => match i.checked_sub(validation.len()) {
                None => validation[i],
                Some(i) => self.test.unwrap_or_default()[i],
            },
        }
    }

    /// Checks that every class with validation or test images has training images.
    fn check_classes(&self) -> Result<()> {
        let mut in_train = vec![false; self.classes.len()];
        for label in self.train {
            in_train[*label as usize] = true;
        }
        let others = self.validation.into_iter().chain(self.test).flatten();
        match others.into_iter().find(|label| !in_train[**label as usize]) {
            None => Ok(()),
            Some(label) => Err(DataError::Layout {
                path: self.place.clone().into(),
                problem: format!(
                    "class {} has test images but no training images",
                    self.classes[*label as usize]
                ),
                remedy: "add training images of it, or remove the class".to_string(),
            }),
        }
    }

    fn check_enough(&self, indices: &[usize], needed: usize, split: &'static str) -> Result<()> {
        let mut counts = vec![0; self.classes.len()];
        for index in indices {
            counts[self.label(*index) as usize] += 1;
        }
        match counts.iter().position(|n| *n > 0 && *n < needed) {
            None => Ok(()),
            Some(class) => Err(DataError::TooFewToSplit {
                class: self.classes[class].clone(),
                n: counts[class],
                needed,
                split,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(k: u32, least: usize) -> impl Strategy<Value = Vec<u32>> {
        prop::collection::vec(least..20_usize, k as usize).prop_map(|counts| {
            (0..)
                .zip(counts)
                .flat_map(|(label, n)| std::iter::repeat_n(label, n))
                .collect()
        })
    }

    fn sources() -> impl Strategy<Value = [Option<Vec<u32>>; 3]> {
        (2_u32..6).prop_flat_map(|k| {
            let part = || prop::option::of(labels(k, 1));
            (labels(k, 3), part(), part())
                .prop_map(|(train, validation, test)| [Some(train), validation, test])
        })
    }

    proptest! {
        #[test]
        fn plans_are_disjoint_and_complete_and_have_every_class(
            [train, validation, test] in sources(), seed in any::<u64>(),
            validation_fraction in 0.01_f64..0.99, test_fraction in 0.01_f64..0.6, share in 0.0_f64..1.0,
        ) {
            let train = train.unwrap();
            let k = train.iter().max().map_or(0, |m| *m as usize + 1);
            let classes: Vec<String> = (0..k).map(|i| i.to_string()).collect();
            let pools = Pools {
                place: "here".to_string(),
                classes: &classes,
                train: &train,
                validation: validation.as_deref(),
                test: test.as_deref(),
                groups: None,
            };
            let config = DataConfig { validation_fraction, test_fraction, ..DataConfig::default() };
            let plan = pools.plan(&config, seed);
            let Ok(plan) = plan else {
                // A test split that takes all but one image of a class leaves none for validation.
                prop_assert!(validation.is_none() && test.is_none());
                return Ok(());
            };
            let mut all = [&plan.train[..], &plan.validation, &plan.test].concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..pools.n_available()).collect::<Vec<_>>());
            for part in [&plan.train, &plan.validation, &plan.test] {
                prop_assert!((0..k as u32).all(|class| part.iter().any(|i| pools.label(*i) == class)));
            }

            let n = (share * (plan.train.len() + plan.validation.len()) as f64) as usize;
            let small = pools.plan(&DataConfig { subset: Some(n), ..config }, seed);
            let Ok(small) = small else {
                prop_assert!(n < 2 * k);
                return Ok(());
            };
            prop_assert_eq!(small.train.len() + small.validation.len(), n);
            let mut chosen = [&small.train[..], &small.validation, &small.test].concat();
            let n_chosen = chosen.len();
            chosen.sort_unstable();
            chosen.dedup();
            prop_assert_eq!(chosen.len(), n_chosen);
            prop_assert!(small.test.iter().all(|i| plan.test.contains(i)));
            for part in [&small.train, &small.validation, &small.test] {
                prop_assert!((0..k as u32).all(|class| part.iter().any(|i| pools.label(*i) == class)));
            }
        }
    }

    /// Two classes of five groups each; some groups hold both classes.
    #[test]
    fn what_belongs_together_is_on_one_side() {
        let train: Vec<u32> = (0..60).map(|i| i % 2).collect();
        let groups: Vec<u32> = (0..60).map(|i| i / 12 * (1 + i % 2)).collect();
        let classes = ["ant".to_string(), "bee".to_string()];
        let plan = |groups: &[u32]| {
            let pools = Pools {
                place: "here".to_string(),
                classes: &classes,
                train: &train,
                validation: None,
                test: None,
                groups: Some(groups),
            };
            pools.plan(&DataConfig::default(), 5)
        };
        let split = plan(&groups).unwrap();
        let of = |part: &[usize]| -> BTreeSet<u32> { part.iter().map(|i| groups[*i]).collect() };
        let parts = [&split.train[..], &split.validation, &split.test].map(of);
        assert!(parts.iter().all(|part| !part.is_empty()));
        assert!(parts[0].is_disjoint(&parts[1]) && parts[0].is_disjoint(&parts[2]));
        assert!(parts[1].is_disjoint(&parts[2]));

        let one_group: Vec<u32> = train.iter().map(|label| label * 7).collect();
        insta::assert_snapshot!(plan(&one_group).unwrap_err(), @"the images of class ant make 1 group(s) (data.group_by, or the column group of a manifest), but a test split needs at least 3 groups that can be kept apart; add more groups, use smaller groups, or create the folders train, val and test by hand");
    }
}
