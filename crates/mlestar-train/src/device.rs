//! Reads values from a device and detects exhausted memory.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use burn::tensor::Tensor;

use crate::TrainError;

/// Waits for a tensor and copies it to the host.
pub(crate) fn to_host<const D: usize>(
    tensor: Tensor<D>,
    action: &'static str,
) -> Result<Vec<f32>, TrainError> {
    let failed = |message: String| TrainError::Device { action, message };
    let data = tensor
        .try_into_data()
        .map_err(|error| failed(error.to_string()))?;
    data.try_into_vec::<f32>()
        .map_err(|error| failed(format!("{error:?}")))
}

/// Runs `work` on the device. Backends report exhausted memory as an error or by a panic; both become
/// [`TrainError::OutOfMemory`]. Other panics are passed on.
pub(crate) fn catching_out_of_memory<T>(
    work: impl FnOnce() -> Result<T, TrainError>,
) -> Result<T, TrainError> {
    let payload = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Err(TrainError::Device { message, .. })) if is_out_of_memory(&message) => {
            return Err(TrainError::OutOfMemory { message });
        }
        Ok(result) => return result,
        Err(payload) => payload,
    };
    let text = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied());
    match text {
        Some(message) if is_out_of_memory(message) => Err(TrainError::OutOfMemory {
            message: message.to_owned(),
        }),
        _ => resume_unwind(payload),
    }
}

/// The messages of the CUDA driver, Vulkan and Burn's memory management.
fn is_out_of_memory(message: &str) -> bool {
    let message = message.to_lowercase();
    [
        "out of memory",
        "outofmemory",
        "out_of_memory",
        "out of device memory",
    ]
    .iter()
    .any(|name| message.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exhausted_memory_is_caught() {
        let caught = catching_out_of_memory::<()>(|| {
            Err(TrainError::Device {
                action: "training",
                message: "CUDA_ERROR_OUT_OF_MEMORY".into(),
            })
        });
        assert!(matches!(caught, Err(TrainError::OutOfMemory { .. })));
        let caught = catching_out_of_memory::<()>(|| panic!("Out of memory: 3 GB asked for"));
        assert!(matches!(caught, Err(TrainError::OutOfMemory { .. })));
        let other = std::panic::catch_unwind(|| {
            let _ = catching_out_of_memory::<()>(|| panic!("index out of bounds"));
        });
        assert!(other.is_err());
        let other = catching_out_of_memory::<()>(|| {
            Err(TrainError::Device {
                action: "training",
                message: "lost".into(),
            })
        });
        assert!(matches!(other, Err(TrainError::Device { .. })));
    }
}
