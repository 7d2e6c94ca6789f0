//! The page about a training.

use super::{TrainingSummary, TrainingTiming};
use crate::WorkflowError;
use crate::config::Config;
use mlestar_report::{
    Block, ChartFigure, Column, KeyFigure, Link, Page, Row, Section, Table, charts, format,
};
use mlestar_train::EpochRecord;

pub(super) fn render(
    config: &Config,
    summary: &TrainingSummary,
    timing: &TrainingTiming,
    history: &[EpochRecord],
) -> Result<String, WorkflowError> {
    let mut times = format!(
        "and {} of validation",
        format::seconds(timing.validation_seconds)
    );
    if let (Some(before), Some(first)) =
        (timing.seconds_before_first_step, timing.first_step_seconds)
    {
        let [before, first] = [before, first].map(format::seconds);
        times += &format!("; the first step began after {before} and took {first}");
    }
    let figures = Section::new("Result").block(vec![
        KeyFigure::new(
            "validation accuracy",
            format::fraction(summary.validation_accuracy),
        ),
        KeyFigure::new(
            "training accuracy",
            format::fraction(summary.train_accuracy),
        ),
        KeyFigure::new("overfitting gap", format::fraction(summary.overfitting_gap)),
        KeyFigure::new("best epoch", format!("{}", summary.best_epoch)),
        KeyFigure::new("training time", format::seconds(timing.training_seconds)).interval(times),
        KeyFigure::new("throughput", format::number(timing.images_per_second, 0)).unit("images/s"),
    ]);
    let links = Section::new("Files").block(vec![
        Link::new("metrics.jsonl", "metrics.jsonl").note("one line per epoch"),
        Link::new("training_summary.json", "training_summary.json"),
        Link::new(
            "validation_predictions.jsonl",
            "validation_predictions.jsonl",
        ),
    ]);
    Ok(Page::new("Training")
        .project("MLE-Star")
        .subtitle(&config.project.name)
        .fact("seed", summary.seed.to_string())
        .fact("parameters", format::count(summary.parameters))
        .fact("batch", summary.batch_size.to_string())
        .fact("precision", summary.precision.name())
        .section(figures)
        .section(curves(summary.best_epoch, history)?)
        .section(epochs(history))
        .section(links)
        .render())
}

/// Learning curves and learning rate, for the baseline here and for the final model in stage 6.
pub(crate) fn curves(best_epoch: usize, history: &[EpochRecord]) -> Result<Section, WorkflowError> {
    let column = |field: fn(&EpochRecord) -> f64| history.iter().map(field).collect::<Vec<_>>();
    let validation =
        |field: fn(&EpochRecord) -> Option<f64>| history.iter().map(field).collect::<Vec<_>>();
    let epochs = column(|epoch| epoch.epoch as f64);
    let learning = charts::learning_curves(&charts::LearningCurves {
        title: "Loss and accuracy",
        epochs: &epochs,
        train_loss: &column(|epoch| epoch.train_loss),
        validation_loss: &validation(|epoch| epoch.validation_loss),
        train_accuracy: &column(|epoch| epoch.train_accuracy),
        validation_accuracy: &validation(|epoch| epoch.validation_accuracy),
        best_epoch: Some(best_epoch as f64),
    })?;
    let learning = ChartFigure::new(learning).caption(
        "Training figures are measured during the epoch, on augmented images and with dropout. Validation \
        figures are measured after the epoch, on whole images.",
    );
    let mut figures = vec![learning.into()];
    figures.extend(rate(history)?.map(Block::from));
    Ok(Section::new("Curves").block(Block::columns(figures)))
}

/// The learning rate of the epochs that took steps, if there are any.
fn rate(history: &[EpochRecord]) -> Result<Option<ChartFigure>, WorkflowError> {
    let of_steps = history.iter().filter(|epoch| epoch.head.is_none());
    let (epochs, rates): (Vec<f64>, Vec<f64>) = of_steps
        .map(|epoch| (epoch.epoch as f64, epoch.learning_rate))
        .unzip();
    if epochs.is_empty() {
        return Ok(None);
    }
    let rate = charts::learning_rate(&charts::LearningRateChart {
        title: "Learning rate",
        positions: &epochs,
        position_label: "epoch",
        learning_rates: &rates,
    })?;
    Ok(Some(
        ChartFigure::new(rate).caption("At the end of each epoch."),
    ))
}

fn epochs(history: &[EpochRecord]) -> Section {
    let mut table = Table::new("Every epoch")
        .column(Column::number("epoch", ""))
        .column(Column::number("training loss", "nats"))
        .column(Column::number("training accuracy", "fraction"))
        .column(Column::number("validation loss", "nats"))
        .column(Column::number("validation accuracy", "fraction"))
        .column(Column::number("gradient norm", ""))
        .column(Column::number("time", "s"));
    for epoch in history {
        let gradient_norm = epoch.head.is_none().then_some(epoch.gradient_norm_mean);
        table = table.row(Row::new([
            epoch.epoch.to_string(),
            format::number(epoch.train_loss, 4),
            format::fraction(epoch.train_accuracy),
            format::optional(epoch.validation_loss, 4),
            format::optional(epoch.validation_accuracy, 4),
            format::optional(gradient_norm, 3),
            format::number(epoch.seconds, 1),
        ]));
    }
    let section = Section::new("Epochs");
    let section = match history.iter().find_map(|epoch| Some((epoch.epoch, epoch.head.as_ref()?))) {
        Some((epoch, head)) => section.intro(format!(
            "Epoch {epoch} took no steps: it fitted the last layer to the features of the frozen network. Of {} penalties, \
             C = {} had the lowest cross-validated loss.",
            head.tried.len(),
            head.c
        )),
        None => section,
    };
    section.block(Block::from(table))
}
