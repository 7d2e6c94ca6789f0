//! Turning and zooming on a device.

use burn::tensor::{Int, Tensor};
use mlestar_data::augment::{PictureView, Warp};

use super::{ResidentPictures, bytes, floats};

/// Of rows or columns, `[n, pixels]` each: where the ones before and after the place that a pixel shows come from.
struct Neighbours {
    sources: [Tensor<2, Int>; 2],
    /// How far it is from the first to the second.
    share: Tensor<2>,
}

impl ResidentPictures {
    /// Red, green and blue in [0, 1] of turned and zoomed images, `[n, pixels]` each.
    pub(super) fn warped(&self, pictures: Tensor<2, Int>, views: &[PictureView]) -> [Tensor<2>; 3] {
        let [height, width] = self.size;
        let black = height * width;
        let [rows, columns] = self.sources(views);
        let [rows, columns] =
            [(0, rows), (1, columns)].map(|(axis, sources)| self.neighbours(views, axis, sources));
        let levels = |row: &Tensor<2, Int>, column: &Tensor<2, Int>| {
            // What is black in either direction lies at or beyond the black pixel.
            let positions = (row.clone() + column.clone()).clamp_max(black as i32);
            bytes(pictures.clone().gather(1, positions)).map(|bytes| self.levels_of(bytes))
        };
        // As the host does, first along rows.
        let [above, below] = rows.sources.each_ref().map(|row| {
            let [left, right] = columns.sources.each_ref().map(|column| levels(row, column));
            mix(left, right, &columns.share)
        });
        mix(above, below, &rows.share)
    }

    /// The neighbours along `axis` (0 down, 1 aside), from where the rows or columns of the batch come from.
    fn neighbours(
        &self,
        views: &[PictureView],
        axis: usize,
        sources: Tensor<2, Int>,
    ) -> Neighbours {
        let [height, width] = self.size;
        let margin = views.first().map_or(0, |view| view.margin);
        let center = Warp::center(self.size);
        let part = |other: usize| -> Tensor<2> {
            let warps = views.iter().map(|view| view.warp.unwrap_or(Warp::IDENTITY));
            let factors = warps.map(|warp| warp.matrix[axis][other]).collect();
            let places = (0..height * width).map(|pixel| [pixel / width, pixel % width][other]);
            let offsets = places.map(|place| place as f32 - center[other]).collect();
            floats(factors, &self.device).reshape([views.len(), 1])
                * floats(offsets, &self.device).reshape([1, height * width])
        };
        let read_at = (part(0) + part(1)).add_scalar(center[axis]);
        let before = read_at.clone().floor();
        let [_, length] = sources.dims();
        let index = before.clone().add_scalar(margin as f32).int();
        let index = index.clamp(0, length as i32 - 2);
        Neighbours {
            sources: [
                sources.clone().gather(1, index.clone()),
                sources.gather(1, index.add_scalar(1)),
            ],
            share: read_at - before,
        }
    }
}

/// Between two images, channel by channel.
fn mix(from: [Tensor<2>; 3], to: [Tensor<2>; 3], share: &Tensor<2>) -> [Tensor<2>; 3] {
    let [red, green, blue] = from;
    let [to_red, to_green, to_blue] = to;
    [(red, to_red), (green, to_green), (blue, to_blue)]
        .map(|(from, to)| from.clone() + (to - from) * share.clone())
}
