//! Fine-tuning: the head is fitted on features of the images that the pretrained network computes once; then groups of
//! layers learn, from the head to the first convolution.

mod features;
mod head;
mod logistic;

pub(crate) use features::features;
pub(crate) use head::fit_head;
pub(crate) use logistic::Samples;
