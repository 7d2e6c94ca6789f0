#[cfg(feature = "burn")]
use burn::tensor::{
    Tensor,
    activation::{relu, silu},
};
use mlestar_kernels as kernels;
use serde::{Deserialize, Serialize};

/// The activation after every batch normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// `max(0, x)`.
    #[default]
    Relu,
    /// `max(0, min(6, x))` (Howard et al. 2017, <https://arxiv.org/abs/1704.04861>).
    Relu6,
    /// `x / (1 + exp(-x))`, also called swish (Ramachandran et al. 2017,
    /// <https://arxiv.org/abs/1710.05941>).
    Silu,
}

impl Activation {
    /// The same activation for the CPU kernels.
    #[must_use]
    pub fn kernel(self) -> kernels::Activation {
        match self {
            Self::Relu => kernels::Activation::Relu,
            Self::Relu6 => kernels::Activation::Relu6,
            Self::Silu => kernels::Activation::Silu,
        }
    }

    /// Whether the function is monotonic, so that the largest result is the result of the largest value.
    #[must_use]
    pub fn is_monotonic(self) -> bool {
        match self {
            Self::Relu | Self::Relu6 => true,
            // The minimum is at -1.278.
            Self::Silu => false,
        }
    }

    /// Computed by Burn's operations.
    #[cfg(feature = "burn")]
    pub(crate) fn apply<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Relu => relu(x),
            // The gradient of a clamp is 1 at its limits, that of a ReLU is 0 at 0.
            Self::Relu6 => relu(x).clamp_max(6.0),
            Self::Silu => silu(x),
        }
    }
}
