//! Blocks of two convolutions, with a max pool where a residual CNN has a stride:
//! `f(bn2(conv2(f(bn1(max_pool(conv1(x)))))))`.

use super::{Family, Place, stem_and_stages};
use crate::description::{BlockDescription, InitialWeights, MaxPool, Shortcut, UnitDescription};

pub(super) const FAMILY: Family = Family {
    name: "plain CNN",
    reduced_by: "max pool",
    has_shortcuts: false,
    blocks: |config, _| stem_and_stages(config, block),
    published: None,
};

pub(super) fn block(place: &Place) -> BlockDescription {
    let passing = |number, channels_in| UnitDescription {
        initial_weights: InitialWeights::Passing,
        ..place.unit(number, channels_in)
    };
    let first = UnitDescription {
        pool: (place.stride > 1).then(|| MaxPool::side_by_side(place.stride)),
        ..passing(1, place.channels_in)
    };
    place.block(vec![first, passing(2, place.channels_out)], Shortcut::None)
}
