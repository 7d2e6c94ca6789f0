//! Draws one clean image of a class.

use super::shapes;
use mlestar_random::Stream;

/// Height and width of a synthetic image, in pixels.
pub(crate) const SIZE: usize = 32;
/// Samples along each axis of a pixel, for soft edges.
const SUPERSAMPLING: usize = 3;
type Color = [f32; 3];

/// Position, rotation and scale of a figure.
struct Placement {
    center: [f32; 2],
    /// Half extents along the figure's own two axes, in pixels.
    scale: [f32; 2],
    /// A unit vector: cosine and sine of the rotation.
    direction: [f32; 2],
}

impl Placement {
    /// The point (`x`, `y`) of the image in the figure's own coordinates.
    fn local(&self, x: f32, y: f32) -> (f32, f32) {
        let (dx, dy) = (x - self.center[0], y - self.center[1]);
        let [cos, sin] = self.direction;
        (
            (cos * dx + sin * dy) / self.scale[0],
            (cos * dy - sin * dx) / self.scale[1],
        )
    }
}

/// One image in planar (CHW) order: a gradient, small clutter, the figure of `label` at a random
/// place, size, rotation and colour, and noise with standard deviation `noise` (of pixels in 0-1).
pub(super) fn picture(label: u32, noise: f32, n_clutter: usize, stream: &mut Stream) -> Vec<u8> {
    let mut canvas = vec![[0.0_f32; 3]; SIZE * SIZE];
    let background = color_between(stream, 0.3, 0.7);
    paint_gradient(&mut canvas, background, stream);
    for _ in 0..n_clutter {
        paint_clutter(&mut canvas, background, stream);
    }
    paint_figure(&mut canvas, label, background, stream);
    to_bytes(&canvas, noise, stream)
}

fn color_between(stream: &mut Stream, low: f32, high: f32) -> Color {
    std::array::from_fn(|_| stream.range_f32(low, high))
}

fn shifted(color: Color, by: f32, spread: f32, stream: &mut Stream) -> Color {
    color.map(|channel| (channel + by + stream.range_f32(-spread, spread)).clamp(0.02, 0.98))
}

/// Cosine and sine of a uniformly random angle, by rejection from the unit disc.
fn random_direction(stream: &mut Stream) -> [f32; 2] {
    loop {
        let (x, y) = (stream.range_f32(-1.0, 1.0), stream.range_f32(-1.0, 1.0));
        let length_squared = x * x + y * y;
        if (0.01..=1.0).contains(&length_squared) {
            let length = length_squared.sqrt();
            return [x / length, y / length];
        }
    }
}

fn paint_gradient(canvas: &mut [Color], background: Color, stream: &mut Stream) {
    let other = shifted(background, 0.0, 0.15, stream);
    let [dx, dy] = random_direction(stream);
    let half = SIZE as f32 / 2.0;
    for (position, pixel) in canvas.iter_mut().enumerate() {
        let x = (position % SIZE) as f32 + 0.5 - half;
        let y = (position / SIZE) as f32 + 0.5 - half;
        let weight = (0.5 + (x * dx + y * dy) / SIZE as f32).clamp(0.0, 1.0);
        *pixel = blend(background, other, weight);
    }
}

/// A small bar or blob, fainter than the figure.
fn paint_clutter(canvas: &mut [Color], background: Color, stream: &mut Stream) {
    let is_bar = stream.bernoulli(0.5);
    let placement = Placement {
        center: std::array::from_fn(|_| stream.range_f32(0.0, SIZE as f32)),
        scale: if is_bar {
            [stream.range_f32(2.0, 5.0), stream.range_f32(0.4, 0.9)]
        } else {
            [stream.range_f32(0.8, 2.0), stream.range_f32(0.8, 2.0)]
        },
        direction: random_direction(stream),
    };
    let color = shifted(background, 0.0, 0.3, stream);
    paint(canvas, &placement, 1.5, color, |u, v| {
        if is_bar {
            u.abs().max(v.abs()) < 1.0
        } else {
            u * u + v * v < 1.0
        }
    });
}

fn paint_figure(canvas: &mut [Color], label: u32, background: Color, stream: &mut Stream) {
    let texture = shapes::is_texture(label);
    let size = if texture {
        stream.range_f32(9.0, 13.0)
    } else {
        stream.range_f32(7.5, 11.0)
    };
    let period = stream.range_f32(5.4, 7.4) / size;
    let reach = size * 0.9;
    let placement = Placement {
        center: std::array::from_fn(|_| stream.range_f32(reach, SIZE as f32 - reach)),
        scale: std::array::from_fn(|_| size * stream.range_f32(0.9, 1.1)),
        direction: random_direction(stream),
    };
    let contrast = stream.range_f32(0.25, 0.5);
    let sign = if stream.bernoulli(0.5) { 1.0 } else { -1.0 };
    let color = shifted(background, sign * contrast, 0.12, stream);
    paint(canvas, &placement, shapes::EXTENT, color, |u, v| {
        shapes::is_inside(label, u, v, period)
    });
}

/// Blends `color` into the pixels in proportion to the covered area of each.
fn paint(
    canvas: &mut [Color],
    placement: &Placement,
    extent: f32,
    color: Color,
    is_inside: impl Fn(f32, f32) -> bool,
) {
    let reach = extent * placement.scale[0].max(placement.scale[1]) + 1.0;
    let span = |center: f32| {
        let low = (center - reach).max(0.0) as usize;
        let high = (center + reach).clamp(0.0, SIZE as f32) as usize;
        low..high
    };
    let step = 1.0 / SUPERSAMPLING as f32;
    for y in span(placement.center[1]) {
        for x in span(placement.center[0]) {
            let mut n_inside = 0_u32;
            for sample in 0..SUPERSAMPLING * SUPERSAMPLING {
                let dx = ((sample % SUPERSAMPLING) as f32 + 0.5) * step;
                let dy = ((sample / SUPERSAMPLING) as f32 + 0.5) * step;
                let (u, v) = placement.local(x as f32 + dx, y as f32 + dy);
                n_inside += u32::from(is_inside(u, v));
            }
            if n_inside > 0 {
                let pixel = &mut canvas[y * SIZE + x];
                *pixel = blend(*pixel, color, n_inside as f32 * step * step);
            }
        }
    }
}

fn blend(under: Color, over: Color, weight: f32) -> Color {
    std::array::from_fn(|c| under[c] + (over[c] - under[c]) * weight)
}

/// Adds noise, rounds, and converts to planar order.
fn to_bytes(canvas: &[Color], noise: f32, stream: &mut Stream) -> Vec<u8> {
    let mut bytes = vec![0_u8; 3 * SIZE * SIZE];
    for (channel, plane) in bytes.chunks_exact_mut(SIZE * SIZE).enumerate() {
        for (byte, pixel) in plane.iter_mut().zip(canvas) {
            *byte = to_byte(pixel[channel] + noise * bell(stream));
        }
    }
    bytes
}

/// A value in 0-1 as a byte, rounded and clamped.
pub(super) fn to_byte(value: f32) -> u8 {
    (value * 255.0 + 0.5).clamp(0.0, 255.0) as u8
}

/// An approximately normal number with mean 0 and variance 1: the sum of four random bytes, centred and scaled.
/// It needs one draw and no logarithm, whose last bit differs between platforms.
pub(super) fn bell(stream: &mut Stream) -> f32 {
    let sum: u32 = stream
        .next_u32()
        .to_le_bytes()
        .into_iter()
        .map(u32::from)
        .sum();
    // Four times the variance of a uniform byte is (256² - 1) / 3 = 147.8².
    (sum as f32 - 510.0) / 147.800_87
}
