//! Divides an image into 4x4 tiles of the result, and gives the input pixels of each tile.

/// Side of a tile of the result.
pub(super) const TILE: usize = 4;
/// Side of the patch that a tile reads: one pixel more on each side.
pub(super) const PATCH: usize = 6;
/// Values of a transformed patch.
pub(super) const POSITIONS: usize = PATCH * PATCH;

/// Sizes of a 3x3 convolution of stride 1, seen from its result.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tiles {
    /// Height and width of the source.
    pub source: [usize; 2],
    /// Height and width of the result.
    pub result: [usize; 2],
    /// Zero padding around the source.
    pub padding: [usize; 2],
}

/// A tile of the result.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tile {
    pub picture: usize,
    /// Result pixel of its corner, vertical and horizontal.
    pub corner: [usize; 2],
}

impl Tiles {
    pub(super) fn per_picture(&self) -> usize {
        self.result[0].div_ceil(TILE) * self.result[1].div_ceil(TILE)
    }

    pub(super) fn tile(&self, index: usize) -> Tile {
        let across = self.result[1].div_ceil(TILE);
        let (picture, place) = (index / self.per_picture(), index % self.per_picture());
        Tile {
            picture,
            corner: [place / across * TILE, place % across * TILE],
        }
    }

    /// Index of the source pixel in row `y` and column `x` of a tile's patch; `None` in the padding.
    #[inline(always)]
    pub(super) fn source_pixel(&self, tile: Tile, [y, x]: [usize; 2]) -> Option<usize> {
        let [height, width] = self.source;
        let y = (tile.corner[0] + y).checked_sub(self.padding[0])?;
        let x = (tile.corner[1] + x).checked_sub(self.padding[1])?;
        (y < height && x < width).then(|| (tile.picture * height + y) * width + x)
    }

    /// The source pixels of the whole patch, rows first.
    #[inline(always)]
    pub(super) fn source_pixels(&self, tile: Tile) -> [Option<usize>; POSITIONS] {
        std::array::from_fn(|index| self.source_pixel(tile, [index / PATCH, index % PATCH]))
    }

    /// Index of the result pixel in row `y` and column `x` of a tile; `None` beyond the image.
    #[inline(always)]
    pub(super) fn result_pixel(&self, tile: Tile, [y, x]: [usize; 2]) -> Option<usize> {
        let [height, width] = self.result;
        let (y, x) = (tile.corner[0] + y, tile.corner[1] + x);
        (y < height && x < width).then(|| (tile.picture * height + y) * width + x)
    }

    /// The result pixels of the whole tile, rows first.
    #[inline(always)]
    pub(super) fn result_pixels(&self, tile: Tile) -> [Option<usize>; TILE * TILE] {
        std::array::from_fn(|index| self.result_pixel(tile, [index / TILE, index % TILE]))
    }
}
