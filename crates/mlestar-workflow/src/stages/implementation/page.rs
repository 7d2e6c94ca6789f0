//! The page about a training.

use super::{HEAD_ACCURACY, HeadAccuracy, TrainingSummary, TrainingTiming};
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
    head: Option<&HeadAccuracy>,
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
    let mut links = vec![
        Link::new("metrics.jsonl", "metrics.jsonl").note("one line per epoch"),
        Link::new("training_summary.json", "training_summary.json"),
        Link::new(
            "validation_predictions.jsonl",
            "validation_predictions.jsonl",
        ),
    ];
    links.extend(head.map(|_| Link::new(HEAD_ACCURACY, HEAD_ACCURACY)));
    let links = Section::new("Files").block(links);
    let page = Page::new("Training")
        .project("MLE-Star")
        .subtitle(&config.project.name)
        .fact("seed", summary.seed.to_string())
        .fact("parameters", format::count(summary.parameters))
        .fact("batch", summary.batch_size.to_string())
        .fact("precision", summary.precision.name())
        .section(figures);
    let page = match head {
        Some(head) => page.section(repeated_splits(head)),
        None => page,
    };
    Ok(page
        .section(curves(summary.best_epoch, history)?)
        .section(epochs(history))
        .section(links)
        .render())
}

/// The head over repeated splits, beside the single split.
fn repeated_splits(head: &HeadAccuracy) -> Section {
    let (all, one) = (&head.over_splits, &head.single_split);
    let confidence = 100.0 * one.interval.confidence;
    let intro = format!(
        "A single split of {} images varies by ± {:.3} ({} % confidence) by the choice of its images alone. So the last \
         layer was also fitted and measured on {} other splits of the {} training and validation images{}: {}-fold \
         cross-validation, repeated {} times, on the features of the pretrained network.",
        one.images,
        head.single_split_varies_by,
        format::number(confidence, 1),
        head.held_out.len(),
        head.images,
        match head.groups {
            Some(groups) => format!(", with each of their {groups} groups in one part"),
            None => String::new(),
        },
        head.held_out.len() / head.repeats.max(1),
        head.repeats,
    );
    let interval = |ends: [f64; 2]| format!("{:.3} to {:.3}", ends[0], ends[1]);
    let table = Table::new("Accuracy of the last layer, before other layers learn")
        .column(Column::text("measured on"))
        .column(Column::number("images", ""))
        .column(Column::number("accuracy", "fraction"))
        .column(Column::number("standard error", "fraction"))
        .column(Column::text("interval"))
        .row(Row::new([
            "the validation split".to_owned(),
            one.images.to_string(),
            format::fraction(one.accuracy),
            String::new(),
            interval(one.interval.ends()),
        ]))
        .row(Row::new([
            format!("{} splits", head.held_out.len()),
            head.images.to_string(),
            format::fraction(all.mean),
            format::number(all.standard_error, 4),
            interval(all.interval.ends()),
        ]));
    Section::new("Repeated splits").intro(intro).block(table).block(Block::paragraph(format!(
        "The first interval is Wilson's. The second one allows for the images that the splits share (Nadeau and Bengio 2003) \
         and is never narrower than Wilson's for {} images. From part to part, the accuracy has a standard deviation of \
         {:.3}. Epochs that train more layers are measured on the validation split alone, and so is the gate.",
        head.images, all.deviation
    )))
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
