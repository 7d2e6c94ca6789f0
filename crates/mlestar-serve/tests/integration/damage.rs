//! Arbitrary and damaged bytes: an answer, never a panic. `examples/fuzz.rs` of this crate tries more of them.

use crate::images::{encoded, gradient};
use image::ImageFormat;
use mlestar_image::{Preparation, picture};
use mlestar_serve::protocol::InferRequest;
use proptest::prelude::*;

fn decode(bytes: &[u8]) {
    let size = picture::size(bytes);
    if let Ok(image) = Preparation::new(9, 7).apply(bytes) {
        assert!(size.is_ok());
        assert_eq!(image.dimensions(), (7, 9));
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_no_danger(bytes in prop::collection::vec(any::<u8>(), 0..300), length in 0_usize..300) {
        decode(&bytes);
        let _ = InferRequest::parse(bytes.clone().into(), None);
        let _ = InferRequest::parse(bytes.into(), Some(length));
    }

    #[test]
    fn damaged_images_are_no_danger(
        format in prop::sample::select(vec![ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Bmp]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        kept in any::<prop::sample::Index>(),
    ) {
        let mut bytes = encoded(&gradient(19, 23), format);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        decode(&bytes);
        decode(&bytes[..kept.index(bytes.len())]);
    }
}
