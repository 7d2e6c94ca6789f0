//! A plain CNN in whose stages all blocks but the first add their input. The first has changed size and
//! channels, so that the others need no convolution for that.

use super::{Family, Place, plain_cnn, stem_and_stages};
use crate::description::{BlockDescription, Shortcut};

pub(super) const FAMILY: Family = Family {
    name: "residual CNN with max pools",
    reduced_by: "max pool",
    has_shortcuts: true,
    blocks: |config| stem_and_stages(config, block),
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
