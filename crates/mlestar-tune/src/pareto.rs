//! Several objectives: which trials no other beats, and the volume that they dominate. All objectives here are losses.

/// Whether `a` is at least as good as `b` in every objective and better in one.
pub(crate) fn dominates(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(a, b)| a <= b) && a.iter().zip(b).any(|(a, b)| a < b)
}

/// The front of each point, from 0: those that no point dominates, those that only points of front 0 dominate, and so on.
pub(crate) fn fronts(points: &[&[f64]]) -> Vec<usize> {
    let mut fronts = vec![usize::MAX; points.len()];
    let mut rest: Vec<usize> = (0..points.len()).collect();
    let mut front = 0;
    while !rest.is_empty() {
        let is_beaten = |at: &usize| {
            rest.iter()
                .any(|other| dominates(points[*other], points[*at]))
        };
        let (beaten, best): (Vec<usize>, Vec<usize>) = rest.iter().partition(|at| is_beaten(at));
        if best.is_empty() {
            // Only points that compare with nothing, such as NaN, are left.
            beaten.iter().for_each(|at| fronts[*at] = front);
            break;
        }
        best.iter().for_each(|at| fronts[*at] = front);
        rest = beaten;
        front += 1;
    }
    fronts
}

/// The volume between the points and `reference` that some point dominates, exact for any number of objectives (the
/// recursion over the last objective; fast for two and three). Points that are not better than the reference in every
/// objective count nothing.
///
/// ```
/// use mlestar_tune::hypervolume;
///
/// assert_eq!(hypervolume(&[vec![0.0, 1.0], vec![1.0, 0.0]], &[2.0, 2.0]), 3.0);
/// ```
pub fn hypervolume(points: &[Vec<f64>], reference: &[f64]) -> f64 {
    let inside = |point: &&Vec<f64>| {
        point.len() == reference.len() && point.iter().zip(reference).all(|(p, r)| p < r)
    };
    let points: Vec<&[f64]> = points.iter().filter(inside).map(Vec::as_slice).collect();
    volume(&points, reference)
}

fn volume(points: &[&[f64]], reference: &[f64]) -> f64 {
    let Some((last, lower)) = reference.split_last() else {
        return 0.0;
    };
    let at = lower.len();
    let mut sorted = points.to_vec();
    sorted.sort_by(|a, b| a[at].total_cmp(&b[at]));
    if lower.is_empty() {
        return sorted.first().map_or(0.0, |best| last - best[0]);
    }
    if lower.len() == 1 {
        return area(&sorted, reference);
    }
    let mut sum = 0.0;
    for n in 1..=sorted.len() {
        let end = sorted.get(n).map_or(*last, |next| next[at]);
        let depth = end - sorted[n - 1][at];
        if depth > 0.0 {
            let slice: Vec<&[f64]> = sorted[..n].iter().map(|point| &point[..at]).collect();
            sum += depth * volume(&slice, lower);
        }
    }
    sum
}

/// The area of points that are sorted by the second objective.
fn area(sorted: &[&[f64]], reference: &[f64]) -> f64 {
    let mut sum = 0.0;
    let mut left = reference[0];
    for point in sorted {
        if point[0] < left {
            sum += (left - point[0]) * (reference[1] - point[1]);
            left = point[0];
        }
    }
    sum
}

/// The positions of the points, best first. Several objectives compare by front, and within the last front that is cut by
/// what each point adds to the hypervolume of those chosen before it.
pub(crate) fn ranked(points: &[&[f64]]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..points.len()).collect();
    if points.iter().all(|point| point.len() <= 1) {
        let loss = |at: usize| points[at].first().copied().unwrap_or(f64::INFINITY);
        order.sort_by(|a, b| loss(*a).total_cmp(&loss(*b)));
        return order;
    }
    let fronts = fronts(points);
    order.sort_by_key(|at| fronts[*at]);
    let mut sorted = Vec::with_capacity(order.len());
    for front in order.chunk_by(|a, b| fronts[*a] == fronts[*b]) {
        sorted.extend(spread(points, front));
    }
    sorted
}

/// The points of a front, each next one that which adds most hypervolume to those before it.
fn spread(points: &[&[f64]], front: &[usize]) -> Vec<usize> {
    let n_objectives = points[front[0]].len();
    let worst = |objective: usize| {
        let values = front.iter().map(|at| points[*at][objective]);
        values.fold(f64::NEG_INFINITY, f64::max)
    };
    let best = |objective: usize| {
        let values = front.iter().map(|at| points[*at][objective]);
        values.fold(f64::INFINITY, f64::min)
    };
    // Scaled to the ranges of the front, so that the units of the objectives do not matter.
    let ranges: Vec<(f64, f64)> = (0..n_objectives).map(|o| (best(o), worst(o))).collect();
    let scaled = |at: usize| -> Vec<f64> {
        let unit = |(value, (low, high)): (&f64, &(f64, f64))| match high > low {
            true => (value - low) / (high - low),
            false => 0.0,
        };
        points[at].iter().zip(&ranges).map(unit).collect()
    };
    let reference = vec![1.1; n_objectives];
    let mut rest: Vec<(usize, Vec<f64>)> = front.iter().map(|at| (*at, scaled(*at))).collect();
    let mut chosen: Vec<Vec<f64>> = Vec::new();
    let mut order = Vec::new();
    // What counts is which points belong to the better part; after a few dozen the order does not.
    while !rest.is_empty() && order.len() < 32 {
        let gain = |point: &Vec<f64>| {
            let with: Vec<Vec<f64>> = chosen.iter().chain([point]).cloned().collect();
            hypervolume(&with, &reference)
        };
        let gains: Vec<f64> = rest.iter().map(|(_, point)| gain(point)).collect();
        let next = (0..rest.len()).fold(0, |a, b| if gains[b] > gains[a] { b } else { a });
        let (at, point) = rest.remove(next);
        order.push(at);
        chosen.push(point);
    }
    order.extend(rest.into_iter().map(|(at, _)| at));
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlestar_random::Stream;
    use proptest::prelude::*;

    fn random_points(n: usize, n_objectives: usize, seed: u64) -> Vec<Vec<f64>> {
        let mut stream = Stream::new(seed, "pareto", 0, 0);
        (0..n)
            .map(|_| (0..n_objectives).map(|_| stream.uniform()).collect())
            .collect()
    }

    #[test]
    fn known_volumes() {
        assert_eq!(hypervolume(&[vec![0.25]], &[1.0]), 0.75);
        assert_eq!(
            hypervolume(&[vec![0.0, 0.5], vec![0.5, 0.0]], &[1.0, 1.0]),
            0.75
        );
        // Three boxes of 1/2, each pair of which shares 1/4 and all three 1/8.
        let three = [
            vec![0.5, 0.0, 0.0],
            vec![0.0, 0.5, 0.0],
            vec![0.0, 0.0, 0.5],
        ];
        assert_eq!(
            hypervolume(&three, &[1.0; 3]),
            3.0 * 0.5 - 3.0 * 0.25 + 0.125
        );
        assert_eq!(hypervolume(&[vec![0.0, 2.0]], &[1.0, 1.0]), 0.0);
        assert_eq!(hypervolume(&[], &[1.0, 1.0]), 0.0);
    }

    // Two points: the sum of both boxes without what they share.
    proptest! {
        #[test]
        fn two_boxes_share_their_intersection(a in prop::collection::vec(0.0..1.0_f64, 4), b in prop::collection::vec(0.0..1.0_f64, 4)) {
            let of = |point: &[f64]| point.iter().map(|p| 1.0 - p).product::<f64>();
            let shared: f64 = a.iter().zip(&b).map(|(a, b)| 1.0 - a.max(*b)).product();
            let volume = hypervolume(&[a.clone(), b.clone()], &[1.0; 4]);
            prop_assert!((volume - (of(&a) + of(&b) - shared)).abs() < 1e-12);
        }
    }

    #[test]
    fn volumes_agree_with_counting() {
        for n_objectives in [2, 3, 4] {
            let points = random_points(12, n_objectives, 7);
            let n = 40_000;
            let probes = random_points(n, n_objectives, 8);
            let is_covered = |probe: &&Vec<f64>| {
                points
                    .iter()
                    .any(|p| p.iter().zip(*probe).all(|(p, q)| p <= q))
            };
            let share = probes.iter().filter(is_covered).count() as f64 / n as f64;
            let volume = hypervolume(&points, &vec![1.0; n_objectives]);
            assert!((volume - share).abs() < 0.01, "{volume} {share}");
        }
    }

    #[test]
    fn a_point_of_a_later_front_is_beaten_by_one_of_the_front_before() {
        let points = random_points(40, 2, 3);
        let slices: Vec<&[f64]> = points.iter().map(Vec::as_slice).collect();
        let fronts = fronts(&slices);
        for (at, front) in fronts.iter().enumerate() {
            let beaten_by = |wanted: usize| {
                (0..40).any(|other| fronts[other] == wanted && dominates(slices[other], slices[at]))
            };
            assert!(!beaten_by(*front));
            assert!(*front == 0 || beaten_by(front - 1));
        }
        let order = ranked(&slices);
        assert!(
            order
                .windows(2)
                .all(|pair| fronts[pair[0]] <= fronts[pair[1]])
        );
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..40).collect::<Vec<_>>());
    }
}
