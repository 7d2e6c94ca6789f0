use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::fraction;
use crate::TrainError;

/// The update rules; the formulas are PyTorch's (`torch.optim`) if it has the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum OptimizerKind {
    /// Adam; weight decay is an L2 penalty added to the gradient.
    #[default]
    Adam,
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2017,
    /// <https://arxiv.org/abs/1711.05101>).
    AdamW,
    /// Stochastic gradient descent with momentum; weight decay as in Adam.
    Sgd,
    /// Every value moves by the sign of its momentum (Chen et al. 2023, <https://arxiv.org/abs/2302.06675>);
    /// weight decay is decoupled. Usually, the rate is three to ten times lower than AdamW's and the decay
    /// higher by the same factor.
    Lion,
    /// Nesterov momentum with an orthogonalised direction, for the filters of all convolutions except the first
    /// (Jordan et al. 2024, <https://kellerjordan.github.io/posts/muon>). All other parameters use AdamW.
    /// Weight decay is decoupled. Usual values are a rate of 0.02 and a momentum of 0.95.
    Muon,
}

/// Which parameters decay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decay {
    /// Every parameter.
    #[default]
    All,
    /// Filters of convolutions and weights of linear layers, but not biases or the parameters of batch norm.
    Weights,
}

impl Decay {
    /// Whether a parameter with this many dimensions decays.
    pub(crate) fn applies(self, dimensions: usize) -> bool {
        self == Self::All || dimensions > 1
    }
}

/// Section `[training.optimizer]`.
///
/// | key | default | meaning | range |
/// |---|---|---|---|
/// | `kind` | `"adam"` | the update rule | `"adam"`, `"adamw"`, `"sgd"`, `"lion"`, `"muon"` |
/// | `learning_rate` | 0.001 | the highest rate of the schedule | 0 < r <= 10 |
/// | `weight_decay` | 0.0001 | L2 penalty (Adam, SGD) or decoupled decay | 0 to 1 |
/// | `decay` | `"all"` | which parameters decay | `"all"`, `"weights"` |
/// | `momentum` | 0.9 | momentum of SGD and Muon | 0 <= m < 1 |
/// | `nesterov` | false | Nesterov momentum for SGD (Muon always uses it) | needs momentum |
/// | `beta1` | 0.9 | decay of Adam's first moment; Lion's share of the momentum in a step | 0 <= b < 1 |
/// | `beta2` | 0.999, Lion 0.99 | decay of Adam's second moment or of Lion's momentum | 0 <= b < 1 |
/// | `epsilon` | 1e-8 | added to Adam's denominator | 0 < e <= 1 |
/// | `auxiliary_learning_rate` | 0.001 | Muon: highest rate of AdamW, which updates the first convolution, biases, batch norms, attention layers and the head | 0 < r <= 10 |
///
/// With Muon, AdamW uses `beta1`, `beta2`, `epsilon` and `weight_decay`, and its rate follows the same
/// schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, remote = "Self")]
pub struct OptimizerConfig {
    /// The update rule.
    pub kind: OptimizerKind,
    /// The highest learning rate of the schedule.
    pub learning_rate: f64,
    /// L2 penalty or decoupled decay.
    pub weight_decay: f64,
    /// Which parameters decay.
    pub decay: Decay,
    /// Momentum of SGD and Muon.
    pub momentum: f64,
    /// Nesterov momentum for SGD.
    pub nesterov: bool,
    /// Decay of Adam's first moment, or the share of the momentum in Lion's step.
    pub beta1: f64,
    /// Decay of Adam's second moment or of Lion's momentum; `None` is the usual value of the rule, see
    /// [`OptimizerConfig::beta2`].
    pub beta2: Option<f64>,
    /// Added to Adam's denominator.
    pub epsilon: f64,
    /// The highest learning rate of the parameters that Muon leaves to AdamW.
    pub auxiliary_learning_rate: f64,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            kind: OptimizerKind::Adam,
            learning_rate: 0.001,
            weight_decay: 0.0001,
            decay: Decay::All,
            momentum: 0.9,
            nesterov: false,
            beta1: 0.9,
            beta2: None,
            epsilon: 1e-8,
            auxiliary_learning_rate: 0.001,
        }
    }
}

/// Uses the derived functions that `remote` generates.
impl Serialize for OptimizerConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for OptimizerConfig {
    /// A `beta2` with the rule's usual value equals a missing one. Otherwise one training could be written in
    /// two ways, and a checkpoint written with the value would be rejected without it.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut config = Self::deserialize(deserializer)?;
        if config.beta2 == Some(config.usual_beta2()) {
            config.beta2 = None;
        }
        Ok(config)
    }
}

const MAX_LEARNING_RATE: f64 = 10.0;

impl OptimizerConfig {
    /// Decay of Adam's second moment or of Lion's momentum: the configured value, otherwise 0.999, for Lion
    /// 0.99.
    #[must_use]
    pub fn beta2(&self) -> f64 {
        self.beta2.unwrap_or_else(|| self.usual_beta2())
    }

    fn usual_beta2(&self) -> f64 {
        match self.kind {
            OptimizerKind::Lion => 0.99,
            _ => 0.999,
        }
    }

    pub(super) fn check(&self) -> Result<(), TrainError> {
        let positive = |key, value: f64, most: f64| {
            if value > 0.0 && value <= most {
                return Ok(());
            }
            let limit = format!("above 0 and at most {most}");
            Err(TrainError::out_of_range(key, value, limit))
        };
        positive(
            "optimizer.learning_rate",
            self.learning_rate,
            MAX_LEARNING_RATE,
        )?;
        positive(
            "optimizer.auxiliary_learning_rate",
            self.auxiliary_learning_rate,
            MAX_LEARNING_RATE,
        )?;
        positive("optimizer.epsilon", self.epsilon, 1.0)?;
        if !(0.0..=1.0).contains(&self.weight_decay) {
            let key = "optimizer.weight_decay";
            return Err(TrainError::out_of_range(key, self.weight_decay, "0 to 1"));
        }
        fraction("optimizer.momentum", self.momentum)?;
        fraction("optimizer.beta1", self.beta1)?;
        fraction("optimizer.beta2", self.beta2())?;
        if self.nesterov && self.momentum == 0.0 {
            let key = "optimizer.nesterov";
            return Err(TrainError::out_of_range(
                key,
                true,
                "false without momentum",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> OptimizerConfig {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn the_usual_beta2_depends_on_the_rule() {
        assert_eq!(parsed("").beta2(), 0.999);
        assert_eq!(parsed("kind = 'lion'").beta2(), 0.99);
        assert_eq!(parsed("kind = 'muon'").beta2(), 0.999);
        assert_eq!(parsed("kind = 'lion'\nbeta2 = 0.98").beta2(), 0.98);
    }

    /// Older records of trainings contain the value.
    #[test]
    fn the_usual_beta2_written_out_is_the_same_config() {
        assert_eq!(parsed("beta2 = 0.999"), OptimizerConfig::default());
        assert_eq!(
            parsed("kind = 'lion'\nbeta2 = 0.99"),
            parsed("kind = 'lion'")
        );
        assert_ne!(
            parsed("kind = 'lion'\nbeta2 = 0.999"),
            parsed("kind = 'lion'")
        );
        let old = r#"{"kind":"adam","learning_rate":0.001,"weight_decay":0.0001,"momentum":0.9,
            "nesterov":false,"beta1":0.9,"beta2":0.999,"epsilon":1e-8}"#;
        let old: OptimizerConfig = serde_json::from_str(old).unwrap();
        assert_eq!(old, OptimizerConfig::default());
        let again = serde_json::to_value(&old).unwrap();
        assert_eq!(
            again,
            serde_json::to_value(OptimizerConfig::default()).unwrap()
        );
    }

    #[test]
    fn written_configs_read_back() {
        for text in [
            "",
            "kind = 'lion'",
            "kind = 'muon'\nbeta2 = 0.95\ndecay = 'weights'",
        ] {
            let config = parsed(text);
            assert_eq!(parsed(&toml::to_string(&config).unwrap()), config, "{text}");
        }
    }

    #[test]
    fn decay_of_weights_spares_what_has_one_dimension() {
        assert!(Decay::All.applies(1) && Decay::All.applies(4));
        assert!(Decay::Weights.applies(2) && Decay::Weights.applies(4));
        assert!(!Decay::Weights.applies(1));
    }
}
