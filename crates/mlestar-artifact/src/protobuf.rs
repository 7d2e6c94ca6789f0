//! Writing the wire format of protocol buffers, which ONNX files and TensorBoard event files have in common: a field is a tag (number and wire type) and a value. Fields with their
//! default value may be left out, and the order of fields is arbitrary.

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

/// A message under construction.
///
/// ```
/// use mlestar_artifact::protobuf::Message;
///
/// let inner = Message::new().number(1, 300);
/// let bytes = Message::new().bytes(2, "ab").message(3, &inner).into_bytes();
/// assert_eq!(bytes, [0x12, 2, b'a', b'b', 0x1a, 3, 0x08, 0xac, 0x02]);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Message(Vec<u8>);

impl Message {
    /// A message without fields.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// `int32`, `int64`, `uint64`, `bool` and enums. A negative number is cast to `u64`, and takes ten bytes.
    #[must_use]
    pub fn number(mut self, field: u64, value: u64) -> Self {
        self.tag(field, VARINT);
        varint(&mut self.0, value);
        self
    }

    /// `float`.
    #[must_use]
    pub fn float(mut self, field: u64, value: f32) -> Self {
        self.tag(field, FIXED32);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// `double`.
    #[must_use]
    pub fn double(mut self, field: u64, value: f64) -> Self {
        self.tag(field, FIXED64);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// `string` and `bytes`.
    #[must_use]
    pub fn bytes(mut self, field: u64, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        self.tag(field, BYTES);
        varint(&mut self.0, value.len() as u64);
        self.0.extend(value);
        self
    }

    /// A message within the message.
    #[must_use]
    pub fn message(self, field: u64, value: &Self) -> Self {
        self.bytes(field, &value.0)
    }

    /// `repeated double`, packed.
    #[must_use]
    pub fn doubles(mut self, field: u64, values: &[f64]) -> Self {
        self.tag(field, BYTES);
        varint(&mut self.0, 8 * values.len() as u64);
        self.0
            .extend(values.iter().flat_map(|value| value.to_le_bytes()));
        self
    }

    /// The encoded message.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn tag(&mut self, field: u64, wire_type: u64) {
        varint(&mut self.0, (field << 3) | wire_type);
    }
}

/// Seven bits per byte, lowest first; the top bit is set on all except the last.
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

    #[test]
    fn every_kind_of_field_has_its_wire_type() {
        let inner = Message::new().number(1, 1);
        let found = Message::new()
            .number(1, 300)
            .float(2, 0.5)
            .double(3, 0.5)
            .bytes(4, "ab")
            .message(5, &inner)
            .doubles(16, &[0.5, 2.0])
            .into_bytes();
        let expected = [
            &[0x08, 0xac, 0x02][..],
            &[0x15, 0, 0, 0, 0x3f],
            &[0x19, 0, 0, 0, 0, 0, 0, 0xe0, 0x3f],
            &[0x22, 2, b'a', b'b'],
            &[0x2a, 2, 0x08, 1],
            &[0x82, 0x01, 16],
            &0.5_f64.to_le_bytes(),
            &2.0_f64.to_le_bytes(),
        ]
        .concat();
        assert_eq!(found, expected);
    }
}
