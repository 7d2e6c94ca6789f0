//! Reads event files back with independent code.

use mlestar_model::Network as _;
use std::{fs, path::Path};

use mlestar_model::StateKind;
use mlestar_train::{StepRecord, tensorboard::EventWriter};

use crate::Setup;

/// CRC-32C (Castagnoli), bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

fn masked(bytes: &[u8]) -> [u8; 4] {
    let crc = crc32c(bytes);
    crc.rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// The records of a file, their checksums checked.
fn records(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let (header, rest) = bytes.split_at(12);
        assert_eq!(masked(&header[..8]), header[8..]);
        let length = u64::from_le_bytes(header[..8].try_into().unwrap()) as usize;
        let (data, rest) = rest.split_at(length);
        assert_eq!(masked(data), rest[..4]);
        records.push(data.to_vec());
        bytes = &rest[4..];
    }
    records
}

#[derive(Debug, PartialEq)]
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return value;
        }
    }
    unreachable!()
}

/// The fields of a message: (number, value).
fn fields(mut bytes: &[u8]) -> Vec<(u64, Value<'_>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let value = match tag & 7 {
            0 => Value::Number(varint(&mut bytes)),
            kind => {
                let length = match kind {
                    1 => 8,
                    2 => varint(&mut bytes) as usize,
                    5 => 4,
                    _ => panic!("wire type {kind}"),
                };
                let (value, rest) = bytes.split_at(length);
                bytes = rest;
                Value::Bytes(value)
            }
        };
        found.push((tag >> 3, value));
    }
    found
}

fn get<'a>(fields: &'a [(u64, Value<'a>)], number: u64) -> Option<&'a Value<'a>> {
    fields
        .iter()
        .find(|(n, _)| *n == number)
        .map(|(_, value)| value)
}

/// All scalars of the only event file in `folder`: (step, tag, value).
fn scalars(folder: &Path) -> Vec<(u64, String, f32)> {
    values(folder).0
}

/// The scalars, and the tags of everything else.
fn values(folder: &Path) -> (Vec<(u64, String, f32)>, Vec<String>) {
    let entries: Vec<_> = fs::read_dir(folder).unwrap().collect();
    assert_eq!(entries.len(), 1);
    let path = entries[0].as_ref().unwrap().path();
    let events = records(&fs::read(path).unwrap());
    assert!(events[0].ends_with(b"brain.Event:2"));
    let (mut found, mut others) = (Vec::new(), Vec::new());
    for event in &events[1..] {
        let event = fields(event);
        let Some(Value::Number(step)) = get(&event, 2) else {
            panic!("no step in {event:?}");
        };
        let Some(Value::Bytes(summary)) = get(&event, 5) else {
            // The session log marks the start of the file.
            assert_eq!(get(&event, 7), Some(&Value::Bytes(&[8, 1])));
            continue;
        };
        for (_, value) in fields(summary) {
            let Value::Bytes(value) = value else { panic!() };
            let value = fields(value);
            let Some(Value::Bytes(tag)) = get(&value, 1) else {
                panic!("no tag in {value:?}");
            };
            let tag = String::from_utf8(tag.to_vec()).unwrap();
            let Some(Value::Bytes(number)) = get(&value, 2) else {
                // An image, a histogram or the settings.
                others.push(tag);
                continue;
            };
            let number = f32::from_le_bytes((*number).try_into().unwrap());
            found.push((*step, tag, number));
        }
    }
    (found, others)
}

#[test]
fn the_checksum_is_castagnoli_s() {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
}

#[test]
fn what_is_written_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = EventWriter::create(folder.path(), 0).unwrap();
    writer.scalars(1, &[("a", 0.5), ("b/c", -1e30)]).unwrap();
    writer.scalars(300, &[("a", f64::from(0.1_f32))]).unwrap();
    assert_eq!(
        scalars(folder.path()),
        [
            (1, "a".to_owned(), 0.5),
            (1, "b/c".to_owned(), -1e30),
            (300, "a".to_owned(), 0.1),
        ]
    );
}

#[test]
fn a_training_logs_every_step_and_every_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(3);
    setup.training.validate_every_epochs = 2;
    let outcome = setup.fit(folder.path()).unwrap();
    let (logged, others) = values(&folder.path().join("tensorboard"));
    let counts = |prefix: &str| others.iter().filter(|tag| tag.starts_with(prefix)).count();
    assert_eq!(counts("_hparams_/"), 3);
    assert_eq!(counts("train/first_batch"), 1);
    // After the second epoch and the last.
    assert_eq!(counts("validation/confusion_matrix"), 2);
    // Every tensor after each of the three epochs, and the gradient of every parameter.
    let state = outcome.best_model.state();
    assert_eq!(counts("weights/"), 3 * state.len());
    let is_parameter = |name: &str| StateKind::of(name) == StateKind::Parameter;
    let parameters = state.iter().filter(|tensor| is_parameter(&tensor.name));
    assert_eq!(counts("gradients/"), 3 * parameters.count());
    let steps: Vec<StepRecord> =
        mlestar_artifact::read_json_lines(&folder.path().join("steps.jsonl")).unwrap();
    let mut expected = Vec::new();
    for step in &steps {
        for (tag, value) in [
            ("step/loss", step.loss),
            ("step/learning_rate", step.learning_rate),
            ("step/gradient_norm", step.gradient_norm),
        ] {
            expected.push((step.step, tag.to_owned(), value as f32));
        }
        // Four steps per epoch; the figures of an epoch are at its last step.
        if step.step % 4 != 0 {
            continue;
        }
        let record = &outcome.history[step.epoch - 1];
        for (tag, value) in [
            ("epoch", Some(record.epoch as f64)),
            ("train/loss", Some(record.train_loss)),
            ("train/accuracy", Some(record.train_accuracy)),
            ("train/learning_rate", Some(record.learning_rate)),
            ("train/gradient_norm", Some(record.gradient_norm_mean)),
            ("train/images_per_second", Some(record.images_per_second)),
            ("validation/loss", record.validation_loss),
            ("validation/accuracy", record.validation_accuracy),
        ] {
            expected.extend(value.map(|value| (step.step, tag.to_owned(), value as f32)));
        }
    }
    assert_eq!(logged, expected);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("taken");
    fs::write(&file, "").unwrap();
    let message = EventWriter::create(&file, 0).unwrap_err().to_string();
    assert!(message.contains("taken"), "{message}");
}
