//! A plain CNN in which all blocks of a stage except the first add their input. The first block changes size
//! and channels, so the others need no projection.

use super::{Family, Place, plain_cnn, stem_and_stages};
use crate::description::{BlockDescription, Shortcut};

pub(super) const FAMILY: Family = Family {
    name: "residual CNN with max pools",
    reduced_by: "max pool",
    has_shortcuts: true,
    blocks: |config, _| stem_and_stages(config, block),
    published: None,
};

fn block(place: &Place) -> BlockDescription {
    let shortcut = match place.index {
        0 => Shortcut::None,
        _ => Shortcut::Identity,
    };
    BlockDescription {
        shortcut,
        ..plain_cnn::block(place)
    }
}
