//! Which sources decide a stage's artifacts. A file that is not named here counts for every stage, so a new file can
//! only cause extra reruns.

/// The code of one stage.
pub struct StageCode {
    /// The stage's stem; empty for all code.
    pub stem: &'static str,
    /// Library crates that its artifacts do not depend on. `mlestar-gates` judges afterwards and never counts. For
    /// long stages, `mlestar-report` does not count either: their pages keep the look that they had when the stage
    /// ran.
    pub without_crates: &'static [&'static str],
    /// Other stages whose code it calls.
    pub uses_stages: &'static [&'static str],
}

/// All stages.
pub const STAGES: [StageCode; 7] = [
    StageCode {
        stem: "situation_analysis",
        without_crates: &["mlestar-export", "mlestar-kernels", "mlestar-tune"],
        uses_stages: &[],
    },
    StageCode {
        stem: "task_definition",
        without_crates: &["mlestar-tune"],
        uses_stages: &["situation_analysis"],
    },
    StageCode {
        stem: "action_planning",
        without_crates: &["mlestar-tune"],
        uses_stages: &["situation_analysis", "task_definition"],
    },
    StageCode {
        stem: "implementation",
        without_crates: &["mlestar-export", "mlestar-report", "mlestar-tune"],
        uses_stages: &[],
    },
    StageCode {
        stem: "evaluation",
        without_crates: &["mlestar-export", "mlestar-tune"],
        uses_stages: &[],
    },
    StageCode {
        stem: "refinement",
        without_crates: &["mlestar-report"],
        uses_stages: &["evaluation"],
    },
    StageCode {
        stem: "deployment",
        without_crates: &["mlestar-tune"],
        uses_stages: &[],
    },
];

/// A file or folder of `mlestar-workflow/src` that only some stages use.
pub struct Room {
    /// Its name, without `.rs`.
    pub name: &'static str,
    /// The stems of the stages that use it.
    pub used_by: &'static [&'static str],
}

/// What only some stages use.
pub const ROOMS: [Room; 3] = [
    Room {
        name: "estimates",
        used_by: &["action_planning", "task_definition"],
    },
    Room {
        name: "trial_training",
        used_by: &["refinement"],
    },
    Room {
        name: "validation_share",
        used_by: &["refinement", "deployment"],
    },
];

/// Files and folders of `mlestar-workflow/src` that run, judge and show stages and do not change their artifacts.
pub const ROUND_THE_STAGES: [&str; 31] = [
    "audit",
    "chain",
    "code_version",
    "config",
    "device",
    "doctor",
    "error",
    "explain",
    "freshness",
    "gates",
    "guide",
    "inputs",
    "lib",
    "lr_find",
    "manifest",
    "metrics",
    "model_benchmark",
    "monitor",
    "remedies",
    "repeated_splits",
    "reporter",
    "run_folder",
    "run_info",
    "stage",
    "study_page",
    "summary",
    "threads",
    "training_analysis",
    "training_comparison",
    "tuning",
    "validation",
];

/// Files of a stage's folder that draw its pages.
pub const PAGES: [&str; 3] = ["page", "final_report", "targets"];

/// Whether the sources of the crate `name` count for `stage`.
pub fn uses_crate(stage: &StageCode, name: &str) -> bool {
    stage.stem.is_empty() || name != "mlestar-gates" && !stage.without_crates.contains(&name)
}

/// Whether the source counts for `stage`; its name is its path below the folder of all crates, with `/`.
pub fn counts(name: &str, stage: &StageCode) -> bool {
    let Some(name) = name.strip_prefix("mlestar-workflow/src/") else {
        return true;
    };
    if stage.stem.is_empty() {
        return true;
    }
    let mut parts = name.split('/').map(|part| part.trim_end_matches(".rs"));
    match (parts.next(), parts.next(), parts.next()) {
        (Some("stages"), Some(folder), part) => {
            let is_stage = STAGES.iter().any(|stage| stage.stem == folder);
            let is_page = part.is_some_and(|part| PAGES.contains(&part));
            let shows_nothing = stage.without_crates.contains(&"mlestar-report");
            !is_stage
                || (folder == stage.stem || stage.uses_stages.contains(&folder))
                    && !(is_page && shows_nothing)
        }
        (Some(first), ..) => {
            let room = ROOMS.iter().find(|room| room.name == first);
            room.is_none_or(|room| room.used_by.contains(&stage.stem))
                && !ROUND_THE_STAGES.contains(&first)
        }
        _ => true,
    }
}
