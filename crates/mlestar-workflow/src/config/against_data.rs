//! Checks of the config that need the data.

use super::{Config, ConfigError};
use mlestar_data::ImageSet;
use mlestar_train::ClassWeights;

/// Class names that a message lists.
const MOST_LISTED: usize = 12;

impl Config {
    /// Checks the settings against the training images: their size and their number of classes.
    ///
    /// # Errors
    /// Names the key, its value, what the data have and what to do.
    pub fn check_against(&self, train: &ImageSet) -> Result<(), ConfigError> {
        let unfit = |section: &str, message: String| ConfigError::DoesNotFitData {
            message: match message.starts_with(&format!("{section}.")) {
                true => message,
                false => format!("{section}.{message}"),
            },
        };
        self.augmentation
            .check(train.height(), train.width())
            .map_err(|error| unfit("augmentation", error.to_string()))?;
        self.model
            .check(train.n_classes(), train.height(), train.width())
            .map_err(|error| unfit("model", error.to_string()))?;
        let Some(weights) = &self.training.class_weights else {
            return Ok(());
        };
        weights
            .resolve(train.labels(), train.n_classes())
            .map(|_| ())
            .map_err(|error| {
                let order = match weights {
                    ClassWeights::List(_) => format!(
                        "; the order of the {} classes is {}",
                        train.n_classes(),
                        listed(train.classes())
                    ),
                    ClassWeights::Balanced => String::new(),
                };
                unfit("training", format!("{error}{order}"))
            })
    }
}

fn listed(classes: &[String]) -> String {
    let names = classes.iter().take(MOST_LISTED).map(String::as_str);
    let names = names.collect::<Vec<_>>().join(", ");
    match classes.len().saturating_sub(MOST_LISTED) {
        0 => names,
        rest => format!("{names} and {rest} more"),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use mlestar_data::{ImageSet, Origin};

    fn error(text: &str, labels: &[u32]) -> String {
        let classes = ["ant", "bee", "fly"].map(String::from).to_vec().into();
        let origins = (0..labels.len() as u64).map(|index| Origin::Synthetic { index });
        let pixels = vec![7; labels.len() * 3 * 16 * 16];
        let train =
            ImageSet::new(classes, 16, 16, pixels, labels.to_vec(), origins.collect()).unwrap();
        let config = Config::parse(text, "project.toml", &[]).unwrap();
        config
            .check_against(&train)
            .map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn settings_that_do_not_fit_the_data_are_named() {
        let all = [0, 1, 2];
        for (text, labels, parts) in [
            (
                "[training]\nclass_weights = [1.0, 2.0]",
                &all[..],
                [
                    "training.class_weights",
                    "the order of the 3 classes is ant, bee, fly",
                ],
            ),
            (
                "[training]\nclass_weights = \"balanced\"",
                &all[..2],
                [
                    "training.class_weights",
                    "class 2 (from 0) has no training images",
                ],
            ),
            (
                "[augmentation]\ncutout_size = 20",
                &all,
                ["augmentation.cutout_size", "16"],
            ),
        ] {
            let message = error(text, labels);
            assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        }
        assert_eq!(
            error("[training]\nclass_weights = [1.0, 2.0, 3.0]", &all),
            ""
        );
        assert_eq!(error("[training]\nclass_weights = \"balanced\"", &all), "");
        assert_eq!(error("", &all), "");
    }
}
