//! What the evaluation suggests, and for each finding the settings that might help, with what they may bring and cost.

mod architecture;
mod augmentation;
mod estimate;
mod findings;
mod loss;

use super::{CostEstimate, GainEstimate, ImprovementAnalysis, Opportunity, Proposal};
use crate::WorkflowError;
use crate::config::Config;
use crate::stages::evaluation::EvaluationResults;
use crate::stages::implementation::TrainingSummary;
use estimate::{Facts, Rule};
use mlestar_tune::{ParameterValue, Parameters};
use serde_json::Value;

/// Sections in which a proposal may change settings.
const SECTIONS: [&str; 3] = ["model", "augmentation", "training"];

/// The findings, most promising first: in the order of their best proposals, then those without one.
pub(super) fn analyse(
    config: &Config,
    results: &EvaluationResults,
    training: &TrainingSummary,
) -> Result<ImprovementAnalysis, WorkflowError> {
    let mut found = Vec::new();
    found.extend(findings::overfitting(config, training));
    found.extend(findings::underfitting(training));
    found.extend(findings::still_improving(training));
    found.extend(findings::weak_classes(config, results));
    found.extend(findings::confused_pairs(results));
    found.extend(findings::calibration(config, results));
    found.extend(findings::search_space(config));
    if config.refinement.enabled {
        let catalogue = Catalogue {
            config,
            training,
            facts: Facts::of(training),
        };
        let kinds: Vec<String> = found.iter().map(|found| found.kind.clone()).collect();
        let is_found = |kind: &str| kinds.iter().any(|known| known == kind);
        let policies = catalogue.proposals(augmentation::ideas(config, training))?;
        attach(&mut found, "overfitting", policies, || {
            findings::untried_augmentation(training)
        });
        let networks = catalogue.proposals(architecture::ideas(config))?;
        attach(&mut found, "underfitting", networks, || {
            findings::untried_networks(training)
        });
        for (kind, ideas) in [
            ("weak_class", loss::for_weak_classes(config, results)),
            ("overconfidence", loss::for_overconfidence(config)),
        ] {
            if is_found(kind) {
                let proposals = catalogue.proposals(ideas)?;
                attach(&mut found, kind, proposals, || None);
            }
        }
    }
    found.sort_by(|a, b| promise(b).total_cmp(&promise(a)));
    Ok(ImprovementAnalysis {
        opportunities: found,
    })
}

/// Gives proposals to the first finding of a kind; without one, to `otherwise`.
fn attach(
    found: &mut Vec<Opportunity>,
    kind: &str,
    proposals: Vec<Proposal>,
    otherwise: impl FnOnce() -> Option<Opportunity>,
) {
    if proposals.is_empty() {
        return;
    }
    if let Some(first) = found.iter_mut().find(|found| found.kind == kind) {
        first.proposals = proposals;
    } else if let Some(finding) = otherwise() {
        found.push(Opportunity {
            proposals,
            ..finding
        });
    }
}

/// The gain of the best proposal for its time.
fn promise(opportunity: &Opportunity) -> f64 {
    let promises = opportunity.proposals.iter().map(Proposal::promise);
    promises.fold(f64::NEG_INFINITY, f64::max)
}

impl Proposal {
    /// What orders proposals: the expected gain for the time of a training.
    pub fn promise(&self) -> f64 {
        match self.gain.expected >= 0.0 {
            true => self.gain.expected / self.cost.time,
            false => self.gain.expected * self.cost.time,
        }
    }
}

/// A change of the config, not yet checked.
struct Idea {
    name: &'static str,
    rule: Rule,
    changed: Config,
}

impl Idea {
    fn new(
        name: &'static str,
        rule: Rule,
        config: &Config,
        change: impl FnOnce(&mut crate::config::RawConfig),
    ) -> Self {
        Self {
            name,
            rule,
            changed: config.changed(change),
        }
    }
}

struct Catalogue<'a> {
    config: &'a Config,
    training: &'a TrainingSummary,
    facts: Facts,
}

impl Catalogue<'_> {
    /// The ideas that change something, that the config's checks accept and that stay within the task's limit on the
    /// model's size.
    fn proposals(&self, ideas: Vec<Idea>) -> Result<Vec<Proposal>, WorkflowError> {
        let mut proposals = Vec::new();
        for idea in ideas {
            let settings = differences(self.config, &idea.changed);
            if settings.is_empty() || self.config.with_parameters(&settings).is_err() {
                continue;
            }
            let Ok(cost) = estimate::cost(&self.training.model, self.config, &idea.changed) else {
                // The network does not fit the images.
                continue;
            };
            let bytes = self.training.parameters as f64 * cost.size * size_of::<f32>() as f64;
            if bytes <= self.config.task.constraints.model_bytes_max as f64 {
                proposals.push(Proposal {
                    name: idea.name.to_owned(),
                    settings,
                    gain: idea.rule.estimate(&self.facts),
                    cost,
                });
            }
        }
        proposals.sort_by(|a, b| b.promise().total_cmp(&a.promise()));
        Ok(proposals)
    }
}

/// The settings, by dotted key, in which `changed` differs. A list is one setting.
fn differences(config: &Config, changed: &Config) -> Parameters {
    let values = |config: &Config| serde_json::to_value(&**config).unwrap_or_default();
    let (before, after) = (values(config), values(changed));
    let mut found = Parameters::new();
    for section in SECTIONS {
        collect(section, &before[section], &after[section], &mut found);
    }
    found
}

fn collect(key: &str, before: &Value, after: &Value, found: &mut Parameters) {
    match after {
        Value::Object(entries) if before.is_object() => {
            for (name, value) in entries {
                collect(&format!("{key}.{name}"), &before[name], value, found);
            }
        }
        after if after != before => {
            if let Ok(value) = serde_json::from_value::<ParameterValue>(after.clone()) {
                found.insert(key.to_owned(), value);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Override;

    fn config(settings: &[&str]) -> Config {
        let overrides: Vec<Override> = settings
            .iter()
            .map(|set| Override::parse(set).unwrap())
            .collect();
        Config::parse("", "test.toml", &overrides).unwrap()
    }

    fn training(config: &Config, train: f64, validation: f64) -> TrainingSummary {
        let model = config.model.check(10, 32, 32).unwrap();
        serde_json::from_value(serde_json::json!({
            "model": model,
            "parameters": model.summary().parameters,
            "classes": ["a", "b"],
            "normalization": { "mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2] },
            "seed": 1,
            "batch_size": 64,
            "epochs_planned": 4,
            "epochs_run": 4,
            "stopped": "completed",
            "best_epoch": 3,
            "validation_pictures": 100,
            "validation_accuracy": validation,
            "validation_loss": 1.0,
            "train_pictures": 100,
            "train_accuracy": train,
            "overfitting_gap": train - validation,
        }))
        .unwrap()
    }

    fn proposals(config: &Config, training: &TrainingSummary, ideas: Vec<Idea>) -> Vec<Proposal> {
        let catalogue = Catalogue {
            config,
            training,
            facts: Facts::of(training),
        };
        catalogue.proposals(ideas).unwrap()
    }

    #[test]
    fn only_what_changes_the_config_and_passes_its_checks_is_proposed() {
        let config = config(&[
            "training.picture_memory=\"device\"",
            "augmentation.cutout_size=16",
        ]);
        let training = training(&config, 0.99, 0.8);
        let found = proposals(&config, &training, augmentation::ideas(&config, &training));
        let names: Vec<&str> = found.iter().map(|found| found.name.as_str()).collect();
        // The config has this hole already.
        assert!(!names.contains(&"cutout"), "{names:?}");
        assert!(names.contains(&"mixup"), "{names:?}");
        for proposal in &found {
            let changed = config.with_parameters(&proposal.settings).unwrap();
            assert_ne!(*changed, *config, "{}", proposal.name);
            assert_eq!(proposal.cost.time, 1.0);
        }
        let none = found.iter().find(|found| found.name == "no augmentation");
        let off = config.with_parameters(&none.unwrap().settings).unwrap();
        assert!(off.augmentation.is_off());
    }

    #[test]
    fn overfitting_asks_for_augmentation_and_underfitting_for_capacity() {
        let config = config(&[]);
        let best = |train, validation| {
            let training = training(&config, train, validation);
            let ideas = [
                augmentation::ideas(&config, &training),
                architecture::ideas(&config),
            ];
            let ideas = ideas.into_iter().flatten().collect();
            proposals(&config, &training, ideas).remove(0)
        };
        let key = |proposal: &Proposal| proposal.settings.keys().next().unwrap().clone();
        assert!(!key(&best(0.99, 0.7)).starts_with("model"));
        assert!(best(0.99, 0.7).gain.expected > 0.05);
        let underfitted = best(0.6, 0.6);
        assert!(key(&underfitted).starts_with("model") || underfitted.name == "no augmentation");
    }

    #[test]
    fn costs_are_those_of_the_changed_network_and_limits_hold() {
        let wide = |config: &Config| {
            let training = training(config, 0.6, 0.6);
            let found = proposals(config, &training, architecture::ideas(config));
            found
                .into_iter()
                .find(|found| found.name == "wider network")
        };
        let wider = wide(&config(&[])).unwrap();
        assert!(wider.cost.size > 1.8 && wider.cost.time > 1.5, "{wider:?}");
        // The reference network has 11 MB; half as wide again it has 25.
        let limited = config(&["task.constraints.model_bytes_max=15_000_000"]);
        assert_eq!(wide(&limited), None);
        let published = config(&["model.architecture=\"resnet-18\""]);
        assert!(architecture::ideas(&published).is_empty());
    }
}
