//! Where trainings and their analyses are.

use crate::Stage;
use mlestar_train::analysis::{METRICS_FILE, STEPS_FILE};
use std::path::{Path, PathBuf};

/// A training's folder, and where its analysis goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainingPlace {
    /// The folder with `metrics.jsonl` and `steps.jsonl`.
    pub folder: PathBuf,
    /// How it is named: its path inside the run, such as `6-refinement/training`.
    pub name: String,
    /// The stage of the run that it belongs to.
    pub stage: Option<Stage>,
    /// The folder that the analysis is written into.
    output_folder: PathBuf,
    /// What its files are called, without the extension.
    output_stem: String,
}

const STEM: &str = "training_analysis";
/// A training is at most this many folders below its run.
const DEEPEST: usize = 3;

impl TrainingPlace {
    /// The training in `folder`.
    pub fn of(folder: &Path) -> Self {
        match run_root(folder) {
            Some((root, inside)) => Self::in_run(folder, root, &inside),
            None => Self {
                folder: folder.to_owned(),
                name: folder.display().to_string(),
                stage: None,
                output_folder: folder.to_owned(),
                output_stem: STEM.into(),
            },
        }
    }

    fn in_run(folder: &Path, root: PathBuf, inside: &[String]) -> Self {
        let stage = inside.first().and_then(|name| name.parse().ok());
        let name = inside.join("/");
        // The baseline has the plain name; the others say which they are.
        let output_stem = match stage {
            Some(Stage::Implementation) if inside.len() == 1 => STEM.to_owned(),
            _ => format!("{STEM}-{}", name.replace('/', "-").replace('.', "")),
        };
        Self {
            folder: folder.to_owned(),
            name,
            stage,
            output_folder: root,
            output_stem,
        }
    }

    /// The path of a file of the analysis.
    pub(super) fn output(&self, extension: &str) -> PathBuf {
        self.output_folder
            .join(format!("{}{extension}", self.output_stem))
    }

    /// A file of the training, as a page beside the analysis links to it.
    pub(super) fn link(&self, file: &str) -> String {
        match self.output_folder == self.folder {
            true => file.to_owned(),
            false => format!("{}/{file}", self.name),
        }
    }
}

/// The trainings at `path`: a training's own folder, a stage's folder, or a run's folder with its
/// baseline (stage 4) and its final training (stage 6). Those that have recorded nothing are left out.
pub fn find_trainings(path: &Path) -> Vec<TrainingPlace> {
    let candidates = [
        path.to_owned(),
        path.join(Stage::Implementation.folder()),
        path.join(Stage::Refinement.folder()).join("training"),
        // In stage 6's own folder.
        path.join("training"),
    ];
    candidates
        .iter()
        .filter(|folder| holds_record(folder))
        .map(|folder| TrainingPlace::of(folder))
        .collect()
}

/// Whether a training has left something in `folder`.
pub(crate) fn holds_record(folder: &Path) -> bool {
    [METRICS_FILE, STEPS_FILE]
        .iter()
        .any(|name| folder.join(name).is_file())
}

/// The run that `folder` is in, and the names of the folders from there to it.
fn run_root(folder: &Path) -> Option<(PathBuf, Vec<String>)> {
    // A path such as `.` has no ancestors that could be a run's folder.
    let absolute = std::path::absolute(folder).ok();
    [Some(folder.to_owned()), absolute]
        .into_iter()
        .flatten()
        .find_map(|folder| {
            let root = folder.ancestors().skip(1).take(DEEPEST).find(|root| {
                !root.as_os_str().is_empty() && root.join("manifest.json").is_file()
            })?;
            let inside = folder.strip_prefix(root).ok()?;
            let names = inside
                .components()
                .map(|part| part.as_os_str().to_string_lossy().into_owned());
            Some((root.to_owned(), names.collect()))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn make(folder: &Path, file: &str) {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join(file), "").unwrap();
    }

    #[test]
    fn trainings_of_a_run_are_analysed_in_its_root_and_others_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("runs/a");
        make(&run, "manifest.json");
        make(&run.join("4-implementation"), METRICS_FILE);
        make(&run.join("6-refinement/training"), STEPS_FILE);
        let places = find_trainings(&run);
        let names: Vec<&str> = places.iter().map(|place| place.name.as_str()).collect();
        assert_eq!(names, ["4-implementation", "6-refinement/training"]);
        assert_eq!(places[0].stage, Some(Stage::Implementation));
        assert_eq!(
            places[0].output(".json"),
            run.join("training_analysis.json")
        );
        let final_page = run.join("training_analysis-6-refinement-training.html");
        assert_eq!(places[1].output(".html"), final_page);
        assert_eq!(
            places[1].link(STEPS_FILE),
            "6-refinement/training/steps.jsonl"
        );
        assert_eq!(find_trainings(&run.join("6-refinement")), places[1..]);
        assert_eq!(find_trainings(&run.join("4-implementation")), places[..1]);

        let alone = folder.path().join("alone");
        make(&alone, METRICS_FILE);
        let place = &find_trainings(&alone)[0];
        assert_eq!(place.output(".json"), alone.join("training_analysis.json"));
        assert_eq!(
            (place.link(METRICS_FILE).as_str(), place.stage),
            (METRICS_FILE, None)
        );
        assert!(find_trainings(folder.path()).is_empty());
    }
}
