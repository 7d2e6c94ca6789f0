//! What each stage is for: the text behind `help stage N`.

use crate::Stage;
use crate::config::Config;

/// What a newcomer needs to know about a stage.
#[derive(Clone, Copy, Debug)]
pub struct StageGuide {
    /// What the stage is for.
    pub purpose: &'static str,
    /// What it reads.
    pub inputs: &'static [&'static str],
    /// The files that it writes to its folder, and what each file is.
    pub artifacts: &'static [(&'static str, &'static str)],
    /// What usually goes wrong, and what to do.
    pub problems: &'static [(&'static str, &'static str)],
}

/// The guide to a stage.
pub fn guide(stage: Stage) -> StageGuide {
    match stage {
        Stage::SituationAnalysis => SITUATION_ANALYSIS,
        Stage::TaskDefinition => TASK_DEFINITION,
        Stage::ActionPlanning => ACTION_PLANNING,
        Stage::Implementation => IMPLEMENTATION,
        Stage::Evaluation => EVALUATION,
        Stage::Refinement => REFINEMENT,
        Stage::Deployment => DEPLOYMENT,
    }
}

/// The guide as text, with the gate's criteria and limits as `config` has them.
pub fn help_text(stage: Stage, config: &Config) -> String {
    let guide = guide(stage);
    let mut text = format!("Stage {stage}\n\n{}\n\nReads\n", guide.purpose);
    for input in guide.inputs {
        text.push_str(&format!("  - {input}\n"));
    }
    text.push_str(&format!("\nWrites to runs/<run>/{}/\n", stage.folder()));
    for (file, meaning) in guide.artifacts {
        text.push_str(&format!("  {file}\n      {meaning}\n"));
    }
    text.push_str(&format!(
        "\nGate ([gates.{}] in the config; `criteria.<id> = false` switches one off)\n",
        stage.stem()
    ));
    for criterion in config.criteria(stage) {
        let limit = config.limit_of(&criterion, stage).map_or_else(
            || "(off)".to_owned(),
            |limit| {
                let value = criterion.unit.format(limit.value());
                format!("{} {value}", limit.name())
            },
        );
        text.push_str(&format!(
            "  {:<32} {} {limit}\n",
            criterion.id, criterion.title
        ));
    }
    text.push_str("\nUsual problems\n");
    for (problem, advice) in guide.problems {
        text.push_str(&format!("  {problem}\n      {advice}\n"));
    }
    text
}

const SITUATION_ANALYSIS: StageGuide = StageGuide {
    purpose: "Describes the data and what is hard about them. Every challenge follows from a measurement, \
        which is shown with it. A clean dataset may have no challenges.",
    inputs: &[
        "the images and labels of all three splits",
        "[data], [augmentation] and seed of the config",
    ],
    artifacts: &[
        (
            "situation_analysis.json",
            "counts, class balance, per-channel statistics, quality findings with their files, challenges \
            with their evidence, advice; `.summary` is the short form",
        ),
        (
            "quality_findings.csv",
            "every finding of the quality check with its file",
        ),
        (
            "exploration.html",
            "samples of every class, class distribution, pixel histograms, augmentation preview",
        ),
    ],
    problems: &[
        (
            "An image cannot be read.",
            "The stage names it with the reason and leaves it out. If there are more of them than \
            data.unreadable_share_max allows, the run ends with a list of all of them: repair or delete \
            them, or raise the share.",
        ),
        (
            "Files are frames of videos or bursts.",
            "Neighbours in one sequence are nearly the same image. Keep each sequence in one split: set \
            data.group_by = \"name\", or use folders train, val and test.",
        ),
        (
            "Train and test share images.",
            "Remove one copy of each. Otherwise every figure of stage 5 is too good.",
        ),
    ],
};

const TASK_DEFINITION: StageGuide = StageGuide {
    purpose: "Sets the targets as numbers and checks whether they can be reached: it compares each target \
        and constraint with a measurement or a computed bound.",
    inputs: &[
        "1-situation-analysis/situation_analysis.json",
        "[task], [model], [training] and [evaluation] of the config",
        "a few training steps and predictions on this machine",
    ],
    artifacts: &[
        (
            "task_spec.json",
            "the problem, its metrics, targets and constraints",
        ),
        (
            "feasibility_report.json",
            "each target and constraint with the measured or computed figures",
        ),
        ("feasibility_report.html", "the same, as a page"),
    ],
    problems: &[
        (
            "A target is above what the labels allow.",
            "Check the labels that stage 1 suspects, or lower the target.",
        ),
        (
            "The training time does not fit.",
            "Use fewer epochs, a smaller model, a subset (data.subset), or a GPU (--device).",
        ),
    ],
};

const ACTION_PLANNING: StageGuide = StageGuide {
    purpose: "Plans the architecture and the training strategy, shows which challenge each choice answers, \
        and proves that the model builds, learns in principle and fits, before hours are spent.",
    inputs: &[
        "1-situation-analysis/situation_analysis.json",
        "2-task-definition/task_spec.json",
        "[model], [training] and [augmentation] of the config",
    ],
    artifacts: &[
        (
            "action_plan.json",
            "architecture, training strategy, answers to the challenges, computed resources",
        ),
        (
            "architecture_check.json",
            "forward and backward pass on real images, limits, measured step time",
        ),
        ("action_plan.html", "the same, as a page"),
    ],
    problems: &[
        (
            "A challenge is not answered.",
            "The plan names the config key that would answer it.",
        ),
        (
            "The activations do not fit into memory.",
            "Use a smaller training.batch_size or fewer channels.",
        ),
    ],
};

const IMPLEMENTATION: StageGuide = StageGuide {
    purpose: "Trains the model: batches in an order fixed by the seed, augmentation, optimizer, schedule, \
        early stopping on the validation split, checkpoints.",
    inputs: &[
        "the training and validation images",
        "the normalization that stage 1 measured",
        "[model], [training], [augmentation] and seed of the config",
    ],
    artifacts: &[
        ("metrics.jsonl", "one line per epoch"),
        ("tensorboard/", "the same, for `tensorboard --logdir`"),
        (
            "checkpoints/{best,last,epoch-NNNN}/",
            "weights, optimizer state, history; verified when read",
        ),
        (
            "validation_predictions.jsonl, train_predictions.jsonl",
            "the predictions of the best epoch, one line per image; the gate recomputes its figures from them",
        ),
        (
            "training_summary.json",
            "how the training ended, and its figures",
        ),
        ("training_timing.json", "how long it took"),
        (
            "training_memory.json",
            "the peak memory of the training process",
        ),
        ("training_report.html", "learning curves and learning rate"),
    ],
    problems: &[
        (
            "It was interrupted.",
            "Run the same command again: it resumes where it stopped, within the epoch.",
        ),
        (
            "The loss is not finite.",
            "The message names epoch, step and images. Lower training.optimizer.learning_rate or \
             set training.max_gradient_norm.",
        ),
        (
            "Training accuracy is much higher than validation accuracy.",
            "Use more augmentation, dropout or weight decay, or more data.",
        ),
    ],
};

const EVALUATION: StageGuide = StageGuide {
    purpose: "Measures the trained model on images that it has never seen, with intervals, and shows where \
        it is wrong.",
    inputs: &[
        "the test images (the reading is recorded in audit.jsonl)",
        "4-implementation/checkpoints/best",
        "[evaluation] of the config",
    ],
    artifacts: &[
        (
            "predictions.jsonl",
            "one line per test image: label and probabilities",
        ),
        (
            "evaluation_results.json",
            "metrics overall and per class, confusion matrix, curves, calibration, confused pairs",
        ),
        (
            "evaluation_report.html",
            "the same with charts and the worst mistakes",
        ),
        (
            "mistakes.csv",
            "every mistake with its file, the most confident first",
        ),
        ("visualizations/", "each chart as an SVG file"),
    ],
    problems: &[
        (
            "The gate is INCONCLUSIVE.",
            "The interval straddles the limit: more test images are needed to decide.",
        ),
        (
            "One class is far below the others.",
            "Look at its confused pairs and at the labels that stage 1 suspects.",
        ),
    ],
};

const REFINEMENT: StageGuide = StageGuide {
    purpose: "Looks for a better model: what the mistakes suggest, each proposal alone, a hyper-parameter search, \
        the best settings with several seeds, all judged on the validation split, a final training, and a comparison with the baseline on the same test images.",
    inputs: &[
        "5-evaluation/evaluation_results.json and predictions.jsonl",
        "4-implementation/checkpoints/best",
        "[refinement] of the config",
    ],
    artifacts: &[
        (
            "improvement_analysis.json",
            "what the mistakes suggest, each with its evidence, and proposals with an estimate of gain and cost",
        ),
        (
            "ablation.json",
            "what each proposal brought, and how good the estimates were",
        ),
        (
            "finalists.json",
            "the best settings with several seeds, and the best score without what choosing by it added",
        ),
        (
            "trainings.jsonl",
            "every short training with its answers for the validation images; none is repeated",
        ),
        (
            "trials.jsonl, study.json",
            "every trial of the search, and which settings mattered",
        ),
        (
            "tensorboard/",
            "one folder per trial with its settings and results, for the HParams tab of `tensorboard --logdir`",
        ),
        (
            "optimized_config.toml",
            "the chosen settings, ready for `--config`",
        ),
        (
            "training/",
            "the final training, with the files of stage 4; absent where nothing was better than the baseline's \
            settings; beside it retraining, with refinement.retrain_with_validation",
        ),
        ("final/", "the chosen model"),
        (
            "test_predictions.jsonl",
            "the final model's predictions for the test split",
        ),
        (
            "comparison.json",
            "baseline and final model on the same test images, with interval and p-value",
        ),
        (
            "evaluation_results.json, mistakes.csv, visualizations/",
            "the final model's metrics, curves and mistakes, as stage 5 writes them for the baseline",
        ),
        (
            "final_report.html",
            "the evaluation of the final model next to the baseline's, targets first",
        ),
        ("refinement_report.html", "the search and the choice"),
        (
            "study_report.html",
            "every trial, which settings mattered, and what did not help; charts that point at each other",
        ),
    ],
    problems: &[
        (
            "No improvement beyond chance.",
            "Widen the space, run more trials (refinement.trials) or longer ones, or accept the baseline: \
            the comparison says how large a gain could have been missed.",
        ),
        (
            "It takes too long.",
            "refinement.epochs_per_trial and refinement.train_fraction_per_trial make trials cheaper.",
        ),
    ],
};

const DEPLOYMENT: StageGuide = StageGuide {
    purpose: "Builds a package that others can run, proves that it matches the trained model, and measures \
        and documents its speed, size and memory.",
    inputs: &[
        "6-refinement/final",
        "the test images, for the parity of the exported model",
        "[deployment] of the config",
    ],
    artifacts: &[
        (
            "package/",
            "model.onnx (8-bit images in, probabilities out), model.int8.onnx, model.safetensors, model.py for PyTorch, \
            golden images, documents, files for \
            deployment, and manifest.json, which records them all",
        ),
        ("package.tar.zst", "the same as one file"),
        (
            "quantization.json",
            "how the int8 model was chosen, and how it and bfloat16 compare with f32",
        ),
        (
            "validation_logits.jsonl",
            "the scores of the validation images: temperature and limit follow from them",
        ),
        (
            "validation_logits_bf16.jsonl, validation_logits_int8.jsonl",
            "the same in bfloat16 and int8: they decide which precision a program may choose",
        ),
        (
            "parity.json",
            "the trained and the exported model, compared on the whole test split",
        ),
        (
            "benchmark.json",
            "latency, throughput, cold start, memory, CPU use, in a process of its own",
        ),
        ("deployment_report.html", "all of it, as a page"),
    ],
    problems: &[
        (
            "Parity fails.",
            "The report lists the images that differ. Please report this: it is a bug of the program.",
        ),
        (
            "Prediction is too slow.",
            "Use fewer channels or blocks in [model]; latency grows with multiply-adds.",
        ),
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_of_every_stage_names_its_criteria() {
        let config = Config::default();
        for stage in Stage::ALL {
            let text = help_text(stage, &config);
            for criterion in config.criteria(stage) {
                assert!(text.contains(&criterion.id), "{text}");
            }
            assert!(text.contains(&stage.folder()));
        }
    }
}
