//! The messages `Event`, `Summary` and `SessionLog`, encoded by hand: a field is a tag (number and
//! wire type) and a value; fields with their default value may be left out.

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

/// `Event { wall_time, file_version }`, the first of every file.
pub(super) fn file_version(wall_time: f64) -> Vec<u8> {
    let mut event = with_time(wall_time);
    bytes_field(&mut event, 3, b"brain.Event:2");
    event
}

/// `Event { wall_time, step, session_log: SessionLog { status: START } }`.
pub(super) fn session_start(wall_time: f64, step: u64) -> Vec<u8> {
    let mut session_log = Vec::new();
    varint_field(&mut session_log, 1, 1);
    let mut event = with_time(wall_time);
    varint_field(&mut event, 2, step);
    bytes_field(&mut event, 7, &session_log);
    event
}

/// `Event { wall_time, step, summary: Summary { value: [{ tag, simple_value }, ..] } }`.
pub(super) fn scalars(wall_time: f64, step: u64, values: &[(&str, f64)]) -> Vec<u8> {
    let mut summary = Vec::new();
    for (tag, value) in values {
        let mut message = Vec::new();
        bytes_field(&mut message, 1, tag.as_bytes());
        tag_of(&mut message, 2, FIXED32);
        message.extend((*value as f32).to_le_bytes());
        bytes_field(&mut summary, 1, &message);
    }
    let mut event = with_time(wall_time);
    varint_field(&mut event, 2, step);
    bytes_field(&mut event, 5, &summary);
    event
}

fn with_time(wall_time: f64) -> Vec<u8> {
    let mut event = Vec::new();
    tag_of(&mut event, 1, FIXED64);
    event.extend(wall_time.to_le_bytes());
    event
}

fn tag_of(out: &mut Vec<u8>, field: u64, wire_type: u64) {
    varint(out, (field << 3) | wire_type);
}

fn varint_field(out: &mut Vec<u8>, field: u64, value: u64) {
    tag_of(out, field, VARINT);
    varint(out, value);
}

fn bytes_field(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    tag_of(out, field, BYTES);
    varint(out, value.len() as u64);
    out.extend(value);
}

/// Seven bits a byte, lowest first, the top bit set on all but the last.
fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_base_128() {
        let encode = |value| {
            let mut out = Vec::new();
            varint(&mut out, value);
            out
        };
        assert_eq!(encode(0), [0]);
        assert_eq!(encode(127), [127]);
        assert_eq!(encode(300), [0xac, 0x02]);
        assert_eq!(encode(u64::MAX).len(), 10);
    }

    /// Written out from the message definitions.
    #[test]
    fn a_scalar_event_has_these_bytes() {
        let found = scalars(1.0, 300, &[("a", 0.5)]);
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
