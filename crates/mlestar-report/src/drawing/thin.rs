/// Of points in pixels at most `most`, spread so that every occupied region keeps one; those in `kept` always stay. In order.
///
/// The plane is divided into square cells, of which each keeps its first point. The cells grow until few enough points are left.
pub(crate) fn thin(points: &[(f64, f64)], most: usize, kept: &[usize]) -> Vec<usize> {
    let mut size = 2.0;
    let mut chosen: Vec<usize> = (0..points.len()).collect();
    // At a thousand pixels a chart is one cell.
    while chosen.len() > most && size < 2000.0 {
        let mut seen: std::collections::BTreeSet<(i64, i64)> = Default::default();
        let cell = |at: usize| {
            let (x, y) = points[at];
            ((x / size).floor() as i64, (y / size).floor() as i64)
        };
        kept.iter().for_each(|at| {
            seen.insert(cell(*at));
        });
        chosen = (0..points.len())
            .filter(|at| seen.insert(cell(*at)) || kept.contains(at))
            .collect();
        size *= 1.25;
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_points_stay_and_many_leave_one_in_every_region() {
        let points: Vec<(f64, f64)> = (0..10_000)
            .map(|i| (f64::from(i % 100) * 4.0, f64::from(i / 100) * 2.5))
            .collect();
        assert_eq!(thin(&points, 10_000, &[]).len(), 10_000);
        let chosen = thin(&points, 600, &[5077, 5078]);
        assert!((300..=600).contains(&chosen.len()), "{}", chosen.len());
        assert!(chosen.contains(&5077) && chosen.contains(&5078));
        assert!(chosen.is_sorted());
        for (x, y) in points {
            let near = |at: &usize| (points_at(*at).0 - x).hypot(points_at(*at).1 - y) < 40.0;
            assert!(chosen.iter().any(near), "{x} {y}");
        }
    }

    fn points_at(i: usize) -> (f64, f64) {
        ((i % 100) as f64 * 4.0, (i / 100) as f64 * 2.5)
    }

    #[test]
    fn equal_points_become_one() {
        assert_eq!(thin(&[(1.0, 1.0); 50], 10, &[]), [0]);
        assert_eq!(thin(&[(f64::NAN, 1.0); 50], 10, &[]).len(), 1);
    }
}
