//! Protocol Buffers' wire format: the varint and length-delimited records of the messages used here.

use mlestar_artifact::protobuf::Message;

/// Writes the fields of a growing message.
#[derive(Default)]
pub(super) struct Writer(Message);

impl Writer {
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }

    fn write(&mut self, add: impl FnOnce(Message) -> Message) {
        self.0 = add(std::mem::take(&mut self.0));
    }

    /// An `int32`, `int64` or enum.
    pub(super) fn int(&mut self, field: u32, value: i64) {
        self.write(|message| message.number(field.into(), value.cast_unsigned()));
    }

    pub(super) fn bytes(&mut self, field: u32, value: &[u8]) {
        self.write(|message| message.bytes(field.into(), value));
    }

    /// An empty string is not written, because a missing one means the same.
    pub(super) fn string(&mut self, field: u32, value: &str) {
        if !value.is_empty() {
            self.bytes(field, value.as_bytes());
        }
    }

    pub(super) fn message(&mut self, field: u32, write: impl FnOnce(&mut Writer)) {
        let mut inner = Writer::default();
        write(&mut inner);
        self.write(|message| message.message(field.into(), &inner.0));
    }
}

/// The value of one field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    pub(super) fn int(self) -> Result<i64, String> {
        match self {
            Value::Varint(value) => Ok(value.cast_signed()),
            other => Err(format!("holds {} instead of an integer", other.kind())),
        }
    }

    pub(super) fn bytes(self) -> Result<&'a [u8], String> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            other => Err(format!("holds {} instead of bytes", other.kind())),
        }
    }

    pub(super) fn string(self) -> Result<String, String> {
        let bytes = self.bytes()?;
        let text = std::str::from_utf8(bytes).map_err(|_| "holds text that is not UTF-8")?;
        Ok(text.to_owned())
    }

    fn kind(self) -> &'static str {
        match self {
            Value::Varint(_) => "a varint",
            Value::Bytes(_) => "bytes",
        }
    }
}

/// Reads the fields of one message in order. It allocates nothing and never reads beyond the end.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The next field's number and value; `None` at the end of the message.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Value<'a>)>, String> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let field = key >> 3;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            2 => {
                let length = self.varint()?;
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                Value::Bytes(self.take(length)?)
            }
            other => return Err(format!("field {field} has wire type {other}, not 0 or 2")),
        };
        Ok(Some((field, value)))
    }

    fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0_u64;
        for (index, &byte) in self.rest.iter().enumerate().take(10) {
            if index == 9 && byte > 1 {
                return Err("holds a varint of more than 64 bits".to_owned());
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.rest = &self.rest[index + 1..];
                return Ok(value);
            }
        }
        Err("ends inside a varint".to_owned())
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(|| {
            format!(
                "ends inside a field of {length} bytes: {} are left",
                self.rest.len()
            )
        })?;
        self.rest = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn integers_and_bytes_survive(value: i64, bytes: Vec<u8>, field in 1_u32..1000) {
            let mut writer = Writer::default();
            writer.int(field, value);
            writer.bytes(field + 1, &bytes);
            let encoded = writer.into_bytes();
            let mut reader = Reader::new(&encoded);
            let (number, read) = reader.next().unwrap().unwrap();
            prop_assert_eq!((number, read.int().unwrap()), (u64::from(field), value));
            prop_assert_eq!(reader.next().unwrap().unwrap().1, Value::Bytes(&bytes));
            prop_assert_eq!(reader.next().unwrap(), None);
        }

        #[test]
        fn any_bytes_end_or_are_refused(bytes: Vec<u8>) {
            let mut reader = Reader::new(&bytes);
            let mut fields = 0;
            while let Ok(Some(_)) = reader.next() {
                fields += 1;
            }
            prop_assert!(fields <= bytes.len());
        }
    }

    #[test]
    fn overlong_varints_and_lengths_are_refused() {
        assert!(Reader::new(&[0x08, 0xff, 0xff]).next().is_err());
        assert!(Reader::new(&[0xff; 11]).next().is_err());
        let error = Reader::new(&[0x0a, 0x05, 1]).next().unwrap_err();
        assert_eq!(error, "ends inside a field of 5 bytes: 1 are left");
    }
}
