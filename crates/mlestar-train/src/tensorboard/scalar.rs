//! Single numbers.

use mlestar_artifact::protobuf::Message;

/// `Summary.Value { tag, simple_value }`. The format stores f32.
pub(super) fn value(tag: &str, number: f64) -> Message {
    Message::new().bytes(1, tag).float(2, number as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensorboard::event;

    /// Encoded by hand from the message definitions.
    #[test]
    fn a_scalar_event_has_these_bytes() {
        let found = event::summary(1.0, 300, &[value("a", 0.5)]);
        let expected = [
            &[0x09][..],
            &1.0_f64.to_le_bytes(), // wall_time
            &[0x10, 0xac, 0x02],    // step
            &[0x2a, 10, 0x0a, 8],   // summary, its one value
            &[0x0a, 1, b'a'],       // tag
            &[0x15],
            &0.5_f32.to_le_bytes(), // simple_value
        ]
        .concat();
        assert_eq!(found, expected);
    }
}
