use serde::{Deserialize, Serialize};

/// Where the training images are stored and augmented, `training.picture_memory`.
///
/// On a GPU that holds all training images, the processor does not have to prepare and copy the images of each
/// step. The images are the same, except for rounding in rotation, zoom, brightness, contrast, saturation and
/// resizing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PictureMemory {
    /// On the device, unless it is the CPU, the images would take more than 1 GiB there, or its memory is too
    /// small.
    #[default]
    Auto,
    /// In the memory of the processor: threads prepare the batches and copy them to the device.
    Host,
    /// On the device, four bytes per pixel, whatever the total.
    Device,
}
