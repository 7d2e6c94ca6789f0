//! Constraints: training time, model size, latency and memory against what was measured or computed.

use super::super::artifact::{Assessment, ComparedFigure, Feasibility, Subject, TaskSpec};
use super::super::figures::{FeasibilityFigures, RunSeconds};
use super::{computed, measured};
use crate::words::counted;
use mlestar_gates::{Limit, Unit};

/// Above this share of the memory limit, the backend's workspace may not fit.
const CROWDED: f64 = 0.8;

pub(super) fn assess(spec: &TaskSpec, figures: &FeasibilityFigures) -> Vec<Assessment> {
    vec![
        training_time(spec, figures),
        model_size(spec, figures),
        latency(spec, figures),
        memory(spec, figures),
    ]
}

/// Of a best and a worst estimate: both within the limit, neither, or one of them.
fn judge_range(best: f64, worst: f64, limit: f64) -> Feasibility {
    if worst <= limit {
        Feasibility::Feasible
    } else if best > limit {
        Feasibility::Infeasible
    } else {
        Feasibility::Doubtful
    }
}

fn constraint(
    id: &str,
    title: &str,
    limit: f64,
    unit: Unit,
    comparisons: Vec<ComparedFigure>,
    (verdict, reason): (Feasibility, String),
    advice: &str,
) -> Assessment {
    let recommendation = match verdict {
        Feasibility::Feasible => "None.",
        _ => advice,
    };
    Assessment {
        id: id.to_owned(),
        subject: Subject::Constraint,
        title: title.to_owned(),
        demanded: Some(Limit::AtMost(limit)),
        unit,
        comparisons,
        verdict,
        reason,
        recommendation: recommendation.to_owned(),
    }
}

fn training_time(spec: &TaskSpec, figures: &FeasibilityFigures) -> Assessment {
    let limit = spec.constraints.training_time_seconds_max;
    let timing = &figures.timing;
    let [shortest, longest] = timing.step_range_seconds();
    let seconds = |step: f64| figures.run_seconds(step).longest_training();
    let typical = figures.run_seconds(timing.median_step_seconds());
    let estimate = typical.longest_training();
    let (best, worst) = (seconds(shortest), seconds(longest));
    let mut comparisons = of_steps(figures);
    comparisons.extend(of_trainings(figures, &typical, [best, worst]));
    let verdict = judge_range(best, worst, limit);
    let text = |value: f64| Unit::Seconds.format(value);
    let search = match figures.search {
        Some(_) => format!("; with the search {} in all", text(typical.total())),
        None => String::new(),
    };
    let reason = format!(
        "estimated {} ({} to {}) for the longer of training and final training{search}",
        text(estimate),
        text(best),
        text(worst)
    );
    constraint(
        "training_time",
        "training time",
        limit,
        Unit::Seconds,
        comparisons,
        (verdict, reason),
        "Use fewer training.epochs, a smaller model, a subset (data.subset), or a GPU (--device).",
    )
}

/// The cost of a few steps.
fn of_steps(figures: &FeasibilityFigures) -> Vec<ComparedFigure> {
    let timing = &figures.timing;
    let mut compared = vec![measured(
        "time of a training step",
        timing.median_step_seconds(),
        Unit::Seconds,
        format!(
            "median of {} of {} on {}, after {}",
            counted(timing.step_seconds.len(), "step"),
            counted(timing.batch_size, "image"),
            figures.device,
            counted(timing.n_warm_up_steps, "warm-up step")
        ),
    )];
    if let Some(small) = &timing.smallest_pictures {
        compared.push(measured(
            "time of a step with the smallest images",
            small.median_step_seconds(),
            Unit::Seconds,
            format!(
                "as above, {} with images of {:.2} of the area",
                counted(small.step_seconds.len(), "step"),
                small.picture_area
            ),
        ));
    }
    compared.push(measured(
        "validation, per image",
        timing.prediction_seconds_per_image,
        Unit::Seconds,
        "one batch, after a warm-up batch",
    ));
    compared
}

/// The time of whole trainings: `typical`, and the longer one with the shortest and the longest step.
fn of_trainings(
    figures: &FeasibilityFigures,
    typical: &RunSeconds,
    [best, worst]: [f64; 2],
) -> Vec<ComparedFigure> {
    let work = &figures.training_work;
    let seconds = |name: &str, value, method: String| computed(name, value, Unit::Seconds, method);
    let mut compared = vec![
        seconds(
            "whole training of stage 4",
            typical.training,
            format!(
                "{} of {}, {} of {}; early stopping can end it sooner",
                counted(work.epochs, "epoch"),
                counted(work.steps_per_epoch, "step"),
                counted(work.validations, "validation"),
                counted(work.n_validation, "image")
            ),
        ),
        seconds(
            "the longer training, if every step took as long as the shortest",
            best,
            "as above".into(),
        ),
        seconds(
            "the longer training, if every step took as long as the longest",
            worst,
            "as above".into(),
        ),
    ];
    if let Some(search) = &figures.search {
        compared.extend([
            seconds(
                "final training of stage 6",
                typical.final_training,
                format!(
                    "{}; not run if the search finds nothing better",
                    counted(search.final_training.epochs, "epoch")
                ),
            ),
            seconds(
                "search of stage 6, which the limit does not include",
                typical.search,
                format!(
                    "{} of {} on {}; pruned ones take less",
                    counted(search.n_short(), "training"),
                    counted(search.trial.epochs, "epoch"),
                    counted(search.trial.n_train, "image")
                ),
            ),
            seconds(
                "all trainings of the run",
                typical.total(),
                "the sum".into(),
            ),
        ]);
    }
    compared
}

fn model_size(spec: &TaskSpec, figures: &FeasibilityFigures) -> Assessment {
    let limit = spec.constraints.model_bytes_max as f64;
    let bytes = figures.resources.model_bytes as f64;
    let comparisons = vec![computed(
        "weights in f32",
        bytes,
        Unit::Bytes,
        format!(
            "{} parameters, running statistics included",
            figures.resources.parameters
        ),
    )];
    let reason = format!("the weights take {}", Unit::Bytes.format(bytes));
    constraint(
        "model_size",
        "size of the exported model",
        limit,
        Unit::Bytes,
        comparisons,
        (judge_range(bytes, bytes, limit), reason),
        "Use fewer channels or blocks in model.stages.",
    )
}

fn latency(spec: &TaskSpec, figures: &FeasibilityFigures) -> Assessment {
    let limit = spec.constraints.inference_latency_ms_max;
    let (typical, worst) = (
        figures.timing.median_latency_ms(),
        figures.timing.p95_latency_ms(),
    );
    let method = format!(
        "{} predictions of one image by the program that stage 7 deploys: this network with initial weights, frozen, \
         on the CPU",
        figures.timing.latency_ms.len()
    );
    let comparisons = vec![
        measured(
            "median latency of one image",
            typical,
            Unit::Milliseconds,
            method.clone(),
        ),
        measured(
            "latency of one image, 95th percentile, which stage 7 limits",
            worst,
            Unit::Milliseconds,
            method,
        ),
    ];
    let text = |value: f64| Unit::Milliseconds.format(value);
    let reason = format!(
        "median {}, 95th percentile {} in the deployed program",
        text(typical),
        text(worst)
    );
    constraint(
        "inference_latency",
        "time for one image",
        limit,
        Unit::Milliseconds,
        comparisons,
        (judge_range(typical, worst, limit), reason),
        "Use a smaller model (model.stages), or larger strides in its first stages.",
    )
}

fn memory(spec: &TaskSpec, figures: &FeasibilityFigures) -> Assessment {
    let limit = spec.constraints.memory_bytes_max as f64;
    let needs = &figures.resources;
    let bytes = |value: u64| value as f64;
    let computed_need = bytes(needs.training_memory_bytes());
    let resident = bytes(figures.timing.resident_bytes);
    let machine = bytes(figures.machine_memory_bytes);
    let need = computed_need.max(resident);
    let teachers = match needs.teacher_bytes {
        0 => String::new(),
        of_teachers => format!(
            "teacher networks {}, ",
            Unit::Bytes.format(bytes(of_teachers))
        ),
    };
    let comparisons = vec![
        computed(
            "training, without the backend's workspace",
            computed_need,
            Unit::Bytes,
            format!(
                "activations of {} images {}, weights {}, gradients {}, optimizer {}, copies of the weights {}, \
                 {teachers}batches ahead {}, dataset {}",
                needs.batch_size,
                Unit::Bytes.format(bytes(needs.activation_bytes)),
                Unit::Bytes.format(bytes(needs.model_bytes)),
                Unit::Bytes.format(bytes(needs.gradient_bytes)),
                Unit::Bytes.format(bytes(needs.optimizer_bytes)),
                Unit::Bytes.format(bytes(needs.copy_bytes)),
                Unit::Bytes.format(bytes(needs.loader_bytes)),
                Unit::Bytes.format(bytes(needs.data_bytes))
            ),
        ),
        measured(
            "this process after a few steps",
            resident,
            Unit::Bytes,
            "resident memory, as the operating system counts it",
        ),
        measured(
            "memory of this machine",
            machine,
            Unit::Bytes,
            "as the operating system reports it",
        ),
    ];
    let text = |value: f64| Unit::Bytes.format(value);
    let judged = if need > limit {
        (
            Feasibility::Infeasible,
            format!("{} are needed", text(need)),
        )
    } else if need > machine {
        (
            Feasibility::Infeasible,
            format!(
                "{} are needed and the machine has {}",
                text(need),
                text(machine)
            ),
        )
    } else if need > CROWDED * limit.min(machine) {
        (
            Feasibility::Doubtful,
            format!("{} are needed, close to what the machine has", text(need)),
        )
    } else {
        (Feasibility::Feasible, format!("{} are needed", text(need)))
    };
    constraint(
        "memory",
        "training memory",
        limit,
        Unit::Bytes,
        comparisons,
        judged,
        "Use a smaller training.batch_size, fewer channels in model.stages, or a subset (data.subset).",
    )
}

#[cfg(test)]
mod tests {
    use super::super::testing::{figures, find, spec};
    use super::*;
    use crate::estimates::SmallStepTiming;

    fn verdict(
        id: &str,
        change: impl FnOnce(&mut TaskSpec, &mut FeasibilityFigures),
    ) -> Feasibility {
        let (mut spec, mut figures) = (spec(), figures());
        change(&mut spec, &mut figures);
        find(assess(&spec, &figures), id).verdict
    }

    #[test]
    fn training_time_follows_the_measured_steps() {
        // 10 epochs of 352 steps of 1.0 to 1.2 s and 5,000 images of 3 ms: 3,670 to 4,374 s.
        let at = |limit| {
            verdict("training_time", |spec, _| {
                spec.constraints.training_time_seconds_max = limit
            })
        };
        assert_eq!(at(4_400.0), Feasibility::Feasible);
        assert_eq!(at(4_000.0), Feasibility::Doubtful);
        assert_eq!(at(3_600.0), Feasibility::Infeasible);
        assert_eq!(
            verdict("training_time", |_, figures| figures.timing.step_seconds =
                vec![100.0; 3]),
            Feasibility::Infeasible
        );
    }

    #[test]
    fn smaller_pictures_lower_the_time_of_training_as_far_as_their_steps_do() {
        // With a quarter of the area a step takes 0.5 of the 1.1 s of others, with 0.625 of it 0.75: 2,790 to 3,318 s.
        let change = |figures: &mut FeasibilityFigures| {
            figures.training_work.mean_picture_area = 0.625;
            figures.timing.smallest_pictures = Some(SmallStepTiming {
                picture_area: 0.25,
                step_seconds: vec![0.55, 0.5, 0.6],
            });
        };
        let at = |limit| {
            verdict("training_time", |spec, figures| {
                change(figures);
                spec.constraints.training_time_seconds_max = limit;
            })
        };
        assert_eq!(
            [3_350.0, 3_000.0, 2_750.0].map(at),
            [
                Feasibility::Feasible,
                Feasibility::Doubtful,
                Feasibility::Infeasible
            ]
        );
        let (spec, mut figures) = (spec(), figures());
        change(&mut figures);
        let assessment = find(assess(&spec, &figures), "training_time");
        let row = &assessment.comparisons[1];
        assert_eq!(row.what, "time of a step with the smallest images");
        assert_eq!(row.value, 0.55);
    }

    #[test]
    fn size_and_latency_are_compared_with_their_limits() {
        let size = |limit| {
            verdict("model_size", |spec, _| {
                spec.constraints.model_bytes_max = limit
            })
        };
        assert_eq!(
            [11_165_000, 11_164_999].map(size),
            [Feasibility::Feasible, Feasibility::Infeasible]
        );
        let latency = |limit| {
            verdict("inference_latency", |spec, _| {
                spec.constraints.inference_latency_ms_max = limit
            })
        };
        assert_eq!(
            [9.0, 8.5, 7.9].map(latency),
            [
                Feasibility::Feasible,
                Feasibility::Doubtful,
                Feasibility::Infeasible
            ]
        );
    }

    #[test]
    fn memory_is_limited_by_the_task_and_by_the_machine() {
        let at = |limit: u64, machine: u64| {
            verdict("memory", |spec, figures| {
                spec.constraints.memory_bytes_max = limit;
                figures.machine_memory_bytes = machine;
            })
        };
        // The process has 1.5 GB, which is more than the computed 0.89 GB.
        assert_eq!(at(8_000_000_000, 16_000_000_000), Feasibility::Feasible);
        assert_eq!(at(1_600_000_000, 16_000_000_000), Feasibility::Doubtful);
        assert_eq!(at(1_400_000_000, 16_000_000_000), Feasibility::Infeasible);
        assert_eq!(at(8_000_000_000, 1_000_000_000), Feasibility::Infeasible);
    }
}
