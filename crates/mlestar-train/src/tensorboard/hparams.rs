//! Settings of a training with its results, for TensorBoard's HParams tab.
//!
//! The plugin reads three summaries without a value; everything is in their metadata.

use super::event::plugin_metadata;
use crate::TrainError;
use mlestar_artifact::protobuf::Message;

const EXPERIMENT: &str = "_hparams_/experiment";
const SESSION_START: &str = "_hparams_/session_start_info";
const SESSION_END: &str = "_hparams_/session_end_info";

/// The value of a setting.
#[derive(Debug, Clone, PartialEq)]
pub enum HparamValue {
    /// A finite number.
    Number(f64),
    /// A word.
    Text(String),
    /// A switch.
    Bool(bool),
}

impl From<f64> for HparamValue {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}

impl From<&str> for HparamValue {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<bool> for HparamValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

/// How a training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HparamStatus {
    /// It completed.
    Success,
    /// It failed or was interrupted.
    Failure,
}

impl HparamValue {
    /// The number in the plugin's enum `DataType`.
    fn data_type(&self) -> u64 {
        match self {
            Self::Text(_) => 1,
            Self::Bool(_) => 2,
            Self::Number(_) => 3,
        }
    }

    /// A `google.protobuf.Value`.
    fn message(&self) -> Message {
        match self {
            Self::Number(value) => Message::new().double(2, *value),
            Self::Text(value) => Message::new().bytes(3, value),
            Self::Bool(value) => Message::new().number(4, u64::from(*value)),
        }
    }
}

/// Checks that names occur once and numbers are finite, because the plugin sends them on as JSON.
pub(super) fn check(values: &[(&str, HparamValue)], metrics: &[&str]) -> Result<(), TrainError> {
    let refuse = |name: &str, reason: &'static str| {
        Err(TrainError::Hparam {
            name: name.to_owned(),
            reason,
        })
    };
    for (index, (name, value)) in values.iter().enumerate() {
        if name.is_empty() {
            return refuse(name, "a setting needs a name");
        }
        if values[..index].iter().any(|(earlier, _)| earlier == name) {
            return refuse(name, "its name occurs twice");
        }
        if matches!(value, HparamValue::Number(number) if !number.is_finite()) {
            return refuse(name, "its value is not a finite number");
        }
    }
    match metrics.iter().any(|tag| tag.is_empty()) {
        true => refuse("", "a metric needs a tag"),
        false => Ok(()),
    }
}

/// `Experiment { time_created_secs, hparam_infos, metric_infos }`: the settings and scalars that the tab shows.
pub(super) fn experiment(
    wall_time: f64,
    values: &[(&str, HparamValue)],
    metrics: &[&str],
) -> Message {
    let mut experiment = Message::new().double(3, wall_time);
    for (name, value) in values {
        let info = Message::new().bytes(1, name).number(4, value.data_type());
        experiment = experiment.message(4, &info);
    }
    for tag in metrics {
        let name = Message::new().bytes(2, tag);
        experiment = experiment.message(5, &Message::new().message(1, &name));
    }
    summary(EXPERIMENT, 2, &experiment)
}

/// `SessionStartInfo { hparams, start_time_secs }`.
pub(super) fn session_start(wall_time: f64, values: &[(&str, HparamValue)]) -> Message {
    let start = values.iter().fold(Message::new(), |start, (name, value)| {
        let entry = Message::new().bytes(1, name).message(2, &value.message());
        start.message(1, &entry)
    });
    summary(SESSION_START, 3, &start.double(5, wall_time))
}

/// `SessionEndInfo { status, end_time_secs }`.
pub(super) fn session_end(wall_time: f64, status: HparamStatus) -> Message {
    let status = match status {
        HparamStatus::Success => 1,
        HparamStatus::Failure => 2,
    };
    let end = Message::new().number(1, status).double(2, wall_time);
    summary(SESSION_END, 4, &end)
}

/// `Summary.Value { tag, metadata }` with a `HParamsPluginData` whose `field` is `data`. Its version 0 is the
/// default and is not written.
fn summary(tag: &str, field: u64, data: &Message) -> Message {
    let content = Message::new().message(field, data);
    Message::new()
        .bytes(1, tag)
        .message(9, &plugin_metadata("hparams", &content))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The metadata content of a summary: its last bytes.
    fn assert_content(message: Message, tag: &str, content: &[u8]) {
        let found = message.into_bytes();
        let plugin = [
            &[0x0a, 7][..],
            b"hparams",
            &[0x12, content.len() as u8],
            content,
        ]
        .concat();
        let length = plugin.len() as u8;
        let expected = [
            &[0x0a, tag.len() as u8][..],
            tag.as_bytes(),
            &[0x4a, length + 2, 0x0a, length],
            &plugin,
        ]
        .concat();
        assert_eq!(found, expected, "{tag}");
    }

    /// Encoded by hand from the message definitions.
    #[test]
    fn an_experiment_has_these_bytes() {
        let content = [
            &[0x12, 34, 0x19][..], // experiment, time_created_secs
            &2.0_f64.to_le_bytes(),
            &[0x22, 5, 0x0a, 1, b'a', 0x20, 3], // hparam_infos: name, type
            &[0x22, 5, 0x0a, 1, b'b', 0x20, 1],
            &[0x2a, 9, 0x0a, 7, 0x12, 5], // metric_infos: name, of that the tag
            b"x/acc",
        ]
        .concat();
        let values = [("a", 1.0.into()), ("b", "x".into())];
        assert_content(experiment(2.0, &values, &["x/acc"]), EXPERIMENT, &content);
    }

    #[test]
    fn a_session_start_has_these_bytes() {
        let content = [
            &[0x1a, 47][..],                           // session_start_info
            &[0x0a, 14, 0x0a, 1, b'a', 0x12, 9, 0x11], // hparams: key, value, number_value
            &0.5_f64.to_le_bytes(),
            &[0x0a, 11, 0x0a, 1, b'b', 0x12, 6, 0x1a, 4], // string_value
            b"adam",
            &[0x0a, 7, 0x0a, 1, b'c', 0x12, 2, 0x20, 1], // bool_value
            &[0x29],
            &2.0_f64.to_le_bytes(), // start_time_secs
        ]
        .concat();
        let content = [&[0x1a, (content.len() - 2) as u8][..], &content[2..]].concat();
        let values = [("a", 0.5.into()), ("b", "adam".into()), ("c", true.into())];
        assert_content(session_start(2.0, &values), SESSION_START, &content);
    }

    #[test]
    fn a_session_end_has_these_bytes() {
        let content = [&[0x22, 11, 0x08, 2, 0x11][..], &2.0_f64.to_le_bytes()].concat();
        let found = session_end(2.0, HparamStatus::Failure);
        assert_content(found, SESSION_END, &content);
    }

    #[test]
    fn settings_that_the_tab_cannot_show_are_refused() {
        let refused = |values: &[(&str, HparamValue)], metrics: &[&str], expected: &str| {
            assert_eq!(check(values, metrics).unwrap_err().to_string(), expected);
        };
        let one = HparamValue::Number(1.0);
        refused(
            &[("lr", f64::NAN.into())],
            &[],
            "the setting `lr` cannot be logged: its value is not a finite number",
        );
        refused(
            &[("lr", one.clone()), ("lr", one.clone())],
            &[],
            "the setting `lr` cannot be logged: its name occurs twice",
        );
        refused(
            &[("", one.clone())],
            &[],
            "the setting `` cannot be logged: a setting needs a name",
        );
        refused(
            &[("a", one)],
            &[""],
            "the setting `` cannot be logged: a metric needs a tag",
        );
        check(&[("", HparamValue::Bool(true))][..0], &["loss"]).unwrap();
    }
}
