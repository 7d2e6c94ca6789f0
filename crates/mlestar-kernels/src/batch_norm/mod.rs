//! Batch normalisation over channels-last values, with an activation and a residual sum in the same pass.
//!
//! Ioffe and Szegedy 2015, <https://arxiv.org/abs/1502.03167>. All sums are computed over pieces of a fixed
//! number of pixels, which are then added up in 64 bits. Neither the number of threads nor the number of pixels
//! reduces the precision.

mod backward;
mod forward;
mod statistics;

pub use backward::{Activated, BatchNormGradients, batch_norm_backward};
pub use forward::batch_norm_forward;
pub use statistics::{ChannelStatistics, channel_statistics};

use crate::KernelError;

/// Values per piece: 64 KiB, which stays in the second-level cache between two passes.
const PIECE_VALUES: usize = 16 << 10;

/// Pixels per piece.
fn piece_pixels(channels: usize) -> usize {
    (PIECE_VALUES / channels.max(1)).max(1)
}

fn check_channels(values: &[f32], channels: usize) -> Result<(), KernelError> {
    match channels > 0 && values.len().is_multiple_of(channels) {
        true => Ok(()),
        false => Err(KernelError::Shape {
            what: "batch norm",
            reason: format!(
                "{} values are not whole pixels of {channels} channels",
                values.len()
            ),
        }),
    }
}
