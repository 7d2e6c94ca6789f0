//! Every chart once, with plain data: well-formed, labelled, described.

use mlestar_report::charts::{
    self, AccuracyCurve, AccuracyGroup, AccuracyOverTime, CellValue, ClassBars, ClassDistribution,
    ConfusionMatrixChart, CountSeries, GradientNormChart, HorizontalBar, HorizontalBars,
    IntermediateValues, LearningCurves, LearningRateChart, LearningRateSweep, LineChart,
    LineSeries, OverfittingGapChart, ParallelCoordinates, ParetoChart, PixelHistograms,
    PrecisionRecallCurve, PrecisionRecallCurves, ReliabilityBin, ReliabilityDiagram, RocCurve,
    RocCurves, SettingScale, SliceChart, StepLearningRateChart, StepLossChart, SweepMark,
    ThroughputChart, TrainingMark, TrialCurve, TrialObjective, TrialPoint, TrialSet, TrialSetting,
    TrialState, TrialsChart,
};
use mlestar_report::{Column, Page, Row, Section, Svg, Table};

use crate::markup::parse;

/// Trials with a setting of words and one of numbers, and two objectives.
pub fn trial_set(
    classes: &[String],
    values: &[f64],
    others: &[f64],
    trials: &[TrialPoint],
) -> TrialSet {
    let setting = |label: &str, scale, values: Vec<f64>| TrialSetting {
        label: label.to_owned(),
        scale,
        values,
    };
    let objective = |label: &str, maximize, values: &[f64]| TrialObjective {
        label: label.to_owned(),
        maximize,
        values: values.to_vec(),
    };
    let words = (0..classes.len()).map(|index| index as f64).collect();
    let range = SettingScale::Log {
        low: others.first().copied().unwrap_or(1.0),
        high: 1.0,
    };
    TrialSet {
        numbers: trials.iter().map(|trial| trial.number).collect(),
        states: trials.iter().map(|trial| trial.state).collect(),
        objectives: vec![
            objective("accuracy", true, values),
            objective(classes.first().map_or("", String::as_str), false, others),
        ],
        settings: vec![
            setting("class", SettingScale::Words(classes.to_vec()), words),
            setting("rate", range, others.to_vec()),
        ],
        remarks: classes.to_vec(),
    }
}

/// Draws every chart about `classes`, with `values` where a chart takes numbers.
///
/// Slices that must have equal lengths get them by repeating or cutting.
pub fn every_chart(classes: &[String], values: &[f64], title: &str) -> Vec<Svg> {
    let n = classes.len();
    let value = |index: usize| {
        let at = index.checked_rem(values.len());
        at.map_or(f64::NAN, |index| values[index])
    };
    let cut: Vec<f64> = (0..n).map(value).collect();
    let shifted: Vec<f64> = (0..n).map(|index| value(index + 1)).collect();
    let counts: Vec<u64> = cut.iter().map(|v| (v.abs() * 100.0) as u64).collect();
    let cells: Vec<u64> = (0..n * n)
        .map(|index| (value(index).abs() * 100.0) as u64)
        .collect();
    let intervals: Vec<[f64; 2]> = (0..n)
        .map(|index| [value(index), value(index + 1)])
        .collect();
    let limit = Some(value(0));
    let matrix = |cells_show| {
        charts::confusion_matrix(&ConfusionMatrixChart {
            title,
            classes,
            counts: &cells,
            cells: cells_show,
        })
    };
    let series: Vec<LineSeries<'_>> = classes
        .iter()
        .map(|label| LineSeries {
            label,
            x: &cut,
            y: &shifted,
        })
        .collect();
    let lines = |x_log, y_log| {
        charts::lines(&LineChart {
            title,
            x_label: "position",
            y_label: "value (units)",
            x_log,
            y_log,
            series: &series,
            markers: true,
            y_limit: limit,
        })
    };
    let validated: Vec<Option<f64>> = cut
        .iter()
        .enumerate()
        .map(|(index, &value)| (index % 3 != 1).then_some(value))
        .collect();
    let roc: Vec<RocCurve<'_>> = (0..n)
        .map(|index| RocCurve {
            label: &classes[index],
            false_positive_rate: &cut,
            true_positive_rate: &shifted,
            auc: Some(value(index)),
        })
        .collect();
    let precision_recall: Vec<PrecisionRecallCurve<'_>> = (0..n)
        .map(|index| PrecisionRecallCurve {
            label: &classes[index],
            recall: &cut,
            precision: &shifted,
            average_precision: (index % 2 == 0).then(|| value(index)),
        })
        .collect();
    let bins: Vec<ReliabilityBin> = (0..n)
        .map(|index| ReliabilityBin {
            low: value(index),
            high: value(index + 1),
            mean_confidence: value(index + 2),
            accuracy: value(index + 3),
            count: counts[index],
        })
        .collect();
    let bars: Vec<HorizontalBar<'_>> = (0..n)
        .map(|index| HorizontalBar {
            label: &classes[index],
            value: value(index),
            interval: (index % 2 == 0).then(|| intervals[index]),
            note: &classes[n - 1 - index],
        })
        .collect();
    let trials: Vec<TrialPoint> = (0..n)
        .map(|index| TrialPoint {
            number: counts[index],
            value: value(index),
            state: [TrialState::Complete, TrialState::Pruned, TrialState::Failed][index % 3],
        })
        .collect();
    let set = trial_set(classes, &cut, &shifted, &trials);
    let curves: Vec<TrialCurve> = trials
        .iter()
        .map(|trial| TrialCurve {
            number: trial.number,
            state: trial.state,
            points: cut.iter().copied().zip(shifted.iter().copied()).collect(),
        })
        .collect();
    let marks: Vec<TrainingMark<'_>> = (0..n)
        .map(|index| TrainingMark {
            at: value(index),
            label: &classes[index],
        })
        .collect();
    let results = [
        charts::class_distribution(&ClassDistribution {
            title,
            classes,
            series: &[
                CountSeries {
                    label: "train",
                    counts: &counts,
                },
                CountSeries {
                    label: title,
                    counts: &counts,
                },
            ],
        }),
        charts::class_bars(&ClassBars {
            title,
            value_label: "recall (fraction)",
            classes,
            values: &cut,
            intervals: Some(&intervals),
            limit,
            range: Some([value(1), value(2)]),
        }),
        matrix(CellValue::Counts),
        matrix(CellValue::RowFractions),
        charts::learning_curves(&LearningCurves {
            title,
            epochs: &cut,
            train_loss: &shifted,
            validation_loss: &validated,
            train_accuracy: &shifted,
            validation_accuracy: &validated,
            best_epoch: limit,
        }),
        charts::learning_rate(&LearningRateChart {
            title,
            positions: &cut,
            position_label: "epoch",
            learning_rates: &shifted,
        }),
        charts::learning_rate_sweep(&LearningRateSweep {
            title,
            learning_rates: &cut,
            losses: &shifted,
            smoothed_losses: &cut,
            marks: &[SweepMark {
                label: title,
                learning_rate: value(1),
            }],
        }),
        charts::pixel_histograms(&PixelHistograms {
            title,
            red: &counts,
            green: &counts,
            blue: &counts,
        }),
        charts::roc_curves(&RocCurves {
            title,
            classes: &roc,
            macro_average: roc.first().copied(),
        }),
        charts::precision_recall_curves(&PrecisionRecallCurves {
            title,
            classes: &precision_recall,
            macro_average: None,
        }),
        charts::reliability(&ReliabilityDiagram {
            title,
            bins: &bins,
            expected_calibration_error: limit,
        }),
        charts::horizontal_bars(&HorizontalBars {
            title,
            value_label: "importance (fraction)",
            bars: &bars,
            limit,
        }),
        lines(false, false),
        lines(true, false),
        lines(false, true),
        lines(true, true),
        Ok(charts::trials(&TrialsChart {
            title,
            value_label: "accuracy (fraction)",
            trials: &trials,
            maximize: counts.first().is_none_or(|count| count % 2 == 0),
            first_value: limit,
        })),
        charts::parallel_coordinates(&ParallelCoordinates {
            title,
            trials: &set,
            objective: 0,
        }),
        charts::slice(&SliceChart {
            title,
            trials: &set,
            setting: 0,
            objective: 0,
        }),
        charts::slice(&SliceChart {
            title,
            trials: &set,
            setting: 1,
            objective: 1,
        }),
        charts::pareto_front(&ParetoChart {
            title,
            trials: &set,
            objectives: [0, 1],
            front: &counts[..n.min(3)],
        }),
        Ok(charts::intermediate_values(&IntermediateValues {
            title,
            value_label: title,
            step_label: title,
            curves: &curves,
            best: counts.first().copied(),
        })),
        charts::step_loss(&StepLossChart {
            title,
            steps: &cut,
            losses: &shifted,
            marks: &marks,
        }),
        charts::gradient_norm(&GradientNormChart {
            title,
            steps: &cut,
            norms: &shifted,
            clipped_to: limit,
            marks: &marks,
        }),
        charts::step_learning_rate(&StepLearningRateChart {
            title,
            steps: &cut,
            learning_rates: &shifted,
            marks: &marks,
        }),
        charts::throughput(&ThroughputChart {
            title,
            epochs: &cut,
            images_per_second: &shifted,
            marks: &marks,
        }),
        charts::accuracy_over_time(&AccuracyOverTime {
            title,
            groups: &[AccuracyGroup {
                label: title,
                curves: &[AccuracyCurve {
                    minutes: &cut,
                    accuracies: &shifted,
                }],
            }],
            levels: &cut,
        }),
        charts::overfitting_gap(&OverfittingGapChart {
            title,
            epochs: &cut,
            loss_gap: &shifted,
            accuracy_gap: &cut,
            marks: &marks,
        }),
    ];
    results
        .into_iter()
        .map(|result| result.expect("equal lengths draw"))
        .collect()
}

pub fn names(n: usize) -> Vec<String> {
    (0..n).map(|index| format!("class {index}")).collect()
}

fn plain_values(n: usize) -> Vec<f64> {
    (0..n)
        .map(|index| (index as f64 + 1.0) / (n as f64 + 1.0))
        .collect()
}

#[test]
fn every_chart_is_well_formed_and_describes_itself() {
    for n in [2, 10, 21, 100] {
        for svg in every_chart(&names(n), &plain_values(n), "A title") {
            let document = parse(svg.as_str()).unwrap();
            let root = &document.elements[0];
            assert_eq!(root.name, "svg");
            assert_eq!(root.attribute("role"), Some("img"));
            assert_eq!(root.attribute("aria-label"), Some("A title"));
            assert_eq!(root.attribute("xmlns"), Some("http://www.w3.org/2000/svg"));
            let texts_of = |name: &str| {
                let found = document.texts.iter().filter(|(parent, _)| parent == name);
                found.map(|(_, text)| text.clone()).collect::<Vec<_>>()
            };
            // Those of its marks come after its own.
            assert_eq!(texts_of("title")[0], "A title");
            let description = texts_of("desc");
            assert!(
                description.len() == 1 && description[0].len() > 20,
                "{description:?}"
            );
            assert!(!svg.as_str().contains("NaN") && !svg.as_str().contains("inf"));
        }
    }
}

/// The value of a bar, a point or a cell is shown when a reader points at it, without a script.
#[test]
fn marks_tell_their_values() {
    for svg in every_chart(&names(4), &plain_values(4), "A title") {
        let document = parse(svg.as_str()).unwrap();
        let of_marks = document
            .named("title")
            .filter(|title| title.parents.contains(&"g".into()));
        assert!(of_marks.count() > 0, "{svg}");
    }
}

/// On a page of 390 pixels a chart has about 350: if it is scaled down to these, or to the width below which it
/// scrolls, its text is still legible.
#[test]
fn text_is_legible_however_narrow_the_page_is() {
    for n in [2, 10, 21, 100] {
        for svg in every_chart(&names(n), &plain_values(n), "A title") {
            let document = parse(svg.as_str()).unwrap();
            let root = &document.elements[0];
            let number = |text: &str| text.parse::<f64>().unwrap();
            let width = number(root.attribute("width").unwrap());
            let style = root.attribute("style").unwrap();
            let least = style
                .strip_prefix("min-width:")
                .and_then(|rest| rest.split_once("px"));
            let shown = number(least.unwrap().0).max(350.0).min(width);
            let sizes = document
                .named("text")
                .filter_map(|text| text.attribute("font-size"));
            let smallest = sizes.map(number).fold(f64::INFINITY, f64::min);
            assert!(
                smallest * shown / width >= 9.0,
                "{smallest} of {width}: {style}"
            );
        }
    }
}

/// No floating-point noise: two decimals are finer than a screen.
#[test]
fn positions_have_two_decimals_at_most() {
    for svg in every_chart(&names(10), &plain_values(10), "A title") {
        let document = parse(svg.as_str()).unwrap();
        let values = document
            .elements
            .iter()
            .flat_map(|element| &element.attributes);
        // Attributes that begin with `data-` hold values.
        let is_position = |name: &str| name != "xmlns" && !name.starts_with("data-");
        for (name, value) in values.filter(|(name, _)| is_position(name)) {
            let numbers = value
                .split([' ', ',', '(', ')'])
                .filter_map(|part| part.split_once('.'));
            for (whole, decimals) in numbers.filter(|(whole, _)| whole.parse::<i64>().is_ok()) {
                assert!(decimals.len() <= 2, "{name}: {whole}.{decimals}");
            }
        }
    }
}

#[test]
fn shapes_lie_within_the_picture() {
    for svg in every_chart(&names(12), &plain_values(12), "A title") {
        let document = parse(svg.as_str()).unwrap();
        let view_box: Vec<f64> = document.elements[0]
            .attribute("viewBox")
            .unwrap()
            .split(' ')
            .map(|number| number.parse().unwrap())
            .collect();
        let within =
            |x: f64, y: f64| (0.0..=view_box[2]).contains(&x) && (0.0..=view_box[3]).contains(&y);
        for element in &document.elements {
            let number = |name: &str| {
                element
                    .attribute(name)
                    .map(|text| text.parse::<f64>().unwrap())
            };
            for (x, y) in [("x", "y"), ("x1", "y1"), ("x2", "y2"), ("cx", "cy")] {
                if let (Some(x), Some(y)) = (number(x), number(y)) {
                    assert!(within(x, y), "{}: {element:?}", svg.title());
                }
            }
            for point in element
                .attribute("points")
                .unwrap_or_default()
                .split_whitespace()
            {
                let (x, y) = point.split_once(',').unwrap();
                assert!(
                    within(x.parse().unwrap(), y.parse().unwrap()),
                    "{element:?}"
                );
            }
        }
    }
}

#[test]
fn axes_say_what_they_show_and_in_which_unit() {
    let drawn: String = every_chart(&names(10), &plain_values(10), "A title")
        .iter()
        .map(ToString::to_string)
        .collect();
    for label in [
        "images",
        "recall (fraction)",
        "predicted class →",
        "← true class",
        "loss (mean over images)",
        "accuracy (fraction)",
        "epoch",
        "learning rate",
        "loss (mean over the batch)",
        "pixel value (0 to 255)",
        "fraction of pixels",
        "false positive rate (fraction)",
        "true positive rate (fraction)",
        "precision (fraction)",
        "confidence (probability of the predicted class)",
        "importance (fraction)",
        "value (units)",
        "trial",
        "step",
        "training loss (nats)",
        "norm of all gradients (powers of ten)",
        "training speed (images/s)",
        "validation loss less training loss (nats)",
        "training accuracy less validation accuracy (fraction)",
    ] {
        assert!(drawn.contains(&format!(">{label}<")), "{label}");
    }
}

#[test]
fn text_takes_the_colour_of_the_page_and_generic_fonts() {
    for svg in every_chart(&names(4), &plain_values(4), "A title") {
        let document = parse(svg.as_str()).unwrap();
        assert_eq!(
            document.elements[0].attribute("font-family"),
            Some("system-ui, sans-serif")
        );
        let mut texts = document.named("text");
        assert!(texts.all(|text| text.attribute("font-family").is_none()));
        let title = document.named("text").next().unwrap();
        assert_eq!(title.attribute("fill"), Some("currentColor"));
    }
}

#[test]
fn nothing_to_draw_says_no_data() {
    let undefined = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    for classes in [names(0), names(3)] {
        let drawn = every_chart(&classes, &undefined, "Nothing");
        let no_data = drawn
            .iter()
            .filter(|svg| svg.as_str().contains(">no data<"));
        // |inf| is a count, so the charts of counts have data when there are classes.
        let expected = if classes.is_empty() {
            drawn.len()
        } else {
            drawn.len() - 4
        };
        assert!(no_data.count() >= expected, "{} classes", classes.len());
        for svg in drawn {
            parse(svg.as_str()).unwrap();
        }
    }
}

#[test]
fn charts_and_tables_of_ten_thousand_classes_show_a_part_and_say_so() {
    let n = 10_000;
    let classes: Vec<String> = (0..n).map(|class| format!("class {class}")).collect();
    let values: Vec<f64> = (0..n).map(|class| f64::from(class % 997) / 997.0).collect();
    let counts: Vec<u64> = (0..n as u64).map(|class| 5 + class % 997).collect();
    let bars = charts::class_bars(&ClassBars {
        title: "Recall",
        value_label: "recall (fraction)",
        classes: &classes,
        values: &values,
        intervals: None,
        limit: None,
        range: Some([0.0, 1.0]),
    })
    .unwrap();
    let distribution = charts::class_distribution(&ClassDistribution {
        title: "Pictures",
        classes: &classes,
        series: &[CountSeries {
            label: "train",
            counts: &counts,
        }],
    })
    .unwrap();
    let rates = [0.0, 0.5, 1.0];
    let curves: Vec<RocCurve<'_>> = classes
        .iter()
        .zip(&values)
        .map(|(label, auc)| RocCurve {
            label,
            false_positive_rate: &rates,
            true_positive_rate: &rates,
            auc: Some(*auc),
        })
        .collect();
    let roc = charts::roc_curves(&RocCurves {
        title: "ROC",
        classes: &curves,
        macro_average: None,
    })
    .unwrap();
    for svg in [&bars, &distribution, &roc] {
        let text = svg.as_str();
        assert!(
            text.contains("the 400 lowest of 10,000 classes"),
            "{}",
            &text[..600]
        );
        assert!(text.len() < 1_000_000, "{} bytes", text.len());
    }
    // The lowest are shown, not the first.
    assert!(
        bars.as_str().contains("class 9970"),
        "the 11th class of value 0"
    );
    assert!(!bars.as_str().contains(">class 500<"));
    let mut table = Table::new("Each class").column(Column::text("class"));
    for class in &classes {
        table = table.row(Row::new([class.clone()]));
    }
    let page = Page::new("t").section(Section::new("s").block(table));
    let html = page.render();
    assert!(html.contains("The first 1,000 of 10,000 rows."));
    assert!(html.contains(">class 999<") && !html.contains(">class 1000<"));
}
