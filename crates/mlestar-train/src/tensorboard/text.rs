//! Text, which TensorBoard shows as Markdown.

use super::event::plugin_metadata;
use mlestar_artifact::protobuf::Message;

/// `DT_STRING` of the enum `DataType`.
const STRING: u64 = 7;

/// `Summary.Value { tag, tensor, metadata }`: the tensor is one string, the metadata select the plugin `text`.
pub(super) fn value(tag: &str, markdown: &str) -> Message {
    let one = Message::new().number(1, 1);
    let shape = Message::new().message(2, &one);
    let tensor = Message::new()
        .number(1, STRING)
        .message(2, &shape)
        .bytes(8, markdown);
    Message::new()
        .bytes(1, tag)
        .message(8, &tensor)
        // The content is a TextPluginData whose version is 0, which is an empty message.
        .message(9, &plugin_metadata("text", &Message::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Encoded by hand from the message definitions.
    #[test]
    fn a_text_has_these_bytes() {
        let expected = [
            &[0x0a, 1, b't'][..],         // tag
            &[0x42, 12],                  // tensor
            &[0x08, 7],                   // dtype
            &[0x12, 4, 0x12, 2, 0x08, 1], // tensor_shape, its dim, of that the size
            &[0x42, 2, b'h', b'i'],       // string_val
            &[0x4a, 10, 0x0a, 8],         // metadata, its plugin_data
            &[0x0a, 4, b't', b'e', b'x', b't'],
            &[0x12, 0],
        ]
        .concat();
        assert_eq!(value("t", "hi").into_bytes(), expected);
    }
}
