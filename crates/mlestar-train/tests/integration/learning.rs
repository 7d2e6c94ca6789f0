use burn::tensor::Device;
use mlestar_model::Network as _;
use mlestar_train::{TrainEvent, logits};

use crate::{Setup, normalization, plain_spec};

#[test]
fn an_easy_task_is_learned() {
    let folder = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(12);
    setup.augmentation.random_crop_padding = 0;
    let outcome = setup.fit(folder.path()).unwrap();
    let best = &outcome.history[outcome.best_epoch - 1];
    assert!(
        best.validation_accuracy.unwrap() >= 0.9,
        "{:?}",
        outcome.history
    );
    assert!(outcome.history[11].train_loss < 0.7 * outcome.history[0].train_loss);
}

#[test]
fn the_scale_after_a_max_pool_is_not_trained() {
    let folder = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(2);
    setup.spec = plain_spec();
    let state = setup.fit(folder.path()).unwrap().best_model.state();
    let scales = |name: &str| &state.iter().find(|t| t.name == name).unwrap().values;
    let is_one = |scale: &f32| *scale == 1.0;
    assert!(scales("stages.0.0.bn1.weight").iter().all(is_one));
    assert!(!scales("stages.0.0.bn2.weight").iter().any(is_one));
}

#[test]
fn events_tell_the_whole_story() {
    let folder = tempfile::tempdir().unwrap();
    let mut events = Vec::new();
    let outcome = Setup::new(2)
        .fit_observed(folder.path(), &mut |event| events.push(event.clone()))
        .unwrap();
    let started = events
        .iter()
        .find(|event| matches!(event, TrainEvent::Started { .. }));
    assert_eq!(
        started,
        Some(&TrainEvent::Started {
            first_epoch: 1,
            epochs: 2,
            // 70 images in batches of 16: the last 6 are left out.
            steps: 4,
            train_images: 70,
            validation_images: 30,
            pictures_on_device: false,
        })
    );
    let last_steps: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            TrainEvent::Step(progress) if progress.step == 4 => Some(progress),
            _ => None,
        })
        .collect();
    assert_eq!(last_steps.len(), 2);
    for (step, record) in last_steps.iter().zip(&outcome.history) {
        assert_eq!(step.loss, record.train_loss);
        assert_eq!(step.accuracy, record.train_accuracy);
        assert_eq!(step.learning_rate, record.learning_rate);
        assert!(step.images_per_second > 0.0);
    }
    assert!(last_steps[0].eta_seconds > 0.0);
    let validated = events.iter().filter(|event| {
        matches!(
            event,
            TrainEvent::Validation {
                done: 30,
                of: 30,
                ..
            }
        )
    });
    assert_eq!(validated.count(), 2);
    let epochs: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            TrainEvent::Epoch(record) => Some(record.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(epochs, outcome.history);
    // The norm is recorded before clipping.
    assert!(
        outcome
            .history
            .iter()
            .all(|record| record.gradient_norm_mean > 0.0)
    );
}

#[test]
fn fewer_pictures_than_a_batch_still_train() {
    let folder = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(1);
    setup.training.batch_size = 500;
    let outcome = setup.fit(folder.path()).unwrap();
    assert_eq!(outcome.history.len(), 1);
}

#[test]
fn predictions_do_not_depend_on_the_batch_size_and_report_progress() {
    let setup = Setup::new(1);
    let device = Device::flex();
    let model = setup.spec.init(3, &device);
    let run = |batch_size| {
        let mut calls = Vec::new();
        let logits = logits(
            &model,
            &setup.validation,
            &normalization(),
            batch_size,
            &device,
            &mut |done, of| calls.push((done, of)),
        )
        .unwrap();
        (logits, calls)
    };
    let (together, calls) = run(30);
    assert_eq!(calls, [(30, 30)]);
    assert_eq!(together.len(), 90);
    let (pieces, calls) = run(13);
    assert_eq!(calls, [(13, 30), (26, 30), (30, 30)]);
    for (a, b) in together.iter().zip(&pieces) {
        assert!((a - b).abs() < 1e-5);
    }
    let empty = setup.validation.select(&[]).unwrap();
    let logits = logits(&model, &empty, &normalization(), 4, &device, &mut |_, _| ()).unwrap();
    assert!(logits.is_empty());
}
