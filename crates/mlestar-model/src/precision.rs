use mlestar_kernels as kernels;
use serde::{Deserialize, Serialize};

/// The precision of the factors of convolutions in training. Everything else is always 32-bit floating point:
/// weights, their updates, activations, sums, normalisations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// Not rounded.
    #[default]
    F32,
    /// bfloat16, an `f32` cut to 8 significant bits, in those kernels that it makes faster: convolutions on the
    /// CPU with channels in multiples of 16; without a matrix unit, only 3x3 ones of stride 1. It changes
    /// nothing elsewhere.
    Bf16,
}

impl Precision {
    /// The same precision for the CPU kernels.
    #[must_use]
    pub fn kernel(self) -> kernels::Precision {
        match self {
            Self::F32 => kernels::Precision::F32,
            Self::Bf16 => kernels::Precision::Bfloat16,
        }
    }

    /// `f32` or `bf16`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }
}
