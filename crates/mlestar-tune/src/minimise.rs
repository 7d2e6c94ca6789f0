//! Local minima of smooth functions in a box: L-BFGS with projection.

/// Pairs of steps and gradient changes that the curvature is estimated from.
const MEMORY: usize = 8;

/// A function: its value and its gradient at a point.
pub(crate) type Smooth<'a> = dyn Fn(&[f64]) -> (f64, Vec<f64>) + 'a;

/// A local minimum of `function` within `bounds`, found from `start`, and its value. Ends after `iterations`, or when the
/// value falls by less than 1e-10 of itself.
pub(crate) fn minimise(
    function: &Smooth<'_>,
    start: &[f64],
    bounds: &[(f64, f64)],
    iterations: usize,
) -> (Vec<f64>, f64) {
    let mut x = project(start, bounds);
    let (mut value, mut gradient) = function(&x);
    let mut pairs: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
    for _ in 0..iterations {
        let is_free: Vec<bool> = (0..x.len())
            .map(|at| {
                let (low, high) = bounds[at];
                !(x[at] <= low && gradient[at] > 0.0 || x[at] >= high && gradient[at] < 0.0)
            })
            .collect();
        let direction = direction(&gradient, &pairs, &is_free);
        let Some((next, next_value, next_gradient)) =
            line_search(function, &x, value, &gradient, &direction, bounds)
        else {
            if pairs.is_empty() {
                break;
            }
            pairs.clear();
            continue;
        };
        let step: Vec<f64> = next.iter().zip(&x).map(|(a, b)| a - b).collect();
        let change: Vec<f64> = next_gradient
            .iter()
            .zip(&gradient)
            .map(|(a, b)| a - b)
            .collect();
        if dot(&step, &change) > 1e-12 * dot(&change, &change) {
            if pairs.len() == MEMORY {
                pairs.remove(0);
            }
            pairs.push((step, change));
        }
        let decrease = value - next_value;
        (x, value, gradient) = (next, next_value, next_gradient);
        if decrease < 1e-10 * value.abs().max(1e-6) {
            break;
        }
    }
    (x, value)
}

fn project(x: &[f64], bounds: &[(f64, f64)]) -> Vec<f64> {
    let clamp = |(x, (low, high)): (&f64, &(f64, f64))| x.clamp(*low, *high);
    x.iter().zip(bounds).map(clamp).collect()
}

/// Minus the inverse Hessian, as far as known, times the gradient, in the free coordinates (Nocedal, 1980).
fn direction(gradient: &[f64], pairs: &[(Vec<f64>, Vec<f64>)], is_free: &[bool]) -> Vec<f64> {
    let free = |vector: &[f64]| -> Vec<f64> {
        let masked = vector.iter().zip(is_free);
        masked
            .map(|(v, free)| if *free { *v } else { 0.0 })
            .collect()
    };
    let mut q = free(gradient);
    let mut used: Vec<(f64, Vec<f64>, Vec<f64>, f64)> = Vec::new();
    for (step, change) in pairs.iter().rev() {
        let (step, change) = (free(step), free(change));
        let curvature = dot(&step, &change);
        if curvature > 1e-300 {
            let alpha = dot(&step, &q) / curvature;
            add(&mut q, -alpha, &change);
            used.push((alpha, step, change, curvature));
        }
    }
    let scale = match used.first() {
        Some((_, _, change, curvature)) => curvature / dot(change, change),
        // The first step has a length of at most a tenth.
        None => (0.1 / dot(&q, &q).sqrt().max(1e-300)).min(1.0),
    };
    q.iter_mut().for_each(|value| *value *= scale);
    for (alpha, step, change, curvature) in used.iter().rev() {
        let beta = dot(change, &q) / curvature;
        add(&mut q, alpha - beta, step);
    }
    q.iter_mut().for_each(|value| *value = -*value);
    q
}

/// The first of the steps 1, 1/2, 1/4 ... along the direction, projected into the box, that decreases the value enough.
fn line_search(
    function: &Smooth<'_>,
    x: &[f64],
    value: f64,
    gradient: &[f64],
    direction: &[f64],
    bounds: &[(f64, f64)],
) -> Option<(Vec<f64>, f64, Vec<f64>)> {
    let mut length = 1.0;
    for _ in 0..25 {
        let moved: Vec<f64> = x
            .iter()
            .zip(direction)
            .map(|(x, d)| x + length * d)
            .collect();
        let next = project(&moved, bounds);
        let step: Vec<f64> = next.iter().zip(x).map(|(a, b)| a - b).collect();
        let (next_value, next_gradient) = function(&next);
        let expected = dot(gradient, &step);
        if expected < 0.0 && next_value <= value + 1e-4 * expected {
            return Some((next, next_value, next_gradient));
        }
        length *= 0.5;
    }
    None
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(to: &mut [f64], factor: f64, vector: &[f64]) {
    for (to, vector) in to.iter_mut().zip(vector) {
        *to += factor * vector;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rosenbrock(x: &[f64]) -> (f64, Vec<f64>) {
        let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
        let value = a * a + 100.0 * b * b;
        (value, vec![-2.0 * a - 400.0 * x[0] * b, 200.0 * b])
    }

    #[test]
    fn the_bottom_of_a_curved_valley_is_found() {
        let (x, value) = minimise(&rosenbrock, &[-1.2, 1.0], &[(-5.0, 5.0); 2], 200);
        assert!(value < 1e-12, "{x:?} {value}");
    }

    #[test]
    fn a_minimum_on_the_edge_of_the_box_is_found() {
        let (x, _) = minimise(&rosenbrock, &[-1.2, 1.0], &[(-5.0, 0.5), (-5.0, 5.0)], 200);
        assert!(
            (x[0] - 0.5).abs() < 1e-12 && (x[1] - 0.25).abs() < 1e-6,
            "{x:?}"
        );
    }
}
