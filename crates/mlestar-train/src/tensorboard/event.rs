//! The message `Event`, which contains all others.

use mlestar_artifact::protobuf::Message;

/// `Event { wall_time, file_version }`, the first message of every file.
pub(super) fn file_version(wall_time: f64) -> Vec<u8> {
    Message::new()
        .double(1, wall_time)
        .bytes(3, "brain.Event:2")
        .into_bytes()
}

/// `Event { wall_time, step, session_log: SessionLog { status: START } }`.
pub(super) fn session_start(wall_time: f64, step: u64) -> Vec<u8> {
    let session_log = Message::new().number(1, 1);
    Message::new()
        .double(1, wall_time)
        .number(2, step)
        .message(7, &session_log)
        .into_bytes()
}

/// `Event { wall_time, step, summary: Summary { value: [..] } }`, where each of `values` is a `Summary.Value`.
pub(super) fn summary(wall_time: f64, step: u64, values: &[Message]) -> Vec<u8> {
    let summary = values
        .iter()
        .fold(Message::new(), |summary, value| summary.message(1, value));
    Message::new()
        .double(1, wall_time)
        .number(2, step)
        .message(5, &summary)
        .into_bytes()
}

/// `SummaryMetadata { plugin_data: PluginData { plugin_name, content } }`, which determines the plugin that
/// shows a value.
pub(super) fn plugin_metadata(name: &str, content: &Message) -> Message {
    let data = Message::new().bytes(1, name).message(2, content);
    Message::new().message(1, &data)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Encoded by hand from the message definitions.
    #[test]
    fn events_have_these_bytes() {
        let time = 1.0_f64.to_le_bytes();
        let expected = [
            &[0x09][..],
            &time,               // wall_time
            &[0x10, 0xac, 0x02], // step
            &[0x3a, 2, 0x08, 1], // session_log, its status
        ]
        .concat();
        assert_eq!(session_start(1.0, 300), expected);

        let value = |name| Message::new().bytes(1, name);
        let expected = [
            &[0x09][..],
            &time,
            &[0x10, 3],
            &[0x2a, 10],               // summary
            &[0x0a, 3, 0x0a, 1, b'a'], // its first value, of that the tag
            &[0x0a, 3, 0x0a, 1, b'b'],
        ]
        .concat();
        assert_eq!(summary(1.0, 3, &[value("a"), value("b")]), expected);
    }

    #[test]
    fn a_plugin_is_named_with_its_data() {
        let found = plugin_metadata("p", &Message::new().number(1, 7)).into_bytes();
        let expected = [
            &[0x0a, 7][..],      // plugin_data
            &[0x0a, 1, b'p'],    // plugin_name
            &[0x12, 2, 0x08, 7], // content
        ]
        .concat();
        assert_eq!(found, expected);
    }
}
