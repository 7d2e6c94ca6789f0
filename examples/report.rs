//! A page with every block and every chart, from a simulated classifier.
//!
//! ```text
//! cargo run --release -p mlestar-examples --example report [-- FILE.html]
//! ```
//!
//! Without an argument the page is written to the folder for temporary files.

use std::error::Error;
use std::path::PathBuf;

use mlestar_eval::{
    ClassSummary, EvalError, EvaluationSummary, Predictions, precision_recall_curve, roc_curve,
    summarize,
};
use mlestar_gates::{Criterion, Evidence, Limit, Measurement, StageVerdict, Unit, judge};
use mlestar_random::Stream;
use mlestar_report::charts::{
    self, CellValue, ClassBars, ClassDistribution, ConfusionMatrixChart, CountSeries,
    HorizontalBar, HorizontalBars, LearningCurves, LearningRateChart, LineChart, LineSeries,
    PixelHistograms, PrecisionRecallCurve, PrecisionRecallCurves, ReliabilityBin,
    ReliabilityDiagram, RocCurve, RocCurves, TrialPoint, TrialState, TrialsChart,
};
use mlestar_report::{
    Badge, Block, Callout, ChartFigure, Code, Column, Definition, KeyFigure, Link, Page, Picture,
    PictureGrid, ReportError, Row, Section, StageStep, Table, Tone, format, thumbnail,
};

const SEED: u64 = 42;
const N_PICTURES: usize = 4000;
const CLASSES: [&str; 10] = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
];

/// Predictions of a classifier that confuses some classes more than others.
fn simulate() -> Result<Predictions, EvalError> {
    let mut labels = Vec::with_capacity(N_PICTURES);
    let mut probabilities = Vec::with_capacity(N_PICTURES * CLASSES.len());
    for index in 0..N_PICTURES {
        let mut stream = Stream::new(SEED, "example.logits", 0, index as u64);
        let label = index % CLASSES.len();
        let mut logits: Vec<f64> = CLASSES.iter().map(|_| stream.normal() * 1.3).collect();
        logits[label] += if [2, 3, 5].contains(&label) { 3.6 } else { 5.2 };
        for (a, b) in [(3, 5), (1, 9), (0, 8), (2, 4)] {
            for (from, to) in [(a, b), (b, a)] {
                if label == from {
                    logits[to] += 2.0;
                }
            }
        }
        let powers: Vec<f64> = logits.iter().map(|z| (1.2 * z).exp()).collect();
        let sum: f64 = powers.iter().sum();
        labels.push(label as u32);
        probabilities.extend(powers.into_iter().map(|power| power / sum));
    }
    Predictions::new(labels, probabilities, CLASSES.len())
}

/// The class with the lowest recall.
fn weakest(summary: &EvaluationSummary) -> (&str, f64, [f64; 2]) {
    let classes = summary.per_class.iter().filter_map(|class| {
        let interval = class.recall_interval?.ends();
        Some((class.class.as_str(), class.recall?, interval))
    });
    let lowest = classes.min_by(|a, b| a.1.total_cmp(&b.1));
    lowest.unwrap_or(("none", 0.0, [0.0, 1.0]))
}

fn criterion(id: &str, title: &str, limit: Limit, remedy: &str) -> Criterion {
    Criterion {
        id: id.to_string(),
        title: title.to_string(),
        limit,
        unit: Unit::Fraction,
        remedy: remedy.to_string(),
    }
}

/// The gate of the evaluation; its first limit is so close to the measurement that it is inconclusive.
fn gate(summary: &EvaluationSummary) -> StageVerdict {
    let files = ["5-evaluation/predictions.csv"];
    let (value, ends) = (summary.accuracy.value, summary.accuracy.interval.ends());
    let accuracy = Measurement::proportion(value, ends, summary.n_samples);
    let accuracy_limit = (value * 100.0).round() / 100.0;
    let (class, recall, interval) = weakest(summary);
    let recall = Measurement::with_interval(recall, interval).noted(class);
    let error = Measurement::exact(summary.reliability.expected_calibration_error);
    let verdicts = [
        (
            criterion(
                "accuracy",
                "test accuracy",
                Limit::AtLeast(accuracy_limit),
                "evaluate on more images",
            ),
            Evidence::measured(accuracy.noted("Wilson 95%"), files),
        ),
        (
            criterion(
                "recall",
                "recall of the weakest class",
                Limit::AtLeast(0.85),
                "inspect the images of this class that are predicted as another",
            ),
            Evidence::measured(recall, files),
        ),
        (
            criterion(
                "calibration",
                "expected calibration error",
                Limit::AtMost(0.1),
                "scale the logits by a temperature",
            ),
            Evidence::measured(error, files),
        ),
        (
            criterion(
                "parity",
                "exported images that agree",
                Limit::Equals(1.0),
                "run the deployment stage",
            ),
            Evidence::missing("7-deployment/parity.json", "stage 7 has not run"),
        ),
    ];
    StageVerdict {
        stage: "evaluation".to_string(),
        verdicts: verdicts
            .into_iter()
            .map(|(criterion, evidence)| judge(&criterion, evidence))
            .collect(),
    }
}

fn overview(summary: &EvaluationSummary, gate: &StageVerdict) -> Section {
    let [low, high] = summary.accuracy.interval.ends();
    let (weakest, recall, _) = weakest(summary);
    let recall = format::fraction(recall);
    let stages = [
        ("Situation analysis", Badge::good("PASS"), "2.1 s"),
        ("Task definition", Badge::good("PASS"), "0.3 s"),
        ("Action planning", Badge::good("PASS"), "4.8 s"),
        ("Implementation", Badge::good("PASS"), "1 min 42 s"),
        ("Evaluation", gate.status().into(), "6.0 s"),
        ("Refinement", Badge::caution("stale"), "evaluation changed"),
        ("Deployment", Badge::neutral("not run"), ""),
    ];
    let steps: Vec<StageStep> = stages
        .into_iter()
        .enumerate()
        .map(|(index, (name, badge, note))| {
            StageStep::new(index + 1, name, badge)
                .note(note)
                .href(format!("{}/report.html", index + 1))
        })
        .collect();
    Section::new("Overview")
        .intro("The state of the run and its decisive figures.")
        .block(steps)
        .block(vec![
            KeyFigure::new("test accuracy", format::fraction(summary.accuracy.value))
                .interval(format!("95%: {}", format::interval(low, high, 4)))
                .badge(gate.verdicts[0].status),
            KeyFigure::new(format!("recall of {weakest}"), recall.as_str())
                .interval("limit ≥ 0.8500")
                .badge(gate.verdicts[1].status),
            KeyFigure::new("parameters", format::count(2_786_506)).interval("float32, 11.1 MB"),
            KeyFigure::new("speed", format::count(1840)).unit("images/s"),
            KeyFigure::new("training time", "1 min 42 s").interval("24 epochs"),
        ])
        .block(Callout::failure(
            "One class is below its limit",
            format!("{weakest} reaches a recall of {recall}; 0.8500 is required."),
        ))
        .block(Callout::warning(
            "Refinement is stale",
            "It used an evaluation that has changed since. Run it again.",
        ))
        .block(Callout::info(
            "Simulated data",
            "A seeded generator made up every number on this page.",
        ))
}

fn data(classes: &[String], pictures: Vec<Picture>) -> Result<Section, ReportError> {
    let counts = |base: u64, purpose: &str| -> Vec<u64> {
        let mut stream = Stream::new(SEED, purpose, 0, 0);
        CLASSES
            .iter()
            .map(|_| base - stream.below(base / 4))
            .collect()
    };
    let (train, validation, test) = (counts(4500, "a"), counts(500, "b"), counts(1000, "c"));
    let distribution = charts::class_distribution(&ClassDistribution {
        title: "Images in each class",
        classes,
        series: &[
            series("train", &train),
            series("validation", &validation),
            series("test", &test),
        ],
    })?;
    let channel = |mean: f64, spread: f64| -> Vec<u64> {
        (0..256)
            .map(|value| {
                let distance = (f64::from(value) - mean) / spread;
                let body = 9000.0 * (-0.5 * distance * distance).exp();
                (body + if value == 255 { 4000.0 } else { 600.0 }) as u64
            })
            .collect()
    };
    let histograms = charts::pixel_histograms(&PixelHistograms {
        title: "Pixel values of the training images",
        red: &channel(125.3, 63.0),
        green: &channel(118.0, 62.1),
        blue: &channel(88.9, 56.7),
    })?;
    let mut table = Table::new("Findings of the quality check")
        .column(Column::text("status"))
        .column(Column::text("finding"))
        .column(Column::number("images", ""))
        .column(Column::number("share", "fraction"))
        .column(Column::text("file"))
        .note("Shares are of the images of the split.");
    let findings = [
        (
            Badge::bad("leak"),
            "also in the test split",
            3,
            "train/cat/0017.png",
            Some(Tone::Bad),
        ),
        (
            Badge::caution("look"),
            "near duplicates",
            12,
            "train/ship/0421.png",
            None,
        ),
        (Badge::good("none"), "blank images", 0, "", None),
    ];
    for (badge, finding, n, file, highlight) in findings {
        let share = format::fraction(n as f64 / 45_000.0);
        let cells: [mlestar_report::Cell; 5] = [
            badge.into(),
            finding.into(),
            format::count(n).into(),
            share.into(),
            mlestar_report::Cell::Code(file.to_string()),
        ];
        let mut row = Row::new(cells);
        row.highlight = highlight;
        table = table.row(row);
    }
    Ok(Section::new("Data")
        .block(Block::columns([distribution.into(), histograms.into()]))
        .block(table)
        .block(PictureGrid::new("Test images with their predictions").pictures(pictures)))
}

fn series<'a>(label: &'a str, counts: &'a [u64]) -> CountSeries<'a> {
    CountSeries { label, counts }
}

/// Small images with a coloured disc on a gradient.
fn pictures(predictions: &Predictions) -> Result<Vec<Picture>, ReportError> {
    const SIDE: usize = 32;
    let correct = predictions.correct();
    let wrong = (0..N_PICTURES).filter(|&index| !correct[index]).take(10);
    let right = (0..N_PICTURES).filter(|&index| correct[index]).take(8);
    right
        .chain(wrong)
        .map(|index| {
            let mut stream = Stream::new(SEED, "example.picture", 0, index as u64);
            let colours: Vec<f64> = (0..6).map(|_| stream.uniform() * 255.0).collect();
            let (x0, y0) = (8.0 + 16.0 * stream.uniform(), 8.0 + 16.0 * stream.uniform());
            let mut pixels = Vec::with_capacity(SIDE * SIDE * 3);
            for y in 0..SIDE {
                for x in 0..SIDE {
                    let inside = (x as f64 - x0).hypot(y as f64 - y0) < 8.0;
                    for channel in 0..3 {
                        let shade = colours[channel] * (0.4 + 0.6 * y as f64 / SIDE as f64);
                        let value = if inside { colours[3 + channel] } else { shade };
                        pixels.push(value as u8);
                    }
                }
            }
            let truth = CLASSES[predictions.label(index) as usize];
            let alt = format!("image {index} of the test split, a {truth}");
            Ok(Picture::new(thumbnail(&pixels, SIDE, SIDE)?, alt)
                .truth(truth)
                .predicted(CLASSES[predictions.predicted(index) as usize])
                .confidence(predictions.confidence(index))
                .caption(format!("test #{index}")))
        })
        .collect()
}

fn training() -> Result<Section, ReportError> {
    let mut stream = Stream::new(SEED, "example.training", 0, 0);
    let epochs: Vec<f64> = (1..=24).map(f64::from).collect();
    let mut noisy = |base: f64, spread: f64| base + spread * stream.normal();
    let falling = |epoch: f64, end: f64| end + (2.1 - end) * (-epoch / 5.0).exp();
    let train_loss: Vec<f64> = epochs
        .iter()
        .map(|&e| noisy(falling(e, 0.18), 0.015))
        .collect();
    let validation_loss: Vec<Option<f64>> = epochs
        .iter()
        .map(|&e| Some(noisy(falling(e, 0.42) + 0.006 * (e - 14.0).max(0.0), 0.035)))
        .collect();
    let train_accuracy: Vec<f64> = train_loss.iter().map(|loss| 1.0 - 0.34 * loss).collect();
    let validation_accuracy: Vec<Option<f64>> = validation_loss
        .iter()
        .map(|loss| loss.map(|loss| 1.0 - 0.34 * loss))
        .collect();
    let accuracy = |epoch: usize| validation_accuracy[epoch].unwrap_or(0.0);
    let best = (0..epochs.len())
        .max_by(|&a, &b| accuracy(a).total_cmp(&accuracy(b)))
        .unwrap_or(0);
    let curves = charts::learning_curves(&LearningCurves {
        title: "Learning curves",
        epochs: &epochs,
        train_loss: &train_loss,
        validation_loss: &validation_loss,
        train_accuracy: &train_accuracy,
        validation_accuracy: &validation_accuracy,
        best_epoch: Some(epochs[best]),
    })?;
    let rates: Vec<f64> = epochs
        .iter()
        .map(|epoch| 5e-4 * (1.0 + (std::f64::consts::PI * epoch / 24.0).cos()))
        .collect();
    let schedule = charts::learning_rate(&LearningRateChart {
        title: "Learning rate",
        positions: &epochs,
        position_label: "epoch",
        learning_rates: &rates,
    })?;
    let norms: Vec<f64> = epochs.iter().map(|e| noisy(3.0 / e.sqrt(), 0.05)).collect();
    let largest: Vec<f64> = norms.iter().map(|norm| norm * 1.6).collect();
    let gradients = charts::lines(&LineChart {
        title: "Gradient norm",
        x_label: "epoch",
        y_label: "global norm",
        x_log: false,
        y_log: true,
        series: &[
            LineSeries {
                label: "mean of the epoch",
                x: &epochs,
                y: &norms,
            },
            LineSeries {
                label: "largest of the epoch",
                x: &epochs,
                y: &largest,
            },
        ],
        markers: true,
        y_limit: Some(5.0),
    })?;
    Ok(Section::new("Training")
        .block(ChartFigure::new(curves).caption(
            "Training figures are of augmented images with dropout, as the network saw them.",
        ))
        .block(Block::columns([schedule.into(), gradients.into()])))
}

fn evaluation(
    predictions: &Predictions,
    summary: &EvaluationSummary,
    gate: StageVerdict,
) -> Result<Section, Box<dyn Error>> {
    let classes = &summary.classes;
    let per_class = || summary.per_class.iter();
    let recall: Vec<f64> = per_class()
        .map(|class| class.recall.unwrap_or(f64::NAN))
        .collect();
    let interval = |class: &ClassSummary| class.recall_interval.map(|interval| interval.ends());
    let intervals: Vec<[f64; 2]> = per_class()
        .map(|class| interval(class).unwrap_or([f64::NAN; 2]))
        .collect();
    let bars = charts::class_bars(&ClassBars {
        title: "Recall of each class",
        value_label: "recall (fraction), whiskers: Wilson 95%",
        classes,
        values: &recall,
        intervals: Some(&intervals),
        limit: Some(0.85),
        range: Some([0.0, 1.0]),
    })?;
    let matrix = charts::confusion_matrix(&ConfusionMatrixChart {
        title: "Confusion matrix, fractions of the true class",
        classes,
        counts: &summary
            .confusion
            .among(&(0..classes.len()).collect::<Vec<_>>())
            .concat(),
        cells: CellValue::RowFractions,
    })?;
    let bins = summary.reliability.bins.iter().map(|bin| ReliabilityBin {
        low: bin.low,
        high: bin.high,
        mean_confidence: bin.mean_confidence.unwrap_or(f64::NAN),
        accuracy: bin.accuracy.unwrap_or(f64::NAN),
        count: bin.count,
    });
    let reliability = charts::reliability(&ReliabilityDiagram {
        title: "Reliability",
        bins: &bins.collect::<Vec<_>>(),
        expected_calibration_error: Some(summary.reliability.expected_calibration_error),
    })?;
    Ok(Section::new("Evaluation")
        .block(gate)
        .block(
            ChartFigure::new(matrix)
                .caption("The colour follows the square root, so that rare mistakes can be seen."),
        )
        .block(Block::columns([bars.into(), reliability.into()]))
        .block(curves(predictions, summary)?))
}

fn curves(predictions: &Predictions, summary: &EvaluationSummary) -> Result<Block, Box<dyn Error>> {
    let mut roc = Vec::new();
    let mut precision_recall = Vec::new();
    for class in 0..predictions.n_classes() {
        let (truth, scores) = predictions.one_vs_rest(class)?;
        roc.extend(roc_curve(&truth, &scores)?);
        precision_recall.extend(precision_recall_curve(&truth, &scores)?);
    }
    let roc: Vec<RocCurve<'_>> = roc
        .iter()
        .zip(&summary.per_class)
        .map(|(curve, class)| RocCurve {
            label: &class.class,
            false_positive_rate: &curve.false_positive_rate,
            true_positive_rate: &curve.true_positive_rate,
            auc: class.roc_auc,
        })
        .collect();
    let precision_recall: Vec<PrecisionRecallCurve<'_>> = precision_recall
        .iter()
        .zip(&summary.per_class)
        .map(|(curve, class)| PrecisionRecallCurve {
            label: &class.class,
            recall: &curve.recall,
            precision: &curve.precision,
            average_precision: class.average_precision,
        })
        .collect();
    let roc = charts::roc_curves(&RocCurves {
        title: "ROC of each class against the others, with AUC",
        classes: &roc,
        macro_average: None,
    })?;
    let precision_recall = charts::precision_recall_curves(&PrecisionRecallCurves {
        title: "Precision and recall, with average precision",
        classes: &precision_recall,
        macro_average: None,
    })?;
    Ok(Block::columns([roc.into(), precision_recall.into()]))
}

fn refinement() -> Result<Section, ReportError> {
    let mut stream = Stream::new(SEED, "example.search", 0, 0);
    let points: Vec<TrialPoint> = (0..30)
        .map(|number| {
            let value = 0.80 + 0.002 * number as f64 - 0.05 * stream.normal().abs();
            let state = match number % 7 {
                3 | 5 => TrialState::Pruned,
                _ if number == 18 => TrialState::Failed,
                _ => TrialState::Complete,
            };
            TrialPoint {
                number,
                value,
                state,
            }
        })
        .collect();
    let trials = charts::trials(&TrialsChart {
        title: "Hyper-parameter search",
        value_label: "validation accuracy (fraction)",
        trials: &points,
        maximize: true,
        first_value: Some(0.79),
    });
    let bar = |label, value| HorizontalBar {
        label,
        value,
        interval: None,
        note: "",
    };
    let importance = charts::horizontal_bars(&HorizontalBars {
        title: "Importance of the hyper-parameters",
        value_label: "share of the explained variance (fraction)",
        bars: &[
            bar("training.optimizer.learning_rate", 0.61),
            bar("training.optimizer.weight_decay", 0.21),
            bar("model.dropout", 0.13),
            bar("augmentation.cutout_size", 0.05),
        ],
        limit: None,
    })?;
    Ok(Section::new("Refinement").block(Block::columns([trials.into(), importance.into()])))
}

fn reference() -> Section {
    Section::new("Reference")
        .block(Block::heading("Set-up"))
        .block(vec![
            Definition::new(
                "model",
                "residual network, 64/128/256 channels, two blocks per stage",
            ),
            Definition::new(
                "optimiser",
                "Adam, learning rate 0.001, weight decay 0.0001",
            ),
            Definition::new(
                "data",
                "40,000 train, 5,000 validation, 10,000 test images of 32x32",
            ),
        ])
        .block(Block::paragraph("The settings of the run:"))
        .block(Code::new("[training]\nepochs = 24\nbatch_size = 128\n").caption("run.toml"))
        .block(Block::list([
            "A list has items.",
            "Text such as <b> & \"quotes\" is shown as it is.",
        ]))
        .block(Block::heading("Files"))
        .block(vec![
            Link::new("predictions.csv", "5-evaluation/predictions.csv")
                .note("label and probabilities of each test image"),
            Link::new("validation report", "validation_report.json").note("all verdicts"),
        ])
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = match std::env::args_os().nth(1) {
        Some(argument) => PathBuf::from(argument),
        None => std::env::temp_dir().join("mlestar-report.html"),
    };
    let predictions = simulate()?;
    let summary = summarize(&predictions, &CLASSES.map(String::from), 0.95)?;
    let gate = gate(&summary);
    let page = Page::new("A run at a glance")
        .project("MLE-Star")
        .subtitle("Run 2-example: a simulated classifier of ten classes")
        .badge(gate.status())
        .fact("seed", SEED.to_string())
        .fact("device", "cpu")
        .fact("test pictures", format::count(N_PICTURES as u64))
        .section(overview(&summary, &gate))
        .section(data(&summary.classes, pictures(&predictions)?)?)
        .section(training()?)
        .section(evaluation(&predictions, &summary, gate)?)
        .section(refinement()?)
        .section(reference())
        .footer("Written by mlestar-report. The page needs no other file.");
    std::fs::write(&path, page.render())?;
    println!("{}", path.display());
    Ok(())
}
