//! TFRecord framing: length (u64), masked CRC-32C of the length, data, masked CRC-32C of the data;
//! all numbers little-endian.

pub(super) fn frame(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut bytes = Vec::with_capacity(data.len() + 16);
    bytes.extend(length);
    bytes.extend(masked_crc(&length).to_le_bytes());
    bytes.extend(data);
    bytes.extend(masked_crc(data).to_le_bytes());
    bytes
}

/// CRC-32C rotated right by 15 bits plus a constant, so that data may itself contain CRCs.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first record of every event file, with the same bytes as TensorFlow's: length 24 and its masked
    /// checksum.
    #[test]
    fn framing_is_tensorflow_s() {
        let mut event = vec![0x09, 0, 0, 0, 0, 0, 0, 0, 0, 0x1a, 13];
        event.extend(b"brain.Event:2");
        let framed = frame(&event);
        assert_eq!(framed[..8], [24, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(framed[8..12], [0xa3, 0x7f, 0x4b, 0x22]);
        assert_eq!(framed.len(), 24 + 16);
    }
}
