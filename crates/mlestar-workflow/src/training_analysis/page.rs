//! The page about a training's analysis.

use super::{AnalysedTraining, SettingsSource, TrainingPlace};
use crate::WorkflowError;
use crate::words::counted;
use mlestar_report::charts::{self, TrainingMark};
use mlestar_report::{
    Badge, Block, Callout, ChartFigure, Code, Column, KeyFigure, Link, Page, Row, Section, Table,
    format,
};
use mlestar_train::analysis::{Finding, Kind, METRICS_FILE, STEPS_FILE, Severity, Suggestion};
use mlestar_train::{EpochRecord, StepRecord};

/// More marks of one finding would hide the curve.
const MARKS_OF_A_FINDING: usize = 10;

pub(super) fn render(
    analysed: &AnalysedTraining,
    place: &TrainingPlace,
) -> Result<String, WorkflowError> {
    let analysis = &analysed.analysis;
    let source = match analysis.settings_from {
        SettingsSource::Checkpoint => "the training's checkpoint",
        SettingsSource::Config => "the project's config",
    };
    let training = &analysed.settings.training;
    let mut page = Page::new("Training analysis")
        .project("MLE-Star")
        .subtitle(&analysis.training)
        .badge(badge(&analysis.findings))
        .fact("settings from", source)
        .fact("batch", training.batch_size.to_string())
        .fact(
            "learning rate",
            format!("{}", training.optimizer.learning_rate),
        )
        .section(overview(analysed));
    page = page.section(findings(&analysis.findings));
    if !analysed.history.steps.is_empty() {
        page = page.section(steps(analysed)?);
    }
    if !analysed.history.epochs.is_empty() {
        page = page
            .section(epochs(analysed)?)
            .section(table(&analysed.history.epochs));
    }
    Ok(page.section(files(analysed, place)).render())
}

fn badge(findings: &[Finding]) -> Badge {
    let words = match findings.len() {
        0 => "nothing found".to_owned(),
        n => counted(n, "finding"),
    };
    match findings.iter().map(|finding| finding.severity).max() {
        None => Badge::good(words),
        Some(Severity::Note) => Badge::info(words),
        Some(Severity::Warning) => Badge::caution(words),
        Some(Severity::Problem) => Badge::bad(words),
    }
}

fn overview(analysed: &AnalysedTraining) -> Section {
    let (analysis, history) = (&analysed.analysis, &analysed.history);
    // Without a checkpoint the config may be another training's.
    let planned = match analysis.epochs <= analysis.epochs_planned {
        true => format!("of {} planned", analysis.epochs_planned),
        false => String::new(),
    };
    let mut figures = vec![
        KeyFigure::new("epochs", analysis.epochs.to_string()).interval(planned),
        KeyFigure::new("steps recorded", format::count(analysis.steps as u64)),
    ];
    if let (Some(epoch), Some(accuracy)) = (analysis.best_epoch, analysis.best_validation_accuracy)
    {
        figures.push(
            KeyFigure::new("best validation accuracy", format::fraction(accuracy))
                .interval(format!("epoch {epoch}")),
        );
    }
    if let Some(last) = history.epochs.last() {
        figures.push(
            KeyFigure::new("last training loss", format::number(last.train_loss, 4)).unit("nats"),
        );
        let seconds = history
            .epochs
            .iter()
            .map(|epoch| epoch.seconds + epoch.validation_seconds);
        figures.push(KeyFigure::new("time", format::seconds(seconds.sum())));
    }
    Section::new("Overview").block(figures)
}

fn findings(findings: &[Finding]) -> Section {
    let section = Section::new("Findings");
    if findings.is_empty() {
        return section.block(Callout::info(
            "Nothing found",
            "No jumps, no divergence, no plateau, no over- or underfitting, no drop in speed, no waiting for images.",
        ));
    }
    let intro = "The most severe first. Their numbers mark the places in the charts below.";
    let numbered = findings.iter().enumerate();
    numbered.fold(section.intro(intro), |section, (index, finding)| {
        let title = format!("{}. {}", index + 1, finding.kind.title());
        let text = finding.statement.as_str();
        let section = section.block(match finding.severity {
            Severity::Note => Callout::info(title, text),
            Severity::Warning => Callout::warning(title, text),
            Severity::Problem => Callout::failure(title, text),
        });
        match finding.suggestions.is_empty() {
            true => section,
            false => section.block(suggestions(index + 1, &finding.suggestions)),
        }
    })
}

/// As lines for a config, to be copied.
fn suggestions(number: usize, suggestions: &[Suggestion]) -> Code {
    let lines: Vec<String> = suggestions
        .iter()
        .map(|suggestion| {
            let now = suggestion.configured.as_deref().unwrap_or("not set");
            format!(
                "{} = {}   # now {now}: {}",
                suggestion.key, suggestion.value, suggestion.reason
            )
        })
        .collect();
    Code::new(lines.join("\n")).caption(format!(
        "What to try for finding {number}, one change at a time"
    ))
}

/// The numbers of the findings, as marks are labelled.
fn labels(findings: &[Finding]) -> Vec<String> {
    (1..=findings.len())
        .map(|number| number.to_string())
        .collect()
}

/// Marks of the findings of these kinds at their steps; at the last step of their epochs where they name
/// no steps.
fn step_marks<'a>(
    findings: &[Finding],
    labels: &'a [String],
    steps: &[StepRecord],
    kinds: &[Kind],
) -> Vec<TrainingMark<'a>> {
    marks(findings, labels, kinds, |finding| {
        if !finding.steps.is_empty() {
            return finding.steps.iter().map(|&step| step as f64).collect();
        }
        let last_of = |epoch: &usize| {
            let last = steps.iter().rfind(|step| step.epoch == *epoch);
            last.map(|step| step.step as f64)
        };
        finding.epochs.iter().filter_map(last_of).collect()
    })
}

fn epoch_marks<'a>(
    findings: &[Finding],
    labels: &'a [String],
    kinds: &[Kind],
) -> Vec<TrainingMark<'a>> {
    marks(findings, labels, kinds, |finding| {
        finding.epochs.iter().map(|&epoch| epoch as f64).collect()
    })
}

fn marks<'a>(
    findings: &[Finding],
    labels: &'a [String],
    kinds: &[Kind],
    places: impl Fn(&Finding) -> Vec<f64>,
) -> Vec<TrainingMark<'a>> {
    let shown = findings
        .iter()
        .zip(labels)
        .filter(|(finding, _)| kinds.contains(&finding.kind));
    shown
        .flat_map(|(finding, label)| {
            let places = places(finding).into_iter().take(MARKS_OF_A_FINDING);
            places.map(move |at| TrainingMark { at, label })
        })
        .collect()
}

fn steps(analysed: &AnalysedTraining) -> Result<Section, WorkflowError> {
    use Kind::{Divergence, GradientSpikes, LossSpikes, Overfitting, Plateau, Underfitting};
    let steps = &analysed.history.steps;
    let found = &analysed.analysis.findings;
    let labels = labels(found);
    let column = |field: fn(&StepRecord) -> f64| steps.iter().map(field).collect::<Vec<_>>();
    let positions = column(|step| step.step as f64);
    let marks = |kinds: &[Kind]| step_marks(found, &labels, steps, kinds);
    let loss = charts::step_loss(&charts::StepLossChart {
        title: "Training loss of each step",
        steps: &positions,
        losses: &column(|step| step.loss),
        marks: &marks(&[Divergence, LossSpikes, Overfitting, Plateau, Underfitting]),
    })?;
    let norm = charts::gradient_norm(&charts::GradientNormChart {
        title: "Gradient norm of each step",
        steps: &positions,
        norms: &column(|step| step.gradient_norm),
        clipped_to: analysed.settings.training.max_gradient_norm,
        marks: &marks(&[Divergence, LossSpikes, GradientSpikes]),
    })?;
    let rate = charts::step_learning_rate(&charts::StepLearningRateChart {
        title: "Learning rate of each step",
        steps: &positions,
        learning_rates: &column(|step| step.learning_rate),
        marks: &marks(&[Divergence, LossSpikes, GradientSpikes, Plateau]),
    })?;
    Ok(Section::new("Steps")
        .block(ChartFigure::new(loss).caption(
            "The loss of augmented images, with dropout and label smoothing, before each step.",
        ))
        .block(
            ChartFigure::new(norm).caption("The norm of all gradients together, before clipping."),
        )
        .block(ChartFigure::new(rate)))
}

fn epochs(analysed: &AnalysedTraining) -> Result<Section, WorkflowError> {
    let epochs = &analysed.history.epochs;
    let found = &analysed.analysis.findings;
    let labels = labels(found);
    let column = |field: fn(&EpochRecord) -> f64| epochs.iter().map(field).collect::<Vec<_>>();
    let validation =
        |field: fn(&EpochRecord) -> Option<f64>| epochs.iter().map(field).collect::<Vec<_>>();
    let positions = column(|epoch| epoch.epoch as f64);
    let learning = charts::learning_curves(&charts::LearningCurves {
        title: "Loss and accuracy",
        epochs: &positions,
        train_loss: &column(|epoch| epoch.train_loss),
        validation_loss: &validation(|epoch| epoch.validation_loss),
        train_accuracy: &column(|epoch| epoch.train_accuracy),
        validation_accuracy: &validation(|epoch| epoch.validation_accuracy),
        best_epoch: analysed.analysis.best_epoch.map(|epoch| epoch as f64),
    })?;
    let gaps = |field: fn(&EpochRecord) -> Option<f64>| {
        epochs.iter().filter_map(field).collect::<Vec<_>>()
    };
    let gap = charts::overfitting_gap(&charts::OverfittingGapChart {
        title: "Overfitting gap",
        epochs: &gaps(|epoch| epoch.is_validated().then_some(epoch.epoch as f64)),
        loss_gap: &gaps(|epoch| Some(epoch.validation_loss? - epoch.train_loss)),
        accuracy_gap: &gaps(|epoch| Some(epoch.train_accuracy - epoch.validation_accuracy?)),
        marks: &epoch_marks(
            found,
            &labels,
            &[Kind::Overfitting, Kind::EarlyBest, Kind::Plateau],
        ),
    })?;
    let speed = charts::throughput(&charts::ThroughputChart {
        title: "Training speed",
        epochs: &positions,
        images_per_second: &column(|epoch| epoch.images_per_second),
        marks: &epoch_marks(found, &labels, &[Kind::ThroughputDrop]),
    })?;
    Ok(Section::new("Epochs")
        .block(ChartFigure::new(learning))
        .block(ChartFigure::new(gap).caption(
            "Below 0, the validation images are the easier ones: they are whole, and dropout is off.",
        ))
        .block(ChartFigure::new(speed).caption(speed_in_words(epochs))))
}

/// Whether the loader kept pace, and notes on the chart of the speed.
fn speed_in_words(epochs: &[EpochRecord]) -> String {
    let sum = |field: fn(&EpochRecord) -> f64| epochs.iter().map(field).sum::<f64>();
    let images = sum(|epoch| epoch.images_per_second * epoch.seconds);
    let seconds = sum(|epoch| epoch.seconds);
    let waited = sum(|epoch| epoch.loader_wait_seconds);
    let mut words = "Validation not counted.".to_owned();
    if seconds > waited && images.is_finite() {
        words += &format!(
            " {:.1}% of the time steps waited for images: {} images/s on average, {} without waiting.",
            100.0 * waited / seconds,
            format::number(images / seconds, 0),
            format::number(images / (seconds - waited), 0),
        );
    }
    if epochs.iter().any(|epoch| epoch.picture_area < 1.0) {
        words += " Epochs with smaller images process more images per second.";
    }
    words
}

/// The table of a long training shows some epochs at equal distances, and the last.
const MOST_ROWS: usize = 60;

fn table(epochs: &[EpochRecord]) -> Section {
    let stride = epochs.len().div_ceil(MOST_ROWS).max(1);
    let mut table = Table::new(match stride {
        1 => "Every epoch".to_owned(),
        n => format!("Every {n} epochs"),
    })
    .column(Column::number("epoch", ""))
    .column(Column::number("learning rate", ""))
    .column(Column::number("training loss", "nats"))
    .column(Column::number("training accuracy", "fraction"))
    .column(Column::number("validation loss", "nats"))
    .column(Column::number("validation accuracy", "fraction"))
    .column(Column::number("gradient norm", ""))
    .column(Column::number("speed", "images/s"))
    .column(Column::number("time", "s"));
    for (index, epoch) in epochs.iter().enumerate() {
        if index % stride != 0 && index + 1 != epochs.len() {
            continue;
        }
        table = table.row(Row::new([
            epoch.epoch.to_string(),
            format::significant(epoch.learning_rate, 3),
            format::number(epoch.train_loss, 4),
            format::fraction(epoch.train_accuracy),
            format::optional(epoch.validation_loss, 4),
            format::optional(epoch.validation_accuracy, 4),
            format::number(epoch.gradient_norm_mean, 3),
            format::number(epoch.images_per_second, 0),
            format::number(epoch.seconds, 1),
        ]));
    }
    Section::new("Figures").block(Block::from(table))
}

fn files(analysed: &AnalysedTraining, place: &TrainingPlace) -> Section {
    let mut links = Vec::new();
    if !analysed.history.epochs.is_empty() {
        links.push(Link::new(METRICS_FILE, place.link(METRICS_FILE)).note("one line per epoch"));
    }
    if !analysed.history.steps.is_empty() {
        links.push(Link::new(STEPS_FILE, place.link(STEPS_FILE)).note("one line per step"));
    }
    Section::new("Files").block(links)
}
