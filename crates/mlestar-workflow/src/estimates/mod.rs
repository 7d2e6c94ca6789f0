//! The resources that model and training need on this machine: computed from the architecture, and measured in a few
//! real steps.
//!
//! Stage 2 asks whether the targets are feasible with them, stage 3 whether the architecture works and fits.

mod gradients;
mod resources;
mod step_probe;
mod timing;

pub use gradients::GradientFigure;
pub use resources::{ResourceFigures, n_held};
pub(crate) use step_probe::{StepProbe, probe};
pub use timing::{SmallStepTiming, StepTiming, TrainingWork};
