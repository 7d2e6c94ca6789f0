use serde::{Deserialize, Serialize};

use super::fraction;
use crate::TrainError;

/// The update rules; formulas as in PyTorch's `torch.optim`.
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
    /// Stochastic gradient descent with momentum; weight decay as with Adam.
    Sgd,
}

/// Section `[training.optimizer]`.
///
/// | key | default | meaning | range |
/// |---|---|---|---|
/// | `kind` | `"adam"` | the rule | `"adam"`, `"adamw"`, `"sgd"` |
/// | `learning_rate` | 0.001 | the schedule's highest rate | 0 < r <= 10 |
/// | `weight_decay` | 0.0001 | L2 penalty (Adam, SGD) or decay (AdamW), on every parameter | 0 to 1 |
/// | `momentum` | 0.9 | SGD's momentum | 0 <= m < 1 |
/// | `nesterov` | false | SGD looks ahead | needs momentum |
/// | `beta1`, `beta2` | 0.9, 0.999 | Adam's decay of the moments | 0 <= b < 1 |
/// | `epsilon` | 1e-8 | added to Adam's denominator | 0 < e <= 1 |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerConfig {
    /// The update rule.
    pub kind: OptimizerKind,
    /// The highest learning rate of the schedule.
    pub learning_rate: f64,
    /// L2 penalty or decay.
    pub weight_decay: f64,
    /// Momentum of SGD.
    pub momentum: f64,
    /// Nesterov momentum for SGD.
    pub nesterov: bool,
    /// Decay of Adam's first moment.
    pub beta1: f64,
    /// Decay of Adam's second moment.
    pub beta2: f64,
    /// Added to Adam's denominator.
    pub epsilon: f64,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            kind: OptimizerKind::Adam,
            learning_rate: 0.001,
            weight_decay: 0.0001,
            momentum: 0.9,
            nesterov: false,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
        }
    }
}

const MAX_LEARNING_RATE: f64 = 10.0;

impl OptimizerConfig {
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
        positive("optimizer.epsilon", self.epsilon, 1.0)?;
        if !(0.0..=1.0).contains(&self.weight_decay) {
            let key = "optimizer.weight_decay";
            return Err(TrainError::out_of_range(key, self.weight_decay, "0 to 1"));
        }
        fraction("optimizer.momentum", self.momentum)?;
        fraction("optimizer.beta1", self.beta1)?;
        fraction("optimizer.beta2", self.beta2)?;
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
