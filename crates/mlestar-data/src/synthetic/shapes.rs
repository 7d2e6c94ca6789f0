//! The ten shapes and textures, defined by inside tests on the plane.
//!
//! Only additions, multiplications, comparisons and square roots are used. They are exact by IEEE 754, so the
//! same seed draws the same bytes on every platform; sines and cosines are not exact.

/// Names of the classes; the position is the label.
pub(super) const CLASS_NAMES: [&str; 10] = [
    "disc",
    "ring",
    "cross",
    "triangle",
    "bar",
    "star",
    "crescent",
    "stripes",
    "checkerboard",
    "dots",
];

/// Radius, in units of the scale, that contains every shape.
pub(super) const EXTENT: f32 = 1.5;

/// Labels of the classes that are patches of a repeating pattern.
pub(super) fn is_texture(label: u32) -> bool {
    label >= 7
}

/// Whether the point (`u`, `v`), in units of the scale and relative to the centre, is in the
/// foreground of the class `label`. `period` is that of the textures, in the same units.
pub(super) fn is_inside(label: u32, u: f32, v: f32, period: f32) -> bool {
    let radius_squared = u * u + v * v;
    match label {
        0 => radius_squared < 1.0,
        1 => (0.3..1.0).contains(&radius_squared),
        2 => u.abs().max(v.abs()) < 1.05 && u.abs().min(v.abs()) < 0.3,
        3 => is_in_triangle(u, v),
        4 => u.abs() < 1.25 && v.abs() < 0.42,
        5 => is_in_star(u, v),
        6 => {
            let from_bite = (u - 0.5) * (u - 0.5) + v * v;
            radius_squared < 1.1 && from_bite > 0.72
        }
        7 => radius_squared < 1.2 && fraction(u / period) < 0.5,
        8 => {
            u.abs().max(v.abs()) < 1.0
                && (fraction(u / period) < 0.5) == (fraction(v / period) < 0.5)
        }
        _ => {
            let (du, dv) = (fraction(u / period) - 0.5, fraction(v / period) - 0.5);
            radius_squared < 1.3 && du * du + dv * dv < 0.1
        }
    }
}

/// The part after the decimal point, in `[0, 1)`.
fn fraction(value: f32) -> f32 {
    value - value.floor()
}

/// Equilateral triangle with circumradius 1.3, one corner at (0, 1.3).
fn is_in_triangle(u: f32, v: f32) -> bool {
    const INRADIUS: f32 = 0.65;
    // The outward normals of the three sides: (0, -1) and (±sqrt(3)/2, 1/2).
    -v < INRADIUS && 0.866_025_4 * u.abs() + 0.5 * v < INRADIUS
}

/// Five-pointed star with circumradius 1.25: a point is inside if it is on the inner side of at least four of
/// the five lines through alternate corners.
fn is_in_star(u: f32, v: f32) -> bool {
    const NORMALS: [(f32, f32); 5] = [
        (0.0, 1.0),
        (0.951_056_5, 0.309_017),
        (0.587_785_25, -0.809_017),
        (-0.587_785_25, -0.809_017),
        (-0.951_056_5, 0.309_017),
    ];
    // Distance of those lines from the centre: 1.25 cos(72°), plus a little for wider arms.
    const LINE_DISTANCE: f32 = 0.43;
    let n_inner = NORMALS
        .iter()
        .filter(|(a, b)| a * u + b * v < LINE_DISTANCE)
        .count();
    n_inner >= 4 && u * u + v * v < 1.6
}
