use super::*;
use crate::config::Override;
use mlestar_train::StepRecord;
use std::fmt::Write as _;
use std::fs;

/// 20 epochs of 50 steps; the validation loss turns at epoch 8, the loss of a step jumps.
fn history() -> History {
    let mut history = History::default();
    for epoch in 1..=20_usize {
        for _ in 0..50 {
            let step = history.steps.len() as u64 + 1;
            let wave = 0.02 * (step as f64 * 1.7).sin();
            history.steps.push(StepRecord {
                step,
                epoch,
                loss: if step == 640 {
                    6.0
                } else {
                    0.1 + 2.2 * (-0.005 * step as f64).exp() + wave
                },
                learning_rate: 0.001,
                gradient_norm: 1.0 + wave,
            });
        }
        let train_loss = 0.1 + 2.2 * (-0.25 * epoch as f64).exp();
        let late = epoch.saturating_sub(8) as f64;
        history.epochs.push(EpochRecord {
            epoch,
            learning_rate: 0.001,
            train_loss,
            train_accuracy: 1.0 - 0.4 * train_loss,
            validation_loss: Some(0.1 + train_loss + 0.1 * late),
            validation_accuracy: Some(0.9 - 0.4 * train_loss - 0.004 * late),
            images_per_second: if epoch == 12 { 100.0 } else { 250.0 },
            picture_area: 1.0,
            seconds: 12.0,
            loader_wait_seconds: 0.12,
            validation_seconds: 1.0,
            gradient_norm_mean: 1.0,
            head: None,
        });
    }
    history
}

fn write_history(folder: &Path, history: &History) {
    let mut text = String::new();
    for epoch in &history.epochs {
        writeln!(text, "{}", serde_json::to_string(epoch).unwrap()).unwrap();
    }
    fs::write(folder.join("metrics.jsonl"), &text).unwrap();
    text.clear();
    for step in &history.steps {
        writeln!(text, "{}", serde_json::to_string(step).unwrap()).unwrap();
    }
    fs::write(folder.join("steps.jsonl"), &text).unwrap();
}

#[test]
fn an_analysis_is_written_read_back_and_drawn_with_its_marks() {
    let folder = tempfile::tempdir().unwrap();
    write_history(folder.path(), &history());
    let place = &find_trainings(folder.path())[0];
    let analysed = analyse_training(place, &Config::default())
        .unwrap()
        .unwrap();
    let [json, html] = analysed.write(place).unwrap();
    assert_eq!(
        read_artifact::<TrainingAnalysis>(&json).unwrap(),
        analysed.analysis
    );
    assert_eq!(analysed.analysis.settings_from, SettingsSource::Config);
    assert_eq!(
        (analysed.analysis.epochs, analysed.analysis.steps),
        (20, 1000)
    );
    let page = fs::read_to_string(html).unwrap();
    for text in [
        "overfitting",
        "throughput drop",
        "step 640",
        "norm of all gradients",
        "marked at 640",
        "marked at 12",
        "1.0% of the time steps waited for images",
        "training.label_smoothing",
        "href=\"steps.jsonl\"",
    ] {
        assert!(page.contains(text), "{text}");
    }
    assert!(!page.contains("src=\"http"), "not self-contained");
}

#[test]
fn every_suggestion_is_a_valid_setting() {
    let config = Config::default()
        .with_overrides(&[
            Override::parse("model.dropout=0.0").unwrap(),
            Override::parse("training.schedule.kind=constant").unwrap(),
        ])
        .unwrap();
    let settings = TrainingSettings::of(Path::new("nowhere"), &config);
    let mut keys = std::collections::BTreeSet::new();
    let mut check = |epochs: &[EpochRecord], steps: &[StepRecord]| {
        for finding in analyse(epochs, steps, &settings.as_settings()) {
            for suggestion in &finding.suggestions {
                let setting = Override::parse(&suggestion.to_string()).unwrap();
                config
                    .with_overrides(&[setting])
                    .unwrap_or_else(|error| panic!("{suggestion}: {error}"));
                keys.insert(suggestion.key.clone());
            }
        }
    };
    let plain = history();
    check(&plain.epochs, &plain.steps);
    let mut diverged = plain.clone();
    for step in &mut diverged.steps[900..] {
        step.loss = f64::NAN;
    }
    check(&diverged.epochs, &diverged.steps);
    check(&[], &diverged.steps[895..]);
    let mut growing = plain.clone();
    for (index, step) in growing.steps.iter_mut().enumerate() {
        step.gradient_norm = 1.01_f64.powi(index as i32);
    }
    check(&growing.epochs, &growing.steps);
    let mut flat = plain.epochs.clone();
    for epoch in &mut flat[5..] {
        epoch.train_loss = 1.0;
        epoch.train_accuracy = 0.6;
        epoch.validation_loss = Some(1.1);
        epoch.validation_accuracy = Some(0.5);
    }
    check(&flat, &[]);
    for epoch in &mut flat {
        epoch.train_loss = 2.3;
    }
    check(&flat, &[]);
    assert!(keys.len() >= 8, "{keys:?}");
}

#[test]
fn nothing_recorded_is_nothing_and_a_malformed_line_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("metrics.jsonl"), "").unwrap();
    let place = &find_trainings(folder.path())[0];
    assert!(
        analyse_training(place, &Config::default())
            .unwrap()
            .is_none()
    );
    fs::write(folder.path().join("metrics.jsonl"), "{}\n").unwrap();
    let message = analyse_training(place, &Config::default())
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("metrics.jsonl is not valid: line 1: missing field"),
        "{message}"
    );
}
