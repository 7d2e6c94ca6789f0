//! Images as PNG files.

use crate::TrainError;
use mlestar_artifact::protobuf::Message;

/// The first bytes of every PNG file: the signature, then the length and the name of its first chunk.
const PNG_START: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR";

/// RGB, one of the possible values of `Summary.Image.colorspace`.
const RGB: u64 = 3;

/// `Summary.Value { tag, image: Summary.Image { height, width, colorspace, encoded_image_string } }`.
pub(super) fn value(tag: &str, width: u32, height: u32, png: &[u8]) -> Message {
    let image = Message::new()
        .number(1, height.into())
        .number(2, width.into())
        .number(3, RGB)
        .bytes(4, png);
    Message::new().bytes(1, tag).message(4, &image)
}

/// Checks that `png` starts like a PNG file of this size.
pub(super) fn check(tag: &str, width: u32, height: u32, png: &[u8]) -> Result<(), TrainError> {
    let refuse = |reason: String| {
        Err(TrainError::Picture {
            tag: tag.to_owned(),
            reason,
        })
    };
    let Some(header) = png.strip_prefix(PNG_START) else {
        return refuse("the bytes are not a PNG file".to_owned());
    };
    match header {
        [w0, w1, w2, w3, h0, h1, h2, h3, ..] => {
            let found = [
                u32::from_be_bytes([*w0, *w1, *w2, *w3]),
                u32::from_be_bytes([*h0, *h1, *h2, *h3]),
            ];
            if found == [width, height] {
                return Ok(());
            }
            refuse(format!(
                "the PNG file is {} pixels wide and {} high, not {width} and {height}",
                found[0], found[1]
            ))
        }
        _ => refuse("the PNG file ends within its header".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Encoded by hand from the message definitions.
    #[test]
    fn an_image_has_these_bytes() {
        let expected = [
            &[0x0a, 1, b'i'][..], // tag
            &[0x22, 11],          // image
            &[0x08, 200, 1],      // height
            &[0x10, 5],           // width
            &[0x18, 3],           // colorspace
            &[0x22, 2, 1, 2],     // encoded_image_string
        ]
        .concat();
        assert_eq!(value("i", 5, 200, &[1, 2]).into_bytes(), expected);
    }

    #[test]
    fn what_is_no_png_of_this_size_is_refused() {
        let mut png = PNG_START.to_vec();
        png.extend([0, 0, 1, 0, 0, 0, 0, 7]);
        check("i", 256, 7, &png).unwrap();
        for (bytes, expected) in [
            (
                &b"GIF89a"[..],
                "the image `i` cannot be logged: the bytes are not a PNG file",
            ),
            (
                &png[..20],
                "the image `i` cannot be logged: the PNG file ends within its header",
            ),
            (
                &png,
                "the image `i` cannot be logged: the PNG file is 256 pixels wide and 7 high, not 7 \
                 and 256",
            ),
        ] {
            let message = check("i", 7, 256, bytes).unwrap_err().to_string();
            assert_eq!(message, expected);
        }
    }
}
