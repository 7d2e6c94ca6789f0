//! One convolution with bias, residual sum and ReLU on `[picture, y, x, channel]` buffers.
//!
//! Output pixels are processed in tiles. For each tile the patches that the kernel sees are copied
//! into rows (`im2col`), some kernel taps at a time so that they stay in cache, and multiplied with
//! panels of the weights.

use std::ops::Range;

use rayon::prelude::*;

use super::matmul::{self, MAX_DEPTH};
use super::pool::Pool;
use crate::graph::{BufferShape, Convolution};

/// Output pixels that are computed at a time: patches and sums then stay in a second-level cache.
const TILE_PIXELS: usize = 192;
/// Output channels of one panel of weights.
const PANEL_CHANNELS: usize = 32;
/// Panels are padded with zeros to a multiple of this, the widest vector that `gemm` uses.
const CHANNEL_MULTIPLE: usize = 16;
/// Rows of patches are this much longer than needed, so that neighbours do not compete for the
/// same sets of the first-level cache.
const COLUMN_PADDING: usize = 16;

/// Memory that one tile needs; reused from tile to tile.
#[derive(Default)]
pub(super) struct Workspace {
    columns: Vec<f32>,
    sums: Vec<f32>,
}

/// A part of the sum over kernel taps and input channels.
struct DepthBlock {
    /// Taps `ky * kernel_width + kx`.
    taps: Range<usize>,
    channels: Range<usize>,
    /// Position of the block in the weights' depth.
    start: usize,
}

impl DepthBlock {
    fn depth(&self) -> usize {
        self.taps.len() * self.channels.len()
    }
}

/// Some output channels' weights, `[depth, channels]`.
struct Panel {
    first_channel: usize,
    channels: usize,
    padded_channels: usize,
    weights: Vec<f32>,
}

/// A convolution with its weights in the order in which they are used.
pub(super) struct PreparedConvolution {
    input: BufferShape,
    output: BufferShape,
    kernel_width: usize,
    stride: [usize; 2],
    padding: [usize; 2],
    relu: bool,
    bias: Vec<f32>,
    blocks: Vec<DepthBlock>,
    panels: Vec<Panel>,
}

impl PreparedConvolution {
    /// `convolution` must have passed the graph's checks for these shapes.
    pub(super) fn new(convolution: &Convolution, input: BufferShape, output: BufferShape) -> Self {
        let [out_channels, in_channels, kernel_height, kernel_width] = convolution.weight_shape;
        let blocks = depth_blocks(kernel_height * kernel_width, in_channels);
        let n_panels = out_channels.div_ceil(PANEL_CHANNELS);
        let panels = (0..n_panels)
            .map(|index| {
                let first = index * PANEL_CHANNELS;
                let last = out_channels.min(first + PANEL_CHANNELS);
                pack_panel(convolution, &blocks, first..last)
            })
            .collect();
        Self {
            input,
            output,
            kernel_width,
            stride: convolution.stride,
            padding: convolution.padding,
            relu: convolution.relu,
            bias: convolution.bias.clone(),
            blocks,
            panels,
        }
    }

    /// Computes `output` (all of it) for the pictures in `input`; `add` has `output`'s shape.
    /// Uses up to `threads` threads of the current pool.
    pub(super) fn run(
        &self,
        input: &[f32],
        add: Option<&[f32]>,
        output: &mut [f32],
        workspaces: &Pool<Workspace>,
        threads: usize,
    ) {
        let out_channels = self.output[0];
        let pixels = output.len() / out_channels;
        if threads > 1 && pixels < out_channels && self.panels.len() > 1 {
            return self.run_by_panels(input, add, output, workspaces);
        }
        let tile = TILE_PIXELS.min(pixels.div_ceil(threads)).max(1);
        let run_tile = |(index, part): (usize, &mut [f32])| {
            let first = index * tile;
            let range = first..first + part.len() / out_channels;
            let mut workspace = workspaces.take();
            self.multiply_tile(input, range.clone(), &self.panels, &mut workspace);
            let add = add.map(|add| &add[range.start * out_channels..range.end * out_channels]);
            self.finish_tile(&workspace.sums, &self.panels, add, part);
            workspaces.give_back(workspace);
        };
        if threads > 1 {
            output
                .par_chunks_mut(tile * out_channels)
                .enumerate()
                .for_each(run_tile);
        } else {
            output
                .chunks_mut(tile * out_channels)
                .enumerate()
                .for_each(run_tile);
        }
    }

    /// For few pixels and many weights: every thread reads its own part of the weights.
    fn run_by_panels(
        &self,
        input: &[f32],
        add: Option<&[f32]>,
        output: &mut [f32],
        workspaces: &Pool<Workspace>,
    ) {
        let out_channels = self.output[0];
        let pixels = output.len() / out_channels;
        for first in (0..pixels).step_by(TILE_PIXELS) {
            let range = first..pixels.min(first + TILE_PIXELS);
            let finished: Vec<Workspace> = self
                .panels
                .par_iter()
                .map(|panel| {
                    let mut workspace = workspaces.take();
                    let panel = std::slice::from_ref(panel);
                    self.multiply_tile(input, range.clone(), panel, &mut workspace);
                    workspace
                })
                .collect();
            let values = range.start * out_channels..range.end * out_channels;
            let part = &mut output[values.clone()];
            let add = add.map(|add| &add[values]);
            for (panel, workspace) in self.panels.iter().zip(finished) {
                self.finish_tile(&workspace.sums, std::slice::from_ref(panel), add, part);
                workspaces.give_back(workspace);
            }
        }
    }

    /// Leaves `[panel, pixel, padded channel]` sums without bias in `workspace.sums`.
    fn multiply_tile(
        &self,
        input: &[f32],
        pixels: Range<usize>,
        panels: &[Panel],
        workspace: &mut Workspace,
    ) {
        let n = pixels.len();
        let padded: usize = panels.iter().map(|panel| panel.padded_channels).sum();
        let Workspace { columns, sums } = workspace;
        sums.resize(n * padded, 0.0);
        for (block_index, block) in self.blocks.iter().enumerate() {
            let depth = block.depth();
            let (rows, stride) = if self.reads_pixels_as_they_are() {
                let channels = self.input[0];
                let first = pixels.start * channels + block.channels.start;
                (&input[first..], channels)
            } else {
                let stride = depth + COLUMN_PADDING;
                columns.resize(n * stride, 0.0);
                self.copy_patches(input, pixels.clone(), block, columns, stride);
                (&columns[..], stride)
            };
            let mut first = 0;
            for panel in panels {
                let m = panel.padded_channels;
                let weights = &panel.weights[block.start * m..(block.start + depth) * m];
                let part = &mut sums[first..first + n * m];
                matmul::multiply(weights, rows, part, [m, n, depth], stride, block_index > 0);
                first += n * m;
            }
        }
    }

    /// A 1x1 kernel of stride 1 sees each input pixel as one patch.
    fn reads_pixels_as_they_are(&self) -> bool {
        let [_, height, width] = self.output;
        let taps: usize = self
            .blocks
            .iter()
            .map(|block| block.taps.end)
            .max()
            .unwrap_or(0);
        taps == 1
            && self.stride == [1, 1]
            && self.padding == [0, 0]
            && [height, width] == self.input[1..]
    }

    /// Writes the patch of every output pixel in `pixels` as a row of `columns`.
    fn copy_patches(
        &self,
        input: &[f32],
        pixels: Range<usize>,
        block: &DepthBlock,
        columns: &mut [f32],
        stride: usize,
    ) {
        let [_, out_height, out_width] = self.output;
        let mut x = pixels.start % out_width;
        let mut y = pixels.start / out_width % out_height;
        let mut picture = pixels.start / out_width / out_height;
        for row in columns.chunks_exact_mut(stride).take(pixels.len()) {
            self.copy_patch(input, [picture, y, x], block, &mut row[..block.depth()]);
            x += 1;
            if x == out_width {
                (x, y) = (0, y + 1);
            }
            if y == out_height {
                (y, picture) = (0, picture + 1);
            }
        }
    }

    /// Copies what `block`'s taps see at one output pixel; zeros outside the picture.
    fn copy_patch(
        &self,
        input: &[f32],
        [picture, out_y, out_x]: [usize; 3],
        block: &DepthBlock,
        mut row: &mut [f32],
    ) {
        let [channels, height, width] = self.input;
        let whole_pixels = block.channels.len() == channels;
        let mut tap = block.taps.start;
        while tap < block.taps.end {
            let (ky, kx) = (tap / self.kernel_width, tap % self.kernel_width);
            // Taps of one kernel row see neighbouring pixels, which lie together in memory.
            let run = (self.kernel_width - kx).min(block.taps.end - tap);
            let y = (out_y * self.stride[0] + ky).wrapping_sub(self.padding[0]);
            let x = (out_x * self.stride[1] + kx).wrapping_sub(self.padding[1]);
            let (part, rest) = row.split_at_mut(run * block.channels.len());
            row = rest;
            tap += run;
            if y >= height {
                part.fill(0.0);
            } else if whole_pixels && x < width && x + run <= width {
                let first = ((picture * height + y) * width + x) * channels;
                part.copy_from_slice(&input[first..first + part.len()]);
            } else {
                for (offset, values) in part.chunks_exact_mut(block.channels.len()).enumerate() {
                    let x = x.wrapping_add(offset);
                    if x < width {
                        let pixel = ((picture * height + y) * width + x) * channels;
                        let first = pixel + block.channels.start;
                        values.copy_from_slice(&input[first..first + values.len()]);
                    } else {
                        values.fill(0.0);
                    }
                }
            }
        }
    }

    /// Adds bias and residual, applies the ReLU and puts `panels`' channels into `output`.
    fn finish_tile(&self, sums: &[f32], panels: &[Panel], add: Option<&[f32]>, output: &mut [f32]) {
        let out_channels = self.output[0];
        let n = output.len() / out_channels;
        let floor = if self.relu { 0.0 } else { f32::NEG_INFINITY };
        let mut first = 0;
        for panel in panels {
            let channels = panel.first_channel..panel.first_channel + panel.channels;
            let bias = &self.bias[channels.clone()];
            let rows = sums[first..].chunks_exact(panel.padded_channels).take(n);
            for (pixel, row) in rows.enumerate() {
                let place =
                    pixel * out_channels + channels.start..pixel * out_channels + channels.end;
                let values = row.iter().zip(bias);
                match add {
                    Some(add) => {
                        let added = &add[place.clone()];
                        for ((out, (sum, bias)), add) in
                            output[place].iter_mut().zip(values).zip(added)
                        {
                            *out = (sum + bias + add).max(floor);
                        }
                    }
                    None => {
                        for (out, (sum, bias)) in output[place].iter_mut().zip(values) {
                            *out = (sum + bias).max(floor);
                        }
                    }
                }
            }
            first += n * panel.padded_channels;
        }
    }
}

/// Splits the sum over taps and channels into nearly equal parts of at most [`MAX_DEPTH`].
fn depth_blocks(taps: usize, channels: usize) -> Vec<DepthBlock> {
    let channel_parts = channels.div_ceil(MAX_DEPTH);
    let channels_per_block = channels.div_ceil(channel_parts);
    let taps_per_block = if channel_parts > 1 {
        1
    } else {
        let parts = taps.div_ceil((MAX_DEPTH / channels).max(1));
        taps.div_ceil(parts)
    };
    let mut blocks = Vec::new();
    let mut start = 0;
    for first_tap in (0..taps).step_by(taps_per_block) {
        for first_channel in (0..channels).step_by(channels_per_block) {
            let block = DepthBlock {
                taps: first_tap..taps.min(first_tap + taps_per_block),
                channels: first_channel..channels.min(first_channel + channels_per_block),
                start,
            };
            start += block.depth();
            blocks.push(block);
        }
    }
    blocks
}

fn pack_panel(convolution: &Convolution, blocks: &[DepthBlock], channels: Range<usize>) -> Panel {
    let [_, in_channels, kernel_height, kernel_width] = convolution.weight_shape;
    let n_taps = kernel_height * kernel_width;
    let padded_channels = channels.len().next_multiple_of(CHANNEL_MULTIPLE);
    let mut weights = Vec::with_capacity(n_taps * in_channels * padded_channels);
    for block in blocks {
        for tap in block.taps.clone() {
            for in_channel in block.channels.clone() {
                weights.extend(channels.clone().map(|out_channel| {
                    convolution.weight[(out_channel * in_channels + in_channel) * n_taps + tap]
                }));
                weights.extend(std::iter::repeat_n(0.0, padded_channels - channels.len()));
            }
        }
    }
    Panel {
        first_channel: channels.start,
        channels: channels.len(),
        padded_channels,
        weights,
    }
}
