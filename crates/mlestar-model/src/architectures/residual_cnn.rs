//! Blocks of two convolutions whose result is added to their input:
//! `f(bn2(conv2(f(bn1(conv1(x))))) + shortcut(x))`.

use super::{Family, Place, stem_and_stages};
use crate::description::{BlockDescription, UnitDescription};

pub(super) const FAMILY: Family = Family {
    name: "residual CNN",
    reduced_by: "stride",
    has_shortcuts: true,
    blocks: |config, _| stem_and_stages(config, block),
    published: None,
};

pub(super) fn block(place: &Place) -> BlockDescription {
    let first = UnitDescription {
        stride: place.stride,
        ..place.unit(1, place.channels_in)
    };
    let second = place.unit(2, place.channels_out);
    place.block(vec![first, second], place.shortcut())
}
