use serde::{Deserialize, Serialize};

/// Where the training pictures are kept and augmented, `training.picture_memory`.
///
/// On a GPU the pictures of a step need not be made by the processor and copied when the device has them
/// all. They are the same, but for the rounding of turns and zooms, brightness, contrast, saturation and smaller
/// pictures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PictureMemory {
    /// On the device, unless it is the CPU, they would take more than 1 GiB there, or it has no room.
    #[default]
    Auto,
    /// With the processor: threads make the batches and copy them to the device.
    Host,
    /// On the device, four bytes a pixel, whatever they take.
    Device,
}
