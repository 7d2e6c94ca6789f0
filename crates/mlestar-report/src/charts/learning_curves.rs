use super::{Svg, check_length};
use crate::ReportError;
use crate::drawing::{
    Area, Axis, Canvas, HALF_WIDTH, Header, INK, LegendEntry, Mark, Range, Scale, Stroke,
    draw_axes, draw_curve, draw_no_data, draw_spots, draw_svg, series_colour, short_number,
};

const CHART: &str = "learning curves";
const PLOT_HEIGHT: f64 = 170.0;
/// Distance between the loss and the accuracy below it, in pixels.
const GAP: f64 = 74.0;

/// Loss and accuracy of each epoch, on training and on validation images.
#[derive(Debug, Clone, Copy)]
pub struct LearningCurves<'a> {
    /// The title of the chart.
    pub title: &'a str,
    /// The numbers of the epochs.
    pub epochs: &'a [f64],
    /// Mean loss over the training images as the network saw them.
    pub train_loss: &'a [f64],
    /// Mean loss over the validation images; `None` after an epoch without a validation.
    pub validation_loss: &'a [Option<f64>],
    /// Accuracy (0 to 1) on the training images.
    pub train_accuracy: &'a [f64],
    /// Accuracy (0 to 1) on the validation images; `None` after an epoch without a validation.
    pub validation_accuracy: &'a [Option<f64>],
    /// The epoch whose weights were kept; marked in both panels.
    pub best_epoch: Option<f64>,
}

/// Draws the loss over the epochs and the accuracy below it, so that both fit on a narrow page.
///
/// # Errors
/// [`ReportError::LengthMismatch`] if a curve does not have one value for each epoch.
pub fn learning_curves(spec: &LearningCurves<'_>) -> Result<Svg, ReportError> {
    let expected = (spec.epochs.len(), "one for each epoch");
    for (what, length) in [
        ("train_loss", spec.train_loss.len()),
        ("validation_loss", spec.validation_loss.len()),
        ("train_accuracy", spec.train_accuracy.len()),
        ("validation_accuracy", spec.validation_accuracy.len()),
    ] {
        check_length(CHART, what, length, expected)?;
    }
    let mut entries = vec![
        LegendEntry::new("train", Mark::Line(stroke(0))),
        LegendEntry::new("validation", Mark::Line(stroke(1))),
    ];
    let best_epoch = spec.best_epoch.filter(|epoch| epoch.is_finite());
    if let Some(epoch) = best_epoch {
        let label = best_words(spec, epoch);
        entries.push(LegendEntry::new(label, Mark::Line(best_stroke())));
    }
    let header = Header::new(spec.title, entries, HALF_WIDTH);
    let top = header.height() + 28.0;
    let panel = |top: f64| Area {
        left: 58.0,
        top,
        right: HALF_WIDTH - 18.0,
        bottom: top + PLOT_HEIGHT,
    };
    let below = top + PLOT_HEIGHT + GAP;
    let size = (HALF_WIDTH, below + PLOT_HEIGHT + 50.0);
    Ok(draw_svg(spec.title, &description(spec), size, |canvas| {
        header.draw(canvas);
        let loss = Panel {
            label: "loss (mean over images)",
            train: spec.train_loss,
            validation: spec.validation_loss,
            is_fraction: false,
        };
        loss.draw(canvas, panel(top), spec, best_epoch);
        let accuracy = Panel {
            label: "accuracy (fraction)",
            train: spec.train_accuracy,
            validation: spec.validation_accuracy,
            is_fraction: true,
        };
        accuracy.draw(canvas, panel(below), spec, best_epoch);
    }))
}

fn stroke(index: usize) -> Stroke {
    Stroke::new(series_colour(index), 2.0)
}

fn best_stroke() -> Stroke {
    Stroke::new(INK, 1.25).opacity(0.65).dash(&[3.0, 3.0])
}

struct Panel<'a> {
    label: &'a str,
    train: &'a [f64],
    validation: &'a [Option<f64>],
    is_fraction: bool,
}

impl Panel<'_> {
    fn draw(
        &self,
        canvas: &mut Canvas,
        area: Area,
        spec: &LearningCurves<'_>,
        best_epoch: Option<f64>,
    ) {
        let x_range = Range::of(spec.epochs.iter().copied());
        let validation = self.validation.iter().copied();
        let values = self
            .train
            .iter()
            .copied()
            .chain(validation.clone().flatten());
        let (Some(x_range), Some(mut y_range)) = (x_range, Range::of(values)) else {
            return draw_no_data(canvas, area);
        };
        if !self.is_fraction && y_range.low >= 0.0 {
            y_range = y_range.with(0.0);
        }
        let x = Scale::linear(x_range, area.left, area.right);
        let mut y = Scale::rounded(y_range, area.bottom, area.top, 5);
        if self.is_fraction && y_range.high <= 1.0 && y.high() > 1.0 {
            y = Scale::linear(Range::new(y.low(), 1.0), area.bottom, area.top);
        }
        let x_axis = Axis::whole(x, "epoch", 8);
        draw_axes(canvas, area, &x_axis, &Axis::new(y, self.label, 5));
        let epochs = spec.epochs.iter().copied();
        let points = epochs.clone().zip(self.train.iter().copied());
        draw_curve(canvas, (&x, &y), points.clone(), stroke(0));
        draw_spots(
            canvas,
            (&x, &y),
            points,
            &format!("training {}", self.label),
        );
        // A line from one validation to the next.
        let validated = epochs
            .zip(validation)
            .filter_map(|(epoch, value)| Some((epoch, value?)));
        draw_curve(canvas, (&x, &y), validated.clone(), stroke(1));
        // If there are epochs between validations, dots mark the measured ones.
        if self.validation.iter().any(Option::is_none) {
            for (epoch, value) in validated.clone().filter(|(_, value)| value.is_finite()) {
                canvas.disc((x.at(epoch), y.at(value)), 3.0, series_colour(1), 1.0);
            }
        }
        if let Some(best) = best_epoch {
            self.draw_best(canvas, area, (&x, &y), spec.epochs, best);
        }
        let name = format!("validation {}", self.label);
        draw_spots(canvas, (&x, &y), validated, &name);
    }

    fn draw_best(
        &self,
        canvas: &mut Canvas,
        area: Area,
        (x, y): (&Scale, &Scale),
        epochs: &[f64],
        best: f64,
    ) {
        if best < x.low() || best > x.high() {
            return;
        }
        let at = x.at(best);
        canvas.line((at, area.top), (at, area.bottom), best_stroke());
        let index = epochs.iter().position(|&epoch| epoch == best);
        let value = index.and_then(|i| self.validation[i]);
        let Some(value) = value.filter(|value| value.is_finite()) else {
            return;
        };
        canvas.disc((at, y.at(value)), 4.5, series_colour(1), 1.0);
    }
}

/// The best epoch with its figures, which would overlap the curves inside the panels.
fn best_words(spec: &LearningCurves<'_>, epoch: f64) -> String {
    let number = short_number(epoch);
    match spec.epochs.iter().position(|&other| other == epoch) {
        Some(index) => format!(
            "best epoch {number}: loss {}, accuracy {}",
            crate::format::optional(spec.validation_loss[index], 4),
            crate::format::optional(spec.validation_accuracy[index], 4)
        ),
        None => format!("best epoch {number}"),
    }
}

fn description(spec: &LearningCurves<'_>) -> String {
    let (train_loss, train_accuracy) = (spec.train_loss.iter(), spec.train_accuracy.iter());
    let (loss, accuracy) = (spec.validation_loss.iter(), spec.validation_accuracy.iter());
    let best = spec.best_epoch.map_or_else(String::new, |epoch| {
        format!(" The best epoch is {}.", short_number(epoch))
    });
    format!(
        "Loss and accuracy over {} epochs. At the end: training loss {}, validation loss {}, training accuracy {}, validation accuracy {}.{best}",
        spec.epochs.len(),
        last(train_loss.copied()),
        last(loss.copied().flatten()),
        last(train_accuracy.copied()),
        last(accuracy.copied().flatten()),
    )
}

/// The last value that is a number, in words.
fn last(values: impl DoubleEndedIterator<Item = f64>) -> String {
    let value = values.rev().find(|value| value.is_finite());
    value.map_or_else(|| "undefined".to_string(), short_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_epoch_is_marked_with_its_values() {
        let svg = learning_curves(&LearningCurves {
            title: "Learning curves",
            epochs: &[1.0, 2.0, 3.0],
            train_loss: &[2.0, 1.0, 0.5],
            validation_loss: &[1.9, 1.2345, 1.3].map(Some),
            train_accuracy: &[0.3, 0.6, 0.8],
            validation_accuracy: &[0.35, 0.5678, 0.55].map(Some),
            best_epoch: Some(2.0),
        })
        .unwrap();
        for text in [
            ">best epoch 2: loss 1.2345, accuracy 0.5678<",
            "accuracy (fraction)",
        ] {
            assert!(svg.as_str().contains(text), "{text}");
        }
    }

    /// If an epoch was not validated, the line continues to the next validated one; if a loss is not finite, it
    /// breaks.
    #[test]
    fn validations_are_joined_over_the_epochs_between_them() {
        let lines = |missing| {
            let spec = LearningCurves {
                title: "t",
                epochs: &[1.0, 2.0, 3.0, 4.0, 5.0],
                train_loss: &[2.0; 5],
                validation_loss: &[Some(2.0), Some(1.9), missing, Some(1.8), Some(1.7)],
                train_accuracy: &[0.3; 5],
                validation_accuracy: &[None, Some(0.3), None, None, Some(0.4)],
                best_epoch: None,
            };
            let svg = learning_curves(&spec).unwrap();
            assert!(svg.as_str().contains("validation accuracy 0.4"));
            // A dot for each validation of a panel in which some are missing.
            let dots = 2 + if missing.is_none() { 4 } else { 0 };
            assert_eq!(svg.as_str().matches("<circle ").count(), dots);
            svg.as_str().matches("<polyline ").count()
        };
        assert_eq!(lines(Some(f64::NAN)), lines(None) + 1);
    }

    #[test]
    fn a_single_epoch_is_drawn_as_dots() {
        let svg = learning_curves(&LearningCurves {
            title: "t",
            epochs: &[1.0],
            train_loss: &[2.0],
            validation_loss: &[Some(f64::NAN)],
            train_accuracy: &[0.3],
            validation_accuracy: &[Some(0.25)],
            best_epoch: None,
        })
        .unwrap();
        assert_eq!(svg.as_str().matches("<circle ").count(), 3);
    }

    #[test]
    fn a_curve_of_the_wrong_length_is_named() {
        let error = learning_curves(&LearningCurves {
            title: "t",
            epochs: &[1.0, 2.0],
            train_loss: &[2.0, 1.0],
            validation_loss: &[Some(2.0)],
            train_accuracy: &[0.3, 0.4],
            validation_accuracy: &[0.25, 0.3].map(Some),
            best_epoch: None,
        })
        .unwrap_err();
        assert!(
            error.to_string().contains("validation_loss has 1 values"),
            "{error}"
        );
    }
}
