//! The Matern kernel with smoothness 5/2 over numbers and choices.

/// A trial as the kernel sees it: numbers in `[0, 1]`, choices as indices, NaN for a parameter that does not exist.
pub(super) type Point = Vec<f64>;

/// The kind of one coordinate.
#[derive(Clone, Copy)]
pub(super) enum Axis {
    /// Any number.
    Number,
    /// One of so many equally spaced numbers.
    Steps(usize),
    /// One of so many values without an order.
    Choices(usize),
}

/// The squared distance of two points along one axis.
pub(super) fn square(axis: Axis, a: f64, b: f64) -> f64 {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => 0.0,
        (true, false) | (false, true) => 1.0,
        (false, false) => match axis {
            Axis::Choices(_) => f64::from(u8::from(a != b)),
            Axis::Number | Axis::Steps(_) => (a - b) * (a - b),
        },
    }
}

/// The kernel at the squared scaled distance `s`, and its derivative by `s`.
pub(super) fn matern(s: f64) -> (f64, f64) {
    let root = (5.0 * s).sqrt();
    let decay = (-root).exp();
    (
        (1.0 + root + 5.0 / 3.0 * s) * decay,
        -5.0 / 6.0 * (1.0 + root) * decay,
    )
}
