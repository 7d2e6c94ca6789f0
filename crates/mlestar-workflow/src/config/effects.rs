//! Keys that have no effect on the trials of a search, given the rest of the config.

use super::Config;
use mlestar_train::{OptimizerKind, ScheduleKind};
use serde::Serialize;

/// Keys that control how a training is watched, saved or supplied with data, but not what it learns.
const BESIDE_LEARNING: [&str; 6] = [
    "training.checkpoint_every_epochs",
    "training.checkpoint_every_minutes",
    "training.keep_checkpoints",
    "training.histograms_every_epochs",
    "training.evaluation_batch_size",
    "training.picture_memory",
];

/// Keys of `data` that decide how an image becomes input of the network, but not which images there are.
const PREPARATION: [&str; 5] = [
    "data.image_size",
    "data.resize_side",
    "data.resize_filter",
    "data.background",
    "data.normalization",
];

/// Why trials with different values of `key` could not be compared; `None` where they can.
pub(super) fn not_comparable(key: &str) -> Option<String> {
    let is_preparation = PREPARATION.iter().any(|prepares| {
        key.strip_prefix(prepares)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    });
    (key.starts_with("data.") && !is_preparation).then(|| {
        format!(
            "trials must be judged on the same images; of `data` only {} can be searched",
            PREPARATION
                .map(|key| key.trim_start_matches("data."))
                .join(", ")
        )
    })
}

/// Why `key` has no effect on the trials of the search; `None` where it has one.
pub(super) fn without_effect(config: &Config, key: &str) -> Option<String> {
    if BESIDE_LEARNING.contains(&key) {
        return Some("it does not change what the model learns".into());
    }
    if key == "training.epochs" {
        return Some("`refinement.epochs_per_trial` is the length of every trial".into());
    }
    if key.starts_with("training.recovery.") {
        return Some("trials apply no remedies".into());
    }
    of_optimizer(config, key)
        .or_else(|| of_schedule(config, key))
        .or_else(|| of_mixing(config, key))
}

/// Whether the search also sets `key`, so no single value decides.
fn is_searched(config: &Config, key: &str) -> bool {
    config
        .refinement
        .space
        .iter()
        .any(|(searched, _)| searched == key)
}

fn of_optimizer(config: &Config, key: &str) -> Option<String> {
    use OptimizerKind::{Adam, AdamW, Lion, Muon, Sgd};
    let kinds: &[OptimizerKind] = match key.strip_prefix("training.optimizer.")? {
        "momentum" => &[Sgd, Muon],
        "nesterov" => &[Sgd],
        "beta1" | "beta2" => &[Adam, AdamW, Lion, Muon],
        "epsilon" => &[Adam, AdamW, Muon],
        "auxiliary_learning_rate" => &[Muon],
        _ => return None,
    };
    let kind = config.training.optimizer.kind;
    read_by_others(config, "training.optimizer.kind", kind, kinds)
}

fn of_schedule(config: &Config, key: &str) -> Option<String> {
    use ScheduleKind::{Cosine, Linear, OneCycle, Plateau, Step, Triangular};
    let rest = key.strip_prefix("training.schedule.")?;
    let kinds: &[ScheduleKind] = match rest.split('.').next().unwrap_or(rest) {
        "start_fraction" | "peak_fraction" => &[OneCycle, Triangular],
        "milestones" | "step_epochs" | "gamma" => &[Step],
        "plateau" => &[Plateau],
        "final_fraction" | "t_max_epochs" => &[Cosine, OneCycle, Linear, Triangular],
        _ => return None,
    };
    let kind = config.training.schedule.kind;
    read_by_others(config, "training.schedule.kind", kind, kinds)
}

/// Why a key that only `kinds` read has no effect when `decides` is `kind`.
fn read_by_others<T: PartialEq + Serialize>(
    config: &Config,
    decides: &str,
    kind: T,
    kinds: &[T],
) -> Option<String> {
    if is_searched(config, decides) || kinds.contains(&kind) {
        return None;
    }
    Some(format!(
        "`{decides}` is {}, and only {} read it",
        name_of(&kind),
        names_of(kinds)
    ))
}

fn of_mixing(config: &Config, key: &str) -> Option<String> {
    let mixing = &config.training.mixing;
    let alphas = [
        "training.mixing.mixup_alpha",
        "training.mixing.cutmix_alpha",
    ];
    let is_off = mixing.mixup_alpha == 0.0
        && mixing.cutmix_alpha == 0.0
        && !alphas.iter().any(|alpha| is_searched(config, alpha));
    (key == "training.mixing.probability" && is_off)
        .then(|| format!("neither `{}` nor `{}` is above 0", alphas[0], alphas[1]))
}

/// A kind as a config has it, in quotes.
fn name_of<T: Serialize>(kind: &T) -> String {
    serde_json::to_value(kind).map_or_else(|_| String::new(), |name| name.to_string())
}

fn names_of<T: Serialize>(kinds: &[T]) -> String {
    kinds.iter().map(name_of).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    const FRACTIONS: &str = r#"{ type = "float", low = 0.1, high = 0.5 }"#;

    fn error(settings: &str, spaces: &[(&str, &str)]) -> String {
        let spaces: Vec<String> = spaces
            .iter()
            .map(|(key, space)| format!("{key:?} = {space}"))
            .collect();
        let text = format!("{settings}\n[refinement.space]\n{}\n", spaces.join("\n"));
        Config::parse(&text, "project.toml", &[])
            .map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[test]
    fn a_key_without_effect_is_refused_with_the_reason() {
        let one = |settings, key| error(settings, &[(key, FRACTIONS)]);
        insta::assert_snapshot!(one("", "training.optimizer.momentum"), @r#"project.toml, line 3: `refinement.space` searches `training.optimizer.momentum`, which has no effect: `training.optimizer.kind` is "adam", and only "sgd", "muon" read it"#);
        assert!(one("", "training.schedule.gamma").contains("only \"step\" read it"));
        assert!(one("", "training.mixing.probability").contains("cutmix_alpha` is above 0"));
        assert!(
            error(
                "",
                &[("training.epochs", "{ type = \"int\", low = 2, high = 5 }")]
            )
            .contains("epochs_per_trial")
        );
        assert_eq!(
            one(
                "training.optimizer.kind = \"sgd\"",
                "training.optimizer.momentum"
            ),
            ""
        );
        assert_eq!(
            one(
                "training.schedule.kind = \"step\"\ntraining.schedule.step_epochs = 2",
                "training.schedule.gamma"
            ),
            ""
        );
        assert_eq!(one("", "training.optimizer.beta1"), "");
    }

    /// Where the search sets what decides, the other key has its effect in some trials.
    #[test]
    fn a_key_whose_switch_is_searched_too_is_allowed() {
        let kinds = r#"{ type = "categorical", choices = ["adam", "sgd"] }"#;
        let both = [
            ("training.optimizer.kind", kinds),
            ("training.optimizer.momentum", FRACTIONS),
        ];
        assert_eq!(error("", &both), "");
        let mixing = [
            ("training.mixing.cutmix_alpha", FRACTIONS),
            ("training.mixing.probability", FRACTIONS),
        ];
        assert_eq!(error("", &mixing), "");
    }
}
