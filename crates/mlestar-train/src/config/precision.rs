#[cfg(feature = "burn")]
use burn::tensor::Device;
#[cfg(feature = "burn")]
use mlestar_kernels::{Level, backend};
#[cfg(feature = "burn")]
use mlestar_model::Precision;
use serde::{Deserialize, Serialize};

#[cfg(feature = "burn")]
use crate::TrainError;

/// The precision of convolutions in training, `training.precision`. Evaluation always uses 32 bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrecisionChoice {
    /// 32-bit floating point.
    #[default]
    F32,
    /// Factors with 16 bits, see [`Precision::Bf16`](mlestar_model::Precision::Bf16); on the CPU only. A
    /// processor without instructions for them is slower than with `f32`.
    Bf16,
    /// `bf16` on a CPU with instructions for it (AVX-512 BF16, with or without AMX), otherwise `f32`.
    Auto,
}

#[cfg(feature = "burn")]
impl PrecisionChoice {
    /// The precision that this choice means on `device`.
    ///
    /// # Errors
    ///
    /// [`TrainError::OutOfRange`] for `bf16` on a GPU.
    pub fn on(self, device: &Device) -> Result<Precision, TrainError> {
        self.with(backend::available(device), Level::current().has_bfloat16())
    }

    /// `has_kernels`: whether the device is a CPU; `is_fast`: whether that CPU has the instructions.
    fn with(self, has_kernels: bool, is_fast: bool) -> Result<Precision, TrainError> {
        match self {
            Self::F32 => Ok(Precision::F32),
            Self::Bf16 if has_kernels => Ok(Precision::Bf16),
            Self::Bf16 => Err(TrainError::out_of_range(
                "precision",
                "bf16",
                "\"f32\" or \"auto\" on a GPU: bfloat16 works only on the CPU",
            )),
            Self::Auto if has_kernels && is_fast => Ok(Precision::Bf16),
            Self::Auto => Ok(Precision::F32),
        }
    }
}

#[cfg(all(test, feature = "burn"))]
mod tests {
    use super::*;

    #[test]
    fn auto_is_what_the_processor_is_fast_at() {
        for (has_kernels, is_fast, expected) in [
            (true, true, Precision::Bf16),
            (true, false, Precision::F32),
            (false, true, Precision::F32),
        ] {
            let auto = PrecisionChoice::Auto.with(has_kernels, is_fast).unwrap();
            assert_eq!(auto, expected);
            let exact = PrecisionChoice::F32.with(has_kernels, is_fast).unwrap();
            assert_eq!(exact, Precision::F32);
        }
        let device = Device::flex().autodiff();
        let asked_for = PrecisionChoice::Bf16.on(&device).unwrap();
        assert_eq!(asked_for, Precision::Bf16);
    }

    #[test]
    fn a_gpu_refuses_what_its_kernels_do_not_have() {
        let refused = PrecisionChoice::Bf16.with(false, true).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "precision = bf16 is out of range: it must be \"f32\" or \"auto\" on a GPU: bfloat16 works only on the CPU"
        );
    }
}
