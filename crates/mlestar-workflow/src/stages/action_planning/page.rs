//! `action_plan.html`: the plan and the proof that it works.

use super::artifact::{ActionPlan, ArchitectureCheck, ChallengeAnswer, PlanChoice};
use crate::stages::situation_analysis::Severity;
use crate::words::counted;
use mlestar_gates::Limit;
use mlestar_report::{
    Badge, Block, Callout, Cell, Code, Column, KeyFigure, Page, Row, Section, Table, format,
};
use serde::Serialize;
use std::collections::BTreeMap;

/// The page as HTML.
pub(super) fn render(
    plan: &ActionPlan,
    check: &ArchitectureCheck,
    larger_size: Option<String>,
) -> String {
    let badge = match check.passed {
        true => Badge::good("architecture check passed"),
        false => Badge::bad("architecture check failed"),
    };
    Page::new("Action plan")
        .project("MLE-Star")
        .subtitle("Stage 3: the plan, which challenges it answers, and proof that it works")
        .badge(badge)
        .fact("device", check.figures.device.clone())
        .fact("parameters", format::count(plan.summary.parameters))
        .section(overview(plan, check))
        .section(strategy(plan, larger_size))
        .section(answers(plan))
        .section(checks(check))
        .section(resources(plan, check))
        .section(layers(check))
        .section(gradients(check))
        .footer("Times are of this machine and differ from run to run; the plan follows from data and config.")
        .render()
}

fn overview(plan: &ActionPlan, check: &ArchitectureCheck) -> Section {
    let n_passed = check.checks.iter().filter(|row| row.passed).count();
    let architecture = &plan.architecture;
    let [height, width] = architecture.last_map;
    Section::new("Overview")
        .intro(plan.summary.architecture.clone())
        .block(vec![
            KeyFigure::new(
                "challenges answered",
                format!(
                    "{} of {}",
                    plan.summary.n_answered, plan.summary.n_challenges
                ),
            ),
            KeyFigure::new(
                "checks passed",
                format!("{n_passed} of {}", check.checks.len()),
            ),
            KeyFigure::new("parameters", format::count(plan.summary.parameters))
                .interval(format::bytes(plan.resources.model_bytes)),
            KeyFigure::new(
                "training time, extrapolated",
                format::seconds(check.figures.estimated_training_seconds),
            )
            .interval(format!(
                "{} at most",
                counted(plan.training_work.epochs, "epoch")
            )),
            KeyFigure::new(
                "training memory, computed",
                format::bytes(plan.resources.training_memory_bytes()),
            )
            .interval(format!("batches of {}", plan.resources.batch_size)),
            KeyFigure::new(
                "receptive field",
                architecture.receptive_field_pixels.to_string(),
            )
            .unit("pixels")
            .interval(format!(
                "{}; last map {height} x {width}",
                counted(architecture.n_convolutions, "convolution")
            )),
        ])
}

fn strategy(plan: &ActionPlan, larger_size: Option<String>) -> Section {
    let mut section = Section::new("Strategy").block(Block::list(plan.strategy.clone()));
    if let Some(text) = larger_size {
        section = section.block(Callout::info("Larger images fit", text));
    }
    if plan.training_work.is_left_out_much() {
        section = section.block(Callout::warning(
            "Every epoch leaves out many images",
            format!(
                "{} of {} training images are in the incomplete last batch. A smaller training.batch_size, \
                or one that divides their number, includes them.",
                plan.training_work.n_left_out, plan.training_work.n_train
            ),
        ));
    }
    let settings = [
        as_toml("model", plan.architecture.model.config()),
        as_toml("training", &plan.training),
        as_toml("augmentation", &plan.augmentation),
    ];
    let blocks = settings.into_iter().flatten().map(Block::from);
    section.block(Block::columns(blocks))
}

/// A section of the config as a config file would have it, with six digits of each fraction.
fn as_toml<T: Serialize>(name: &str, value: &T) -> Option<Code> {
    let value = toml::Value::try_from(BTreeMap::from([(name, value)])).ok()?;
    let text = toml::to_string(&rounded(value)).ok()?;
    Some(Code::new(text.trim_end()))
}

fn rounded(value: toml::Value) -> toml::Value {
    match value {
        toml::Value::Float(value) => {
            let six_digits = format!("{value:.5e}").parse();
            toml::Value::Float(six_digits.unwrap_or(value))
        }
        toml::Value::Array(values) => values.into_iter().map(rounded).collect::<Vec<_>>().into(),
        toml::Value::Table(table) => {
            let entries = table.into_iter().map(|(key, value)| (key, rounded(value)));
            toml::Value::Table(entries.collect())
        }
        other => other,
    }
}

fn answers(plan: &ActionPlan) -> Section {
    let mut table = Table::new("What answers each challenge of stage 1")
        .column(Column::text("severity"))
        .column(Column::text("challenge"))
        .column(Column::text("answered"))
        .column(Column::text("by"))
        .column(Column::text("how, or what would answer it"));
    for answer in &plan.answers {
        let title = answer.title.clone();
        if answer.choices.is_empty() {
            let suggestion = answer.suggestion.clone().unwrap_or_default();
            table = table.row(Row::new([
                Cell::from(severity(answer)),
                Cell::from(&title),
                Cell::from(Badge::caution("no")),
                Cell::Empty,
                Cell::from(suggestion),
            ]));
        }
        for (place, choice) in answer.choices.iter().enumerate() {
            let is_first = place == 0;
            table = table.row(Row::new([
                if is_first {
                    Cell::from(severity(answer))
                } else {
                    Cell::Empty
                },
                if is_first {
                    Cell::from(title.clone())
                } else {
                    Cell::Empty
                },
                if is_first {
                    Cell::from(Badge::good("yes"))
                } else {
                    Cell::Empty
                },
                choice_cell(choice),
                Cell::from(&choice.how),
            ]));
        }
    }
    Section::new("Challenges")
        .intro("Derived from the settings that are on: a setting that is off answers nothing.")
        .block(table)
}

/// A key of the config as code, a property of the plan as text.
fn choice_cell(choice: &PlanChoice) -> Cell {
    match choice.what.contains(' ') {
        true => Cell::Text(format!("{}: {}", choice.what, choice.value)),
        false => Cell::Code(format!("{} = {}", choice.what, choice.value)),
    }
}

fn severity(answer: &ChallengeAnswer) -> Badge {
    match answer.severity {
        Severity::High => Badge::bad("high"),
        Severity::Medium => Badge::caution("medium"),
        Severity::Low => Badge::info("low"),
    }
}

fn checks(check: &ArchitectureCheck) -> Section {
    let mut table = Table::new("Architecture check")
        .column(Column::text(""))
        .column(Column::text("check"))
        .column(Column::number("found", ""))
        .column(Column::text("must be"))
        .column(Column::text("how"));
    for row in &check.checks {
        let badge = match row.passed {
            true => Badge::good("passed"),
            false => Badge::bad("failed"),
        };
        let words = match row.limit {
            Limit::AtLeast(_) => "at least",
            Limit::Above(_) => "above",
            Limit::AtMost(_) => "at most",
            Limit::Equals(_) => "exactly",
        };
        table = table.row(Row::new([
            Cell::from(badge),
            Cell::from(&row.title),
            Cell::from(
                row.value
                    .map_or_else(|| "not finite".to_owned(), |value| row.unit.format(value)),
            ),
            Cell::from(format!("{words} {}", row.unit.format(row.limit.value()))),
            Cell::from(&row.method),
        ]));
    }
    Section::new("Architecture check")
        .intro("The model was built and took a few real training steps on training images.")
        .block(table)
}

fn resources(plan: &ActionPlan, check: &ArchitectureCheck) -> Section {
    let needs = &plan.resources;
    let mut table = Table::new("Training memory, computed")
        .column(Column::text("for"))
        .column(Column::number("bytes", ""))
        .note("The backend's workspace is not included.");
    for (name, value) in [
        ("activations of a batch", needs.activation_bytes),
        ("weights and running statistics", needs.model_bytes),
        ("gradients", needs.gradient_bytes),
        ("optimizer", needs.optimizer_bytes),
        ("copies of the weights", needs.copy_bytes),
        ("teacher networks", needs.teacher_bytes),
        ("batches prepared ahead", needs.loader_bytes),
        ("dataset in memory", needs.data_bytes),
        ("total", needs.training_memory_bytes()),
    ] {
        // Most plans have no use for some of them.
        if value > 0 {
            table = table.row(Row::new([name.to_owned(), format::bytes(value)]));
        }
    }
    let timing = &check.figures.timing;
    let [shortest, longest] = timing.step_range_seconds();
    let figures = vec![
        KeyFigure::new("operations per image", giga(needs.flops_per_image as f64)).unit("GFLOP"),
        KeyFigure::new("operations of the training", tera(plan.training_flops)).unit("TFLOP"),
        KeyFigure::new(
            "training step",
            format::seconds(timing.median_step_seconds()),
        )
        .interval(format!(
            "{} to {}",
            format::seconds(shortest),
            format::seconds(longest)
        )),
        KeyFigure::new("speed", format::number(timing.step_images_per_second(), 0))
            .unit("images/s")
            .interval(format!(
                "the loader alone delivers {}",
                format::number(timing.loader_images_per_second, 0)
            )),
        KeyFigure::new(
            "one image",
            format::milliseconds(timing.median_latency_ms()),
        ),
    ];
    Section::new("Resources").block(figures).block(table)
}

fn giga(value: f64) -> String {
    format::number(value / 1e9, 4)
}

fn tera(value: f64) -> String {
    format::number(value / 1e12, 1)
}

fn layers(check: &ArchitectureCheck) -> Section {
    let mut table = Table::new("Layers, for one image")
        .column(Column::text("layer"))
        .column(Column::text("kind"))
        .column(Column::text("output"))
        .column(Column::number("parameters", ""))
        .column(Column::number("FLOPs", ""))
        .column(Column::number("activations", ""));
    for layer in &check.layers {
        let shape: Vec<String> = layer.output_shape.iter().map(usize::to_string).collect();
        table = table.row(Row::new([
            Cell::Code(layer.name.clone()),
            Cell::from(format!("{:?}", layer.kind)),
            Cell::from(shape.join(" x ")),
            Cell::from(format::count(layer.parameters)),
            Cell::from(format::count(layer.flops)),
            Cell::from(format::bytes(layer.activation_bytes)),
        ]));
    }
    Section::new("Layers").block(table)
}

fn gradients(check: &ArchitectureCheck) -> Section {
    let mut table = Table::new("Gradients after the first backward pass")
        .column(Column::text("parameter"))
        .column(Column::number("values", ""))
        .column(Column::number("norm", ""))
        .column(Column::number("zeros", ""))
        .column(Column::text(""));
    for gradient in &check.figures.gradients {
        let badge = match gradient.is_sound() {
            true => Badge::good("sound"),
            false => Badge::bad("not sound"),
        };
        table = table.row(Row::new([
            Cell::Code(gradient.name.clone()),
            Cell::from(format::count(gradient.n_values as u64)),
            Cell::from(format::significant(gradient.norm, 4)),
            Cell::from(format::count(gradient.n_zero as u64)),
            Cell::from(badge),
        ]));
    }
    Section::new("Gradients").block(table)
}
