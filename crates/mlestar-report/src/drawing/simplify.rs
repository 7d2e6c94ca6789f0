/// An invisible distance in pixels.
const TOLERANCE: f64 = 0.2;

/// More points than this are first reduced to the extremes of each quarter of a pixel.
const MANY_POINTS: usize = 4000;

/// Fewer points that draw the same line: the line moves by at most a fifth of a pixel.
///
/// A curve over ten thousand images has ten thousand steps, of which a page can show hundreds.
pub(crate) fn simplify(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let thinned = if points.len() > MANY_POINTS {
        thin_columns(points)
    } else {
        points.to_vec()
    };
    douglas_peucker(&thinned)
}

/// Keeps the first, lowest, highest and last point of each run within a quarter of a pixel in x.
fn thin_columns(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let column = |point: &(f64, f64)| (point.0 * 4.0).floor();
    let mut kept = Vec::new();
    let mut start = 0;
    while start < points.len() {
        let mut end = start + 1;
        while end < points.len() && column(&points[end]) == column(&points[start]) {
            end += 1;
        }
        let run = &points[start..end];
        let by_y = |a: &usize, b: &usize| run[*a].1.total_cmp(&run[*b].1);
        let mut chosen = vec![0, run.len() - 1];
        chosen.extend((0..run.len()).min_by(by_y));
        chosen.extend((0..run.len()).max_by(by_y));
        chosen.sort_unstable();
        chosen.dedup();
        kept.extend(chosen.into_iter().map(|index| run[index]));
        start = end;
    }
    kept
}

/// The line simplification of Douglas and Peucker (1973), with a stack instead of recursion.
fn douglas_peucker(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() < 3 {
        return points.to_vec();
    }
    let mut keep = vec![false; points.len()];
    keep[0] = true;
    keep[points.len() - 1] = true;
    let mut stack = vec![(0, points.len() - 1)];
    while let Some((first, last)) = stack.pop() {
        let farthest = (first + 1..last)
            .map(|index| (index, distance(points[index], points[first], points[last])))
            .max_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((index, far)) = farthest
            && far > TOLERANCE
        {
            keep[index] = true;
            stack.push((first, index));
            stack.push((index, last));
        }
    }
    points
        .iter()
        .zip(keep)
        .filter_map(|(&point, keep)| keep.then_some(point))
        .collect()
}

/// The distance of `p` from the segment between `a` and `b`.
fn distance(p: (f64, f64), a: (f64, f64), b: (f64, f64)) -> f64 {
    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
    let length = dx * dx + dy * dy;
    let share = if length > 0.0 {
        (((p.0 - a.0) * dx + (p.1 - a.1) * dy) / length).clamp(0.0, 1.0)
    } else {
        0.0
    };
    (p.0 - a.0 - share * dx).hypot(p.1 - a.1 - share * dy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn straight_lines_keep_their_ends_only() {
        let points: Vec<(f64, f64)> = (0..1000).map(|i| (i as f64, 2.0 * i as f64)).collect();
        assert_eq!(simplify(&points), [points[0], points[999]]);
    }

    #[test]
    fn a_spike_survives_among_very_many_points() {
        let mut points: Vec<(f64, f64)> = (0..200_000).map(|i| (i as f64 / 400.0, 100.0)).collect();
        points[123_456].1 = 10.0;
        let simple = simplify(&points);
        assert!(simple.len() < 20, "{}", simple.len());
        assert!(simple.iter().any(|point| point.1 == 10.0));
    }

    #[test]
    fn every_point_stays_near_the_simplified_line() {
        let points: Vec<(f64, f64)> = (0..500)
            .map(|i| (i as f64, (i as f64 / 15.0).sin() * 80.0))
            .collect();
        let simple = simplify(&points);
        assert!(simple.len() < 200);
        for &point in &points {
            let nearest = simple
                .windows(2)
                .map(|pair| distance(point, pair[0], pair[1]))
                .fold(f64::INFINITY, f64::min);
            assert!(nearest <= TOLERANCE + 1e-9, "{point:?}: {nearest}");
        }
    }
}
