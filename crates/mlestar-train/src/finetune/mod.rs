//! Fine-tuning: the head is fitted on features of the images that the pretrained network computes once; then groups of
//! layers learn, from the head to the first convolution.

mod cross_validation;
mod features;
mod head;
mod logistic;

pub(crate) use cross_validation::groups_of;
pub use cross_validation::{HeadCrossValidation, HeadImages, cross_validate_head};
pub(crate) use features::features;
pub(crate) use head::fit_head;
pub(crate) use logistic::Samples;
