use super::axes::is_drawable;
use super::canvas::Canvas;
use super::scale::Scale;
use crate::format;

/// Maximum number of values of a curve with tooltips: more could not be selected with a pointer.
const MOST_SPOTS: usize = 60;

/// Puts invisible hover areas over the points of a curve; each shows its values as a tooltip.
pub(crate) fn draw_spots(
    canvas: &mut Canvas,
    (x_scale, y_scale): (&Scale, &Scale),
    points: impl IntoIterator<Item = (f64, f64)>,
    name: &str,
) {
    let points: Vec<(f64, f64)> = points
        .into_iter()
        .filter(|point| is_drawable((x_scale, y_scale), *point))
        .collect();
    let last = points.len().saturating_sub(1);
    let n_spots = points.len().min(MOST_SPOTS);
    for place in 0..n_spots {
        // Evenly spread, from the first point to the last one.
        let (x, y) = points[place * last / (n_spots - 1).max(1)];
        let title = format!(
            "{name}: {} at {}",
            format::significant(y, 4),
            format::significant(x, 4)
        );
        canvas.spot((x_scale.at(x), y_scale.at(y)), &title);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drawing::{Range, draw_svg};

    fn titles(points: &[(f64, f64)]) -> Vec<String> {
        let scale = Scale::linear(Range::new(0.0, 10.0), 0.0, 100.0);
        let svg = draw_svg("t", "d", (100.0, 100.0), |canvas| {
            draw_spots(canvas, (&scale, &scale), points.iter().copied(), "loss");
        });
        let svg = svg.into_string();
        let groups = svg.split("<g><title>").skip(1);
        groups
            .map(|group| group.split('<').next().unwrap_or_default().to_owned())
            .collect()
    }

    #[test]
    fn points_tell_their_values_and_gaps_do_not() {
        let points = [(1.0, 0.1 + 0.2), (2.0, f64::NAN), (3.0, 4.0)];
        assert_eq!(titles(&points), ["loss: 0.3 at 1", "loss: 4 at 3"]);
        assert_eq!(titles(&[(1.0, 2.0)]), ["loss: 2 at 1"]);
        assert!(titles(&[]).is_empty());
    }

    #[test]
    fn of_very_many_points_some_tell_their_values_the_ends_among_them() {
        let points: Vec<(f64, f64)> = (0..5000).map(|i| (f64::from(i), 1.0)).collect();
        let titles = titles(&points);
        assert_eq!(titles.len(), MOST_SPOTS);
        assert_eq!(titles[0], "loss: 1 at 0");
        assert_eq!(titles[MOST_SPOTS - 1], "loss: 1 at 4999");
    }
}
