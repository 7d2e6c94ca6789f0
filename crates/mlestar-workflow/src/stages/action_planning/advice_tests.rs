//! Applies the advice of stage 1 and the image size of stage 3 to the config: it is valid, and no gate of stage 3
//! that follows from config and data gets worse.

use super::testing::architecture_figures;
use super::{ArchitectureFigures, Settings, answer_all, larger_size, receptive_field};
use crate::Stage;
use crate::config::{Config, MetricName, Override};
use crate::estimates::ResourceFigures;
use crate::stages::situation_analysis::{
    Advice, Measurements, SourceTraits, all_advice, detect_all, shrink_to, troubled_measurements,
    untroubled_measurements,
};
use crate::stages::task_definition::TaskSpec;
use mlestar_data::quality::FindingKind;
use mlestar_data::readers::folder::FileSizes;
use mlestar_data::{SourceKind, SplitName};
use mlestar_model::ModelSpec;
use std::collections::BTreeSet;

const FOLDER: &str = include_str!("../../../../../configs/folder.toml");
const QUICKSTART: &str = include_str!("../../../../../configs/quickstart.toml");
const CIFAR10: &str = include_str!("../../../../../configs/cifar10.toml");

fn config(text: &str) -> Config {
    let path = Override::parse("data.path=\"somewhere\"").unwrap();
    // The synthetic set takes no path.
    let data = match text.contains("source = \"synthetic\"") {
        true => Vec::new(),
        false => vec![path],
    };
    Config::parse(text, "test.toml", &data).unwrap()
}

fn model_of(config: &Config, measurements: &Measurements) -> Option<ModelSpec> {
    let n_classes = measurements.classes.len();
    let model = &config.model;
    model
        .check(n_classes, measurements.height, measurements.width)
        .ok()
}

fn task_of(config: &Config) -> TaskSpec {
    let mut task = super::testing::task_spec();
    task.primary.metric = config.task.primary.name;
    task.quality = config.task.quality.clone();
    task
}

/// Each criterion of stage 3 that follows from config and data, and whether it is met; the number of answered
/// challenges at the end.
fn gates_of(
    config: &Config,
    measurements: &Measurements,
    model: &ModelSpec,
) -> (Vec<(String, bool)>, usize) {
    let n_train = measurements.n_pictures(SplitName::Train);
    let needs = ResourceFigures::of(model, &config.training, &[], n_train, measurements.n_all());
    let architecture = receptive_field::plan(model);
    let settings = Settings {
        architecture: &architecture,
        training: &config.training,
        augmentation: &config.augmentation,
        task: &task_of(config),
        measurements,
    };
    let answers = answer_all(&detect_all(measurements), &settings);
    let n_answered = answers.iter().filter(|answer| answer.is_answered).count();
    let stage = Stage::ActionPlanning;
    let met = config
        .criteria(stage)
        .into_iter()
        .filter_map(|criterion| {
            let value = match criterion.id.as_str() {
                "parameters" => needs.parameters as f64,
                "model_bytes" => needs.model_bytes as f64,
                "training_memory_bytes" => needs.training_memory_bytes() as f64,
                "flops_per_image" => needs.flops_per_image as f64,
                "challenges_answered" => n_answered as f64 / answers.len().max(1) as f64,
                _ => return None,
            };
            let limit = config.limit_of(&criterion, stage)?;
            Some((criterion.id, limit.allows(value)))
        })
        .collect();
    (met, n_answered)
}

/// Data sets that differ in one respect or in several.
fn situations() -> Vec<Measurements> {
    let mut all = vec![untroubled_measurements(), troubled_measurements()];
    let mut with = |change: &dyn Fn(&mut Measurements)| {
        let mut measurements = untroubled_measurements();
        change(&mut measurements);
        all.push(measurements);
    };
    for side in [16, 32, 64] {
        with(&|m| shrink_to(m, side));
        with(&|m| (m.height, m.width) = (side, side));
        with(&|m| {
            shrink_to(m, side);
            m.class_counts.train = vec![40, 300, 300, 300];
            m.class_counts.validation = vec![20; 4];
            m.variability.as_mut().unwrap().center_x.std = 0.3;
        });
    }
    for train in [
        [2_000, 300, 5_000, 5_000],
        [4_000, 5_000, 5_000, 5_000],
        [0, 300, 300, 300],
    ] {
        with(&|m| m.class_counts.train = train.to_vec());
    }
    for kind in FindingKind::ALL {
        with(&|m| {
            for count in m.findings.iter_mut().filter(|count| count.kind == kind) {
                count.per_split = [400, 40, 40];
            }
        });
    }
    with(&|m| {
        let found = m.variability.as_mut().unwrap();
        (
            found.brightness.std,
            found.contrast.std,
            found.grey_fraction,
        ) = (0.4, 0.3, 0.5);
        found.border_brightness.std = 0.3;
    });
    with(&|m| m.separability.as_mut().unwrap().linear_accuracy_mirrored = 0.3);
    with(&|m| m.class_counts.validation = vec![25; 4]);
    all
}

#[test]
fn every_piece_of_advice_gives_a_config_that_checks_and_gates_that_are_no_worse() {
    let focal = format!("{FOLDER}\n[training.mixing]\ncutmix_alpha = 1.0\n")
        .replace("batch_size = 128", "batch_size = 128\nfocal_gamma = 2.0");
    let configs = [FOLDER, QUICKSTART, CIFAR10, &focal];
    let mut n_applied = 0;
    for text in configs {
        let before = config(text);
        // What has been applied to images of this size.
        let mut applied = BTreeSet::new();
        for measurements in situations() {
            // Other sources than a folder have one size.
            let size = [measurements.height, measurements.width];
            let is_folder = before.data.source == SourceKind::Folder;
            if !is_folder && size != [32, 32] {
                continue;
            }
            let before = match is_folder {
                true => {
                    let size = format!("data.image_size=[{}, {}]", size[0], size[1]);
                    let set = Override::parse(&size).unwrap();
                    before.with_overrides(&[set]).unwrap()
                }
                false => before.clone(),
            };
            let Some(model) = model_of(&before, &measurements) else {
                continue;
            };
            let (met, n_answered) = gates_of(&before, &measurements, &model);
            for kind in [SourceKind::Folder, SourceKind::Synthetic] {
                let source = SourceTraits {
                    kind,
                    has_validation: false,
                };
                for Advice { title, setting, .. } in
                    all_advice(&measurements, source, &before.augmentation)
                {
                    let Some(setting) = setting else { continue };
                    let text = format!("{}={}", setting.key, setting.value);
                    let size = [measurements.height, measurements.width];
                    if !applied.insert((
                        text.clone(),
                        size,
                        measurements.class_counts.train.clone(),
                    )) {
                        continue;
                    }
                    let set = Override::parse(&text).unwrap();
                    let after = before
                        .with_overrides(&[set])
                        .unwrap_or_else(|error| panic!("{title}: {text}: {error}"));
                    after.augmentation.check(size[0], size[1]).unwrap();
                    let model = model_of(&after, &measurements).unwrap();
                    let (met_after, n_after) = gates_of(&after, &measurements, &model);
                    for (one, other) in met.iter().zip(&met_after) {
                        assert!(!one.1 || other.1, "{title}: {text}: {}", one.0);
                    }
                    assert!(
                        n_after >= n_answered || setting.value == "0.0",
                        "{title}: {text} answers fewer challenges"
                    );
                    n_applied += 1;
                }
            }
        }
    }
    assert!(n_applied > 20, "{n_applied}");
}

/// Figures of this config's model with images of 64 x 64, and times that leave room.
fn figures_of(
    config: &Config,
    measurements: &Measurements,
    model: &ModelSpec,
) -> ArchitectureFigures {
    let mut figures = architecture_figures();
    let n_train = measurements.n_pictures(SplitName::Train);
    figures.resources =
        ResourceFigures::of(model, &config.training, &[], n_train, measurements.n_all());
    figures
}

fn photographs() -> Measurements {
    let mut measurements = untroubled_measurements();
    measurements.class_counts.train = vec![100; 4];
    measurements.class_counts.validation = vec![50; 4];
    measurements.class_counts.test = vec![30; 4];
    (measurements.height, measurements.width) = (64, 64);
    measurements.file_sizes = FileSizes::uniform(500, 375, 720);
    measurements
}

/// The advised size keeps the limits that the next size up breaks.
#[test]
fn the_larger_size_that_is_named_keeps_every_limit() {
    let (folder, found) = (config(FOLDER), photographs());
    let model = model_of(&folder, &found).unwrap();
    let figures = figures_of(&folder, &found, &model);
    let at = |config: &Config, figures: &ArchitectureFigures| {
        larger_size::find(config, &model, &found, &[], figures)
    };
    let flops = |side| {
        let model = folder.model.check(4, side, side).unwrap();
        model.summary().flops_per_image as f64
    };
    match at(&folder, &figures) {
        Some(larger) => {
            let side = larger.image_size[0];
            assert!(side > 64 && flops(side) <= 1e9, "{larger:?}");
            let set = Override::parse(&format!("data.image_size=[{side}, {side}]")).unwrap();
            let after = folder.with_overrides(&[set]).unwrap();
            let mut resized = found.clone();
            (resized.height, resized.width) = (side, side);
            let model = model_of(&after, &resized).unwrap();
            let (met, _) = gates_of(&after, &resized, &model);
            let resources = met.iter().filter(|(id, _)| *id != "challenges_answered");
            assert!(resources.clone().all(|(_, met)| *met), "{met:?}");
        }
        // No size that is tried keeps the limit on operations.
        None => assert!(flops(80) > 1e9),
    }
    let roomy = folder
        .with_overrides(&[Override::parse(
            "gates.action_planning.criteria.flops_per_image={ at_most = 1e12 }",
        )
        .unwrap()])
        .unwrap();
    let mut figures = figures;
    figures.limits.memory_bytes = 80_000_000_000;
    let larger = at(&roomy, &figures).unwrap();
    assert_eq!(larger.image_size, [224, 224]);
    let ratio = larger.flops_per_image as f64 / figures.resources.flops_per_image as f64;
    let expected = ratio * figures.estimated_training_seconds;
    assert!((larger.estimated_training_seconds - expected).abs() < 1e-6);
    // What is slow or close to a limit is not advised.
    for change in [
        |figures: &mut ArchitectureFigures| figures.estimated_training_seconds = 14_000.0,
        |figures: &mut ArchitectureFigures| figures.timing.latency_ms = vec![95.0; 3],
        |figures: &mut ArchitectureFigures| figures.limits.memory_bytes = 100_000_000,
    ] {
        let mut slow = figures.clone();
        change(&mut slow);
        assert_eq!(at(&roomy, &slow), None);
    }
    // Files that are no larger than what is used have no more detail.
    let mut small = found.clone();
    small.file_sizes = FileSizes::uniform(64, 64, 720);
    assert_eq!(
        larger_size::find(&roomy, &model, &small, &[], &figures),
        None
    );
    assert_eq!(folder.task.primary.name, MetricName::Accuracy);
}
