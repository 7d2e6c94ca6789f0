//! The largest image size that the network and the limits of the plan allow, where the files have more detail than
//! the config uses.

use super::artifact::{ArchitectureFigures, LargerSize};
use crate::Stage;
use crate::config::Config;
use crate::estimates::{ResourceFigures, StepTiming, n_held};
use crate::stages::situation_analysis::Measurements;
use mlestar_data::SplitName;
use mlestar_model::{ModelConfig, ModelSpec};

/// Sizes that are tried, the largest first.
const SIDES: [usize; 8] = [224, 192, 160, 128, 112, 96, 80, 64];
/// Extrapolated figures must keep this share of their limit.
const SHARE_OF_LIMIT: f64 = 0.8;

/// The size to set `data.image_size` to; `None` where files have no more detail, or no larger size keeps every limit.
pub(super) fn find(
    config: &Config,
    model: &ModelSpec,
    measurements: &Measurements,
    teachers: &[ModelSpec],
    figures: &ArchitectureFigures,
) -> Option<LargerSize> {
    let used = measurements.shorter_side();
    let of_files = measurements.shorter_side_of_files();
    SIDES
        .into_iter()
        .filter(|side| *side > used && *side <= of_files)
        .find_map(|side| fitting(config, model, measurements, teachers, figures, side))
}

fn fitting(
    config: &Config,
    model: &ModelSpec,
    measurements: &Measurements,
    teachers: &[ModelSpec],
    figures: &ArchitectureFigures,
    side: usize,
) -> Option<LargerSize> {
    config.augmentation.check(side, side).ok()?;
    let larger = resized(model.config(), model.n_classes(), side)?;
    let n_train = measurements.n_pictures(SplitName::Train);
    let needs = ResourceFigures::of(
        &larger,
        &config.training,
        teachers,
        n_train,
        n_held(&config.data, measurements.n_all(), &larger),
    );
    let times = needs.flops_per_image as f64 / figures.resources.flops_per_image.max(1) as f64;
    let timing: &StepTiming = &figures.timing;
    let seconds = times * figures.estimated_training_seconds;
    let latency_ms = times * timing.p95_latency_ms();
    let limits = &figures.limits;
    let keeps_all = needs.flops_per_image as f64 <= flops_limit(config)
        && needs.model_bytes <= limits.model_bytes
        && needs.training_memory_bytes() as f64 <= SHARE_OF_LIMIT * limits.memory_bytes as f64
        && seconds <= SHARE_OF_LIMIT * limits.training_seconds
        && latency_ms <= SHARE_OF_LIMIT * limits.latency_ms;
    keeps_all.then_some(LargerSize {
        image_size: [side, side],
        flops_per_image: needs.flops_per_image,
        training_memory_bytes: needs.training_memory_bytes(),
        estimated_training_seconds: seconds,
        estimated_latency_ms: latency_ms,
    })
}

fn resized(model: &ModelConfig, n_classes: usize, side: usize) -> Option<ModelSpec> {
    model.check(n_classes, side, side).ok()
}

/// The limit on operations of this stage's gate; none where it is switched off.
fn flops_limit(config: &Config) -> f64 {
    let stage = Stage::ActionPlanning;
    config
        .criteria(stage)
        .iter()
        .find(|criterion| criterion.id == "flops_per_image")
        .and_then(|criterion| config.limit_of(criterion, stage))
        .map_or(f64::INFINITY, |limit| limit.value())
}
