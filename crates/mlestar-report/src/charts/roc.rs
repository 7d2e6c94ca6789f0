use super::{MAX_NAMED_CURVES, Svg, check_length, lowest_of_many};
use crate::ReportError;
use crate::drawing::{
    Area, Axis, HALF_WIDTH, Header, INK, LegendEntry, Mark, Range, Scale, Stroke, draw_axes,
    draw_curve, draw_no_data, draw_spots, draw_svg, series_colour, series_dash,
};
use crate::format;

const CHART: &str = "roc curves";
const PLOT_HEIGHT: f64 = 380.0;
/// Of many classes, this number with the smallest areas are named.
const NAMED_OF_MANY: usize = 3;

/// The receiver operating characteristic of one class against the others.
#[derive(Debug, Clone, Copy)]
pub struct RocCurve<'a> {
    /// The class.
    pub label: &'a str,
    /// False positive rates (0 to 1), ascending.
    pub false_positive_rate: &'a [f64],
    /// True positive rates (0 to 1).
    pub true_positive_rate: &'a [f64],
    /// Area under the curve; `None` if it is undefined.
    pub auc: Option<f64>,
}

/// Receiver operating characteristics of all classes.
#[derive(Debug, Clone, Copy)]
pub struct RocCurves<'a> {
    /// The title of the chart.
    pub title: &'a str,
    /// One curve for each class.
    pub classes: &'a [RocCurve<'a>],
    /// The mean over the classes.
    pub macro_average: Option<RocCurve<'a>>,
}

/// Draws the curves with the area under each in the legend. Of more than ten classes, only the three with the
/// smallest areas are named; the others are thin and grey. Of more than 400 classes, the lowest are drawn.
///
/// # Errors
/// [`ReportError::LengthMismatch`] if a curve does not have as many true as false positive rates.
pub fn roc_curves(spec: &RocCurves<'_>) -> Result<Svg, ReportError> {
    let scores: Vec<f64> = spec
        .classes
        .iter()
        .map(|curve| curve.auc.unwrap_or(f64::NAN))
        .collect();
    let (chosen, title) = lowest_of_many(spec.title, &scores);
    let curves: Vec<CurveLook<'_>> = chosen
        .iter()
        .map(|&class| &spec.classes[class])
        .chain(spec.macro_average.as_ref())
        .map(|curve| CurveLook {
            label: curve.label,
            x: curve.false_positive_rate,
            y: curve.true_positive_rate,
            score: curve.auc,
        })
        .collect();
    for curve in &curves {
        let what = format!("the true positive rates of {:?}", curve.label);
        let expected = (curve.x.len(), "one for each false positive rate");
        check_length(CHART, what, curve.y.len(), expected)?;
    }
    Ok(UnitSquare {
        title: &title,
        x_label: "false positive rate (fraction)",
        y_label: "true positive rate (fraction)",
        score_name: "AUC",
        has_average: spec.macro_average.is_some(),
        chance_diagonal: true,
        curves,
    }
    .draw())
}

/// One curve in the unit square, with the score that its legend shows.
pub(super) struct CurveLook<'a> {
    pub label: &'a str,
    pub x: &'a [f64],
    pub y: &'a [f64],
    pub score: Option<f64>,
}

/// Curves of rates (0 to 1) over rates; the last one is the average if there is one.
pub(super) struct UnitSquare<'a> {
    pub title: &'a str,
    pub x_label: &'static str,
    pub y_label: &'static str,
    pub score_name: &'static str,
    pub has_average: bool,
    pub chance_diagonal: bool,
    pub curves: Vec<CurveLook<'a>>,
}

impl UnitSquare<'_> {
    pub(super) fn draw(&self) -> Svg {
        let looks = self.strokes();
        let entries = self
            .curves
            .iter()
            .zip(&looks)
            .filter(|(_, (_, named))| *named)
            .map(|(curve, (stroke, _))| {
                let score = format::optional(curve.score, 3);
                LegendEntry::new(format!("{} {score}", curve.label), Mark::Line(*stroke))
            })
            .collect();
        let header = Header::new(self.title, entries, HALF_WIDTH);
        let top = header.height() + 28.0;
        let area = Area {
            left: 58.0,
            top,
            right: HALF_WIDTH - 18.0,
            bottom: top + PLOT_HEIGHT,
        };
        let size = (HALF_WIDTH, area.bottom + 50.0);
        draw_svg(self.title, &self.description(), size, |canvas| {
            header.draw(canvas);
            let has_points = self.curves.iter().any(|curve| {
                let mut points = curve.x.iter().zip(curve.y);
                points.any(|(x, y)| x.is_finite() && y.is_finite())
            });
            if !has_points {
                return draw_no_data(canvas, area);
            }
            let unit = Range::new(0.0, 1.0);
            let x = Scale::linear(unit, area.left, area.right);
            let y = Scale::linear(unit, area.bottom, area.top);
            let x_axis = Axis::new(x, self.x_label, 5);
            draw_axes(canvas, area, &x_axis, &Axis::new(y, self.y_label, 5));
            if self.chance_diagonal {
                let stroke = Stroke::new(INK, 1.0).opacity(0.45).dash(&[3.0, 4.0]);
                canvas.line((area.left, area.bottom), (area.right, area.top), stroke);
            }
            // Grey curves first, so that the named ones are on top.
            for wanted in [false, true] {
                for (curve, (stroke, named)) in self.curves.iter().zip(&looks) {
                    if *named == wanted {
                        let points = curve.x.iter().copied().zip(curve.y.iter().copied());
                        draw_curve(canvas, (&x, &y), points.clone(), *stroke);
                        if *named {
                            draw_spots(canvas, (&x, &y), points, curve.label);
                        }
                    }
                }
            }
        })
    }

    /// How each curve is drawn, and whether the legend names it.
    fn strokes(&self) -> Vec<(Stroke, bool)> {
        let n_classes = self.curves.len() - usize::from(self.has_average);
        let mut by_score: Vec<usize> = (0..n_classes)
            .filter(|&index| self.curves[index].score.is_some_and(f64::is_finite))
            .collect();
        let score = |index: usize| self.curves[index].score.unwrap_or(f64::NAN);
        by_score.sort_by(|&a, &b| score(a).total_cmp(&score(b)));
        by_score.truncate(NAMED_OF_MANY);
        (0..self.curves.len())
            .map(|index| {
                if index >= n_classes {
                    (Stroke::new(INK, 2.75), true)
                } else if n_classes <= MAX_NAMED_CURVES {
                    let stroke = Stroke::new(series_colour(index), 1.6);
                    (stroke.dash(series_dash(index)), true)
                } else if let Some(rank) = by_score.iter().position(|&other| other == index) {
                    (Stroke::new(series_colour(rank), 1.8), true)
                } else {
                    (Stroke::new(INK, 0.75).opacity(0.22), false)
                }
            })
            .collect()
    }

    fn description(&self) -> String {
        let scores: Vec<String> = self
            .curves
            .iter()
            .map(|curve| format!("{} {}", curve.label, format::optional(curve.score, 3)))
            .collect();
        format!(
            "Curves of {} over {}. {}: {}.",
            self.y_label,
            self.x_label,
            self.score_name,
            if scores.is_empty() {
                "no data".to_string()
            } else {
                scores.join(", ")
            }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(label: &str, auc: f64) -> RocCurve<'_> {
        RocCurve {
            label,
            false_positive_rate: &[0.0, 0.1, 1.0],
            true_positive_rate: &[0.0, 0.8, 1.0],
            auc: Some(auc),
        }
    }

    #[test]
    fn areas_stand_in_the_legend() {
        let svg = roc_curves(&RocCurves {
            title: "ROC",
            classes: &[curve("cat", 0.91), curve("dog", 0.95)],
            macro_average: Some(curve("macro", 0.93)),
        })
        .unwrap();
        for text in ["cat 0.910", "dog 0.950", "macro 0.930"] {
            assert!(svg.as_str().contains(text), "{text}");
        }
    }

    #[test]
    fn of_many_classes_the_worst_three_are_named() {
        let names: Vec<String> = (0..100).map(|index| format!("class-{index}!")).collect();
        let classes: Vec<RocCurve<'_>> = names
            .iter()
            .enumerate()
            .map(|(index, name)| curve(name, 0.5 + index as f64 / 1000.0))
            .collect();
        let svg = roc_curves(&RocCurves {
            title: "ROC",
            classes: &classes,
            macro_average: None,
        })
        .unwrap();
        let drawn = svg.as_str().split("</desc>").nth(1).unwrap();
        assert!(drawn.contains("class-0!") && drawn.contains("class-2!"));
        assert!(!drawn.contains("class-3!"));
    }

    #[test]
    fn ten_thousand_steps_are_drawn_with_few_points() {
        let steps = 10_000;
        let x: Vec<f64> = (0..steps)
            .map(|i| f64::from(i) / f64::from(steps))
            .collect();
        let y: Vec<f64> = x.iter().map(|x| x.powf(0.1)).collect();
        let svg = roc_curves(&RocCurves {
            title: "ROC",
            classes: &[RocCurve {
                label: "cat",
                false_positive_rate: &x,
                true_positive_rate: &y,
                auc: None,
            }],
            macro_average: None,
        })
        .unwrap();
        let longest = svg
            .as_str()
            .split("points=\"")
            .map(|rest| rest.split('"').next().unwrap().split(' ').count())
            .max();
        assert!(longest < Some(300), "{longest:?} points");
    }
}
