use burn::tensor::Device;
use mlestar_kernels::{Level, backend};
use mlestar_model::Precision;
use serde::{Deserialize, Serialize};

use crate::TrainError;

/// How exactly training computes convolutions, `training.precision`. Evaluation always takes 32 bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrecisionChoice {
    /// With 32-bit floating point.
    #[default]
    F32,
    /// With factors of 16 bits, see [`Precision::Bf16`]; on the CPU only. A processor without instructions
    /// for them takes longer than with `f32`.
    Bf16,
    /// `bf16` on a CPU with instructions for it (AVX-512 BF16), else `f32`.
    Auto,
}

impl PrecisionChoice {
    /// What it comes to on `device`.
    ///
    /// # Errors
    ///
    /// [`TrainError::OutOfRange`] for `bf16` on a GPU.
    pub fn on(self, device: &Device) -> Result<Precision, TrainError> {
        let has_kernels = backend::available(device);
        match self {
            Self::F32 => Ok(Precision::F32),
            Self::Bf16 if has_kernels => Ok(Precision::Bf16),
            Self::Bf16 => Err(TrainError::out_of_range(
                "precision",
                "bf16",
                "\"f32\" or \"auto\" on a GPU: bfloat16 is for the CPU",
            )),
            Self::Auto if has_kernels && Level::current().has_bfloat16() => Ok(Precision::Bf16),
            Self::Auto => Ok(Precision::F32),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_is_what_the_processor_is_fast_at() {
        let device = Device::flex().autodiff();
        let on = |choice: PrecisionChoice| choice.on(&device).unwrap();
        assert_eq!(on(PrecisionChoice::F32), Precision::F32);
        assert_eq!(on(PrecisionChoice::Bf16), Precision::Bf16);
        let fast = match Level::current().has_bfloat16() {
            true => Precision::Bf16,
            false => Precision::F32,
        };
        assert_eq!(on(PrecisionChoice::Auto), fast);
    }
}
