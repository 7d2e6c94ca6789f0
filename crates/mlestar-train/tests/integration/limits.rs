//! Limits of time and data, and how many checkpoints are kept.

use std::time::{Duration, Instant};

use mlestar_train::{ProgressiveResizing, StepCosts, StepProgress, StopReason, TrainEvent};

use crate::Setup;

fn entry(until_fraction: f64, scale: f64) -> ProgressiveResizing {
    ProgressiveResizing {
        until_fraction,
        scale,
    }
}

#[test]
fn when_the_time_is_up_the_epoch_is_validated_and_the_last() {
    for every in [1, 50_000] {
        time_is_up(every);
    }
}

fn time_is_up(validate_every_epochs: usize) {
    let mut setup = Setup::new(100_000);
    setup.training.validate_every_epochs = validate_every_epochs;
    setup.training.max_minutes = Some(0.3 / 60.0);
    let folder = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let mut said = false;
    let outcome = setup
        .fit_observed(folder.path(), &mut |event| {
            said |= matches!(event, TrainEvent::TimeUp { .. });
        })
        .unwrap();
    assert_eq!(outcome.stopped, StopReason::TimeUp);
    assert!(said && outcome.best_epoch > 0);
    assert!(outcome.history.last().unwrap().is_validated());
    assert!(started.elapsed() < Duration::from_secs(60));
    // When resumed, it has nothing left to do.
    setup.resume = true;
    let again = setup.fit(folder.path()).unwrap();
    assert_eq!(again.stopped, StopReason::TimeUp);
    assert_eq!(again.history, outcome.history);
}

#[test]
fn a_few_batches_are_learnt_by_heart() {
    let mut setup = Setup::new(40);
    setup.training.overfit_batches = 1;
    setup.training.label_smoothing = 0.0;
    let mut sizes = None;
    let outcome = setup
        .fit_observed(tempfile::tempdir().unwrap().path(), &mut |event| {
            if let TrainEvent::Started {
                train_images,
                validation_images,
                steps,
                ..
            } = event
            {
                sizes = Some([*train_images, *validation_images, *steps]);
            }
        })
        .unwrap();
    assert_eq!(sizes, Some([16, 16, 1]));
    let best = &outcome.history[outcome.best_epoch - 1];
    assert_eq!(best.validation_accuracy, Some(1.0));
}

#[test]
fn pictures_grow_over_the_epochs() {
    let mut setup = Setup::new(4);
    setup.training.progressive_resizing = vec![entry(0.25, 0.5), entry(0.5, 0.75)];
    let outcome = setup.fit(tempfile::tempdir().unwrap().path()).unwrap();
    let areas: Vec<f64> = outcome.history.iter().map(|r| r.picture_area).collect();
    assert_eq!(areas, [0.25, 0.5625, 1.0, 1.0]);

    // The second stage would be left with images of 1 x 1.
    setup.spec = {
        let mut config = setup.spec.config().clone();
        config.stages.push(config.stages[0].clone());
        config
            .check(crate::CLASSES, crate::SIDE, crate::SIDE)
            .unwrap()
    };
    setup.training.progressive_resizing = vec![entry(0.25, 0.25)];
    let error = setup.fit(tempfile::tempdir().unwrap().path()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "progressive_resizing.scale = 0.25 is out of range: it must be enough for the network: \
         stages[1].stride = 2 does not fit: the images of 2x2 pixels are only 1x1 at this layer; \
         lower the stride, drop a stage or use larger images"
    );
}

#[test]
fn the_time_left_counts_epochs_by_what_their_steps_take() {
    let mut setup = Setup::new(4);
    setup.training.progressive_resizing = vec![entry(0.25, 0.5), entry(0.5, 0.75)];
    let told = StepCosts::of_steps(&[(0.25, 5.0), (1.0, 8.0)]);
    for step_costs in [None, told] {
        setup.step_costs = step_costs;
        let mut seen: Vec<StepProgress> = Vec::new();
        let outcome = setup
            .fit_observed(tempfile::tempdir().unwrap().path(), &mut |event| {
                // On a slow machine there are more within an epoch.
                match event {
                    TrainEvent::Step(progress) if progress.step == progress.steps => {
                        seen.push(*progress);
                    }
                    _ => {}
                }
            })
            .unwrap();
        assert!(seen.iter().map(|step| step.epoch).eq(1..=4), "{seen:?}");
        for (before, step) in seen.iter().enumerate() {
            // Once epochs with two sizes have ended, they determine the costs.
            let costs = match before {
                0 | 1 => step_costs.unwrap_or_default(),
                _ => StepCosts::of_epochs(&outcome.history[..before]).unwrap(),
            };
            let area = |epoch: usize| outcome.history[epoch - 1].picture_area;
            let later: f64 = (step.epoch + 1..=4)
                .map(|epoch| costs.of(area(epoch)))
                .sum();
            let mut of_epoch = 64.0 / step.images_per_second;
            if before == 0 {
                // Without the first of four steps.
                of_epoch = (of_epoch - outcome.first_step.unwrap().seconds) * 4.0 / 3.0;
            }
            let validation = match before {
                0 => 0.0,
                _ => outcome.history[before - 1].validation_seconds,
            };
            let expected =
                of_epoch * later / costs.of(area(step.epoch)) + (4 - before) as f64 * validation;
            let ratio = step.eta_seconds / expected;
            assert!((ratio - 1.0).abs() < 1e-6, "{step:?}: {expected}");
        }
    }
}

#[test]
fn only_the_newest_regular_checkpoints_are_kept() {
    let mut setup = Setup::new(7);
    setup.training.checkpoint_every_epochs = 1;
    setup.training.keep_checkpoints = 2;
    let folder = tempfile::tempdir().unwrap();
    setup.fit(folder.path()).unwrap();
    let mut names: Vec<String> = std::fs::read_dir(folder.path().join("checkpoints"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("epoch-"))
        .collect();
    names.sort();
    assert_eq!(names, ["epoch-0006", "epoch-0007"]);
}
