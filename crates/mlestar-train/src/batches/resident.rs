//! Stores and augments images in the memory of a device.

mod warp;

use burn::tensor::{Device, Int, Tensor, TensorData};
use mlestar_data::{
    ImageSet,
    augment::{GREY_WEIGHTS, PictureView},
    loader::{AreaSpan, BatchPlan},
    normalization::Normalization,
};

use crate::TrainError;

/// Limit of a buffer's size: the minimum that every WebGPU device can bind is 128 MiB.
const MOST_BYTES_AT_ONCE: usize = 120 << 20;

/// Red, green and blue of a pixel, packed into the bytes of an integer.
const BYTES_PER_PIXEL: usize = size_of::<i32>();

/// The images of a set on a device. Using only Burn operations, which every backend has, it does what
/// [`Augmenter::apply`](mlestar_data::augment::Augmenter::apply) does on the host. The results are equal to the
/// bit, except for rounding in warps, brightness, contrast, saturation and area means.
pub(super) struct ResidentPictures {
    /// `[n, height * width + 1]` each: a pixel's red in the lowest byte, then green, then blue. The last pixel
    /// of every image is black; padding uses it.
    chunks: Vec<Tensor<2, Int>>,
    pictures_per_chunk: usize,
    /// `[3 * 256]`: the normalised value of every byte of each channel.
    normalized: Tensor<1>,
    /// `[256]`: every byte as a value in [0, 1].
    levels: Tensor<1>,
    normalization: Normalization,
    size: [usize; 2],
    device: Device,
}

impl ResidentPictures {
    /// Bytes that the images of `set` take on a device.
    pub(super) fn bytes(set: &ImageSet) -> usize {
        set.len() * picture_bytes(set)
    }

    pub(super) fn new(
        set: &ImageSet,
        normalization: &Normalization,
        device: &Device,
    ) -> Result<Self, TrainError> {
        Self::in_chunks(set, normalization, device, MOST_BYTES_AT_ONCE)
    }

    /// With at most `most_bytes` per chunk, but at least one image.
    pub(super) fn in_chunks(
        set: &ImageSet,
        normalization: &Normalization,
        device: &Device,
        most_bytes: usize,
    ) -> Result<Self, TrainError> {
        let pictures_per_chunk = (most_bytes / picture_bytes(set)).max(1);
        let chunks = (0..set.len()).step_by(pictures_per_chunk).map(|first| {
            let n = pictures_per_chunk.min(set.len() - first);
            let pixels = (first..first + n).flat_map(|index| packed(set.pixels(index)));
            let data = TensorData::new(pixels.collect(), [n, set.height() * set.width() + 1]);
            Tensor::<2, Int>::from_data(data, device)
        });
        let table = normalization.table();
        let normalized: Vec<f32> = (0..ImageSet::CHANNELS)
            .flat_map(|channel| *table.channel(channel))
            .collect();
        let levels: Vec<f32> = (0..256).map(|level| level as f32 / 255.0).collect();
        let resident = Self {
            chunks: chunks.collect(),
            pictures_per_chunk,
            normalized: floats(normalized, device),
            levels: floats(levels, device),
            normalization: *normalization,
            size: [set.height(), set.width()],
            device: device.clone(),
        };
        // Fails now if the memory does not suffice.
        device.sync().map_err(|error| TrainError::Device {
            action: "copying the training images",
            message: error.to_string(),
        })?;
        Ok(resident)
    }

    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    /// The images of a batch, `[n, 3, height, width]`, augmented, normalised and, if `means` is given, resized
    /// to a smaller size.
    pub(super) fn images(&self, plan: &BatchPlan, means: Option<&AreaMeans>) -> Tensor<4> {
        let n = plan.views.len();
        let [height, width] = self.size;
        let shape = [n, ImageSet::CHANNELS, height, width];
        let pictures = self.pictures(&plan.indices);
        let factors: Option<Vec<[f32; 3]>> = plan.views.iter().map(|view| view.factors).collect();
        let values: Tensor<3> = if plan.views.iter().any(|view| view.warp.is_some()) {
            let warped = self.warped(pictures, &plan.views);
            let values = match factors {
                Some(factors) => self.jittered(warped, &factors),
                None => self.normalize(warped),
            };
            Tensor::stack(values.into(), 1)
        } else {
            let bytes = bytes(pictures.gather(1, self.positions(&plan.views)));
            match factors {
                Some(factors) => {
                    let levels = bytes.map(|bytes| self.levels_of(bytes));
                    Tensor::stack(self.jittered(levels, &factors).into(), 1)
                }
                None => {
                    let [red, green, blue] = bytes;
                    let levels = vec![red, green.add_scalar(256), blue.add_scalar(512)];
                    let levels: Tensor<3, Int> = Tensor::stack(levels, 1);
                    let flat = levels.reshape([n * ImageSet::CHANNELS * height * width]);
                    let values = self.normalized.clone().select(0, flat);
                    values.reshape([n, ImageSet::CHANNELS, height * width])
                }
            }
        };
        let values = self.cut(values.reshape(shape), &plan.views);
        match means {
            Some(means) => means.apply(values),
            None => values,
        }
    }

    /// The images with these indices, `[n, height * width + 1]`.
    fn pictures(&self, indices: &[usize]) -> Tensor<2, Int> {
        if let [all] = self.chunks.as_slice() {
            return all
                .clone()
                .select(0, self.integers(indices.iter().copied()));
        }
        // Takes the images of one chunk after the other, then restores the order of the batch.
        let mut order: Vec<usize> = (0..indices.len()).collect();
        order.sort_by_key(|&position| indices[position] / self.pictures_per_chunk);
        let parts = order.chunk_by(|&a, &b| {
            indices[a] / self.pictures_per_chunk == indices[b] / self.pictures_per_chunk
        });
        let parts = parts.map(|part| {
            let chunk = indices[part[0]] / self.pictures_per_chunk;
            let inside = part.iter().map(|&p| indices[p] % self.pictures_per_chunk);
            self.chunks[chunk].clone().select(0, self.integers(inside))
        });
        let sorted = Tensor::cat(parts.collect(), 0);
        let mut places = vec![0; order.len()];
        for (place, &position) in order.iter().enumerate() {
            places[position] = place;
        }
        sorted.select(0, self.integers(places.into_iter()))
    }

    /// For each pixel of a batch, the index of the source pixel in its image, `[n, height * width]`.
    fn positions(&self, views: &[PictureView]) -> Tensor<2, Int> {
        let [height, width] = self.size;
        let black = height * width;
        let n = views.len();
        let [rows, columns] = self.sources(views);
        let margin = views.first().map_or(0, |view| view.margin);
        let rows = rows.slice_dim(1, margin..margin + height);
        let columns = columns.slice_dim(1, margin..margin + width);
        let rows: Tensor<3, Int> = rows.reshape([n, height, 1]);
        let positions = rows + columns.reshape([n, 1, width]);
        // A black pixel in either direction has an index at or beyond the black pixel.
        positions.clamp_max(black as i32).reshape([n, black])
    }

    /// For each row of a batch and of its margin, the start of the source row, and for each column the source
    /// column; `[n, side + 2 * margin]` each. The index of the black pixel if it is black.
    fn sources(&self, views: &[PictureView]) -> [Tensor<2, Int>; 2] {
        let [height, width] = self.size;
        let black = height * width;
        let table = |of: &dyn Fn(&PictureView) -> Vec<usize>| {
            let values = self.integers(views.iter().flat_map(of));
            let [length] = values.dims();
            values.reshape([views.len(), length / views.len().max(1)])
        };
        let starts = table(&|view| {
            let start = |row: &Option<usize>| row.map_or(black, |row| row * width);
            view.rows.iter().map(start).collect()
        });
        let columns = table(&|view| {
            let column = |column: &Option<usize>| column.unwrap_or(black);
            view.columns.iter().map(column).collect()
        });
        [starts, columns]
    }

    /// Bytes `[n, pixels]` as values in [0, 1].
    fn levels_of(&self, bytes: Tensor<2, Int>) -> Tensor<2> {
        let [n, pixels] = bytes.dims();
        let values = self.levels.clone().select(0, bytes.reshape([n * pixels]));
        values.reshape([n, pixels])
    }

    /// Normalises red, green and blue.
    fn normalize(&self, channels: [Tensor<2>; 3]) -> [Tensor<2>; 3] {
        let mut channel = 0;
        channels.map(|values| {
            let (mean, std) = (
                self.normalization.mean[channel],
                self.normalization.std[channel],
            );
            channel += 1;
            values.sub_scalar(mean).mul_scalar(1.0 / std)
        })
    }

    /// Applies brightness, contrast, saturation and normalisation to red, green and blue in [0, 1],
    /// `[n, pixels]` each.
    fn jittered(&self, levels: [Tensor<2>; 3], factors: &[[f32; 3]]) -> [Tensor<2>; 3] {
        let [n, _] = levels[0].dims();
        let column = |of: &dyn Fn(&[f32; 3]) -> f32| {
            floats(factors.iter().map(of).collect(), &self.device).reshape([n, 1])
        };
        let [brightness, contrast, saturation] = [0, 1, 2].map(|which| column(&|f| f[which]));
        let [rest_of_contrast, rest_of_saturation] =
            [1, 2].map(|which| column(&|f| 1.0 - f[which]));
        let bright = levels.map(|levels| (levels * brightness.clone()).clamp_max(1.0));
        let means = bright.clone().map(|channel| channel.mean_dim(1));
        let offset = rest_of_contrast * grey(means);
        let contrasted =
            bright.map(|channel| (channel * contrast.clone() + offset.clone()).clamp(0.0, 1.0));
        let own_grey = grey(contrasted.clone()) * rest_of_saturation;
        self.normalize(
            contrasted
                .map(|values| (values * saturation.clone() + own_grey.clone()).clamp(0.0, 1.0)),
        )
    }

    /// The holes of cutout.
    fn cut(&self, images: Tensor<4>, views: &[PictureView]) -> Tensor<4> {
        if views.iter().all(|view| view.hole.is_none()) {
            return images;
        }
        let [height, width] = self.size;
        let inside = |axis: usize, side: usize| {
            let flags = views.iter().flat_map(|view| {
                let span = view.hole.as_ref().map_or(0..0, |hole| hole[axis].clone());
                (0..side).map(move |position| usize::from(span.contains(&position)))
            });
            self.integers(flags)
        };
        let rows: Tensor<4, Int> = inside(0, height).reshape([views.len(), 1, height, 1]);
        let columns: Tensor<4, Int> = inside(1, width).reshape([views.len(), 1, 1, width]);
        let hole = (rows * columns).equal_elem(1);
        let shape = images.dims();
        images.mask_fill(hole.expand(shape), 0.0)
    }

    fn integers(&self, values: impl Iterator<Item = usize>) -> Tensor<1, Int> {
        integers(values, &self.device)
    }
}

/// Resizes images to a smaller size on a device.
pub(super) struct AreaMeans {
    /// For rows, then columns: the first, second and further source index of each result, with its share.
    terms: [Vec<(Tensor<1, Int>, Tensor<1>)>; 2],
}

impl AreaMeans {
    pub(super) fn new(spans: [&[AreaSpan]; 2], device: &Device) -> Self {
        let terms = spans.map(|spans| {
            let most = spans.iter().map(|span| span.shares.len()).max();
            let term = |number: usize| {
                // A span with fewer terms repeats its first one with share 0.
                let share = |span: &AreaSpan| span.shares.get(number).copied().unwrap_or(0.0);
                let source = |span: &AreaSpan| match number < span.shares.len() {
                    true => span.first + number,
                    false => span.first,
                };
                (
                    integers(spans.iter().map(source), device),
                    floats(spans.iter().map(share).collect(), device),
                )
            };
            (0..most.unwrap_or(0)).map(term).collect()
        });
        Self { terms }
    }

    fn apply(&self, images: Tensor<4>) -> Tensor<4> {
        let mut images = images;
        for (axis, terms) in self.terms.iter().enumerate() {
            let dimension = axis + 2;
            let taken = terms.iter().map(|(sources, shares)| {
                let mut shape = [1; 4];
                shape[dimension] = shares.dims()[0];
                images.clone().select(dimension, sources.clone()) * shares.clone().reshape(shape)
            });
            if let Some(sum) = taken.reduce(|sum, term| sum + term) {
                images = sum;
            }
        }
        images
    }
}

fn picture_bytes(set: &ImageSet) -> usize {
    (set.height() * set.width() + 1) * BYTES_PER_PIXEL
}

/// The pixels of a planar image, followed by a black one.
fn packed(planes: &[u8]) -> impl Iterator<Item = i32> {
    let area = planes.len() / ImageSet::CHANNELS;
    let (red, rest) = planes.split_at(area);
    let (green, blue) = rest.split_at(area);
    let pixels = red.iter().zip(green).zip(blue);
    pixels
        .map(|((red, green), blue)| i32::from_le_bytes([*red, *green, *blue, 0]))
        .chain([0])
}

/// Red, green and blue of packed pixels.
fn bytes(packed: Tensor<2, Int>) -> [Tensor<2, Int>; 3] {
    [0, 8, 16].map(|shift| match shift {
        0 => packed.clone().bitwise_and_scalar(0xFF),
        _ => packed
            .clone()
            .bitwise_right_shift_scalar(shift)
            .bitwise_and_scalar(0xFF),
    })
}

fn grey<const D: usize>([red, green, blue]: [Tensor<D>; 3]) -> Tensor<D> {
    let [of_red, of_green, of_blue] = GREY_WEIGHTS;
    red.mul_scalar(of_red) + green.mul_scalar(of_green) + blue.mul_scalar(of_blue)
}

fn floats(values: Vec<f32>, device: &Device) -> Tensor<1> {
    let length = values.len();
    Tensor::from_data(TensorData::new(values, [length]), device)
}

fn integers(values: impl Iterator<Item = usize>, device: &Device) -> Tensor<1, Int> {
    let values: Vec<i32> = values.map(|value| value as i32).collect();
    let length = values.len();
    Tensor::from_data(TensorData::new(values, [length]), device)
}
