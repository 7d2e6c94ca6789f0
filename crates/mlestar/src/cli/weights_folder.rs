//! One file out of a folder of pretrained weights.

use crate::cli::weights;
use mlestar_data::readers::name::shown;
use mlestar_gates::{Measurement, Status};
use mlestar_model::{Architecture, ModelError, ModelSpec};
use mlestar_workflow::config::{Config, Override};
use mlestar_workflow::words::counted;
use mlestar_workflow::{Stage, WorkflowError};
use std::fs;
use std::path::{Path, PathBuf};

/// Where `mlestar fetch weights` puts files, unless told otherwise.
pub const FETCHED: &str = "data/weights";

const EXTENSIONS: [&str; 3] = ["pth", "pt", "safetensors"];

/// The file that was chosen.
#[derive(Debug)]
pub struct Chosen {
    /// What belongs to it.
    pub settings: Vec<Override>,
    /// Which file, why, and why not the others.
    pub reason: String,
}

/// A file whose network meets the limits.
struct Candidate {
    file: PathBuf,
    network: Architecture,
    settings: Vec<Override>,
    operations: u64,
}

/// Chooses the file of `folder` whose published network has the highest accuracy on ImageNet among those that meet the
/// limits of stage 3 on parameters, size and operations per image; of equal ones the one with fewer operations, then the
/// first by name. Folders inside are not searched. Time is not judged: stages 2 and 3 measure it, on the images.
///
/// `config_with` makes the config that a file would be used with from the settings that belong to it.
///
/// # Errors
/// [`WorkflowError::Usage`] if the folder cannot be read, holds no file of weights, or none that can be used, each with its
/// reason; otherwise as `config_with`.
pub fn choose(
    folder: &Path,
    config_with: &mut dyn FnMut(&[Override]) -> Result<Config, WorkflowError>,
) -> Result<Chosen, WorkflowError> {
    let files = files_of(folder)?;
    if files.is_empty() {
        return Err(WorkflowError::Usage(format!(
            "the folder of weights {} holds no .pth, .pt or .safetensors file; `mlestar fetch weights efficientnet-lite0` \
             puts one into {FETCHED}",
            shown(folder)
        )));
    }
    let (mut candidates, mut refused) = (Vec::new(), Vec::new());
    for file in files {
        match judged(&file, config_with)? {
            Ok(candidate) => candidates.push(candidate),
            Err(reason) => refused.push(format!("{}: {reason}", named(&file))),
        }
    }
    // The sort is stable, and the files come by name.
    candidates.sort_by(|a, b| {
        let accuracy = |candidate: &Candidate| candidate.network.published_accuracy();
        let by_accuracy = accuracy(b).partial_cmp(&accuracy(a));
        let by_accuracy = by_accuracy.unwrap_or(std::cmp::Ordering::Equal);
        by_accuracy.then(a.operations.cmp(&b.operations))
    });
    let mut candidates = candidates.into_iter();
    let Some(best) = candidates.next() else {
        return Err(WorkflowError::Usage(format!(
            "no file of the folder of weights {} can be used:\n{}",
            shown(folder),
            listed(&refused)
        )));
    };
    let others: Vec<String> = candidates.map(|other| of_network(&other)).collect();
    let rank = match others.len() {
        0 => "the only file that meets the limits of stage 3".to_owned(),
        n => format!(
            "the most accurate on ImageNet of {} that meet the limits of stage 3",
            counted(1 + n, "file")
        ),
    };
    let mut reason = format!(
        "weights of {}: {}, {rank}",
        shown(folder),
        of_network(&best)
    );
    if !others.is_empty() {
        reason += &format!("\nnot chosen:\n{}", listed(&others));
    }
    if !refused.is_empty() {
        reason += &format!("\nrefused:\n{}", listed(&refused));
    }
    Ok(Chosen {
        settings: best.settings,
        reason,
    })
}

/// The option that would use what lies in the folder of fetched weights, if anything does.
pub fn offered() -> Option<String> {
    let files = files_of(Path::new(FETCHED)).ok()?;
    let names: Vec<String> = files.iter().map(|file| named(file)).collect();
    (!names.is_empty()).then(|| format!("--weights {FETCHED} (it holds {})", names.join(", ")))
}

/// Files of weights by their endings, by name.
fn files_of(folder: &Path) -> Result<Vec<PathBuf>, WorkflowError> {
    let unreadable = |error: std::io::Error| {
        WorkflowError::Usage(format!(
            "the folder of weights {} cannot be read: {error}",
            shown(folder)
        ))
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        let is_known = |extension: &str| {
            let mut known = EXTENSIONS.iter();
            known.any(|known| extension.eq_ignore_ascii_case(known))
        };
        if extension.is_some_and(is_known) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The file as a candidate, or the reason why it cannot be used. An error is about the config, whatever the file.
fn judged(
    file: &Path,
    config_with: &mut dyn FnMut(&[Override]) -> Result<Config, WorkflowError>,
) -> Result<Result<Candidate, String>, WorkflowError> {
    let (settings, network) = match weights::settings_and_network(file) {
        Ok(found) => found,
        // The caller names the file.
        Err(error) => {
            let (text, name) = (error.to_string(), shown(file));
            let text = text.replace(&format!("{name}: "), "");
            return Ok(Err(text.replace(&name, "it")));
        }
    };
    let config = config_with(&settings)?;
    let spec = match spec_of(&config) {
        Ok(spec) => spec,
        Err(error) => return Ok(Err(error.to_string())),
    };
    Ok(match first_unmet(&config, &spec) {
        Some(reason) => Err(format!("{}: {reason}", network.name())),
        None => Ok(Candidate {
            file: file.to_owned(),
            network,
            settings,
            operations: spec.summary().flops_per_image,
        }),
    })
}

/// The network of a config before its data are read. Two classes: the last layer of a published network has a thousandth
/// of its parameters for each class.
fn spec_of(config: &Config) -> Result<ModelSpec, ModelError> {
    // Weights of published networks bring a size.
    let [height, width] = config.data.image_size.unwrap_or([224, 224]);
    config.model.check(2, height, width)
}

/// The first limit of stage 3 that follows from the network alone and is not met, in words.
fn first_unmet(config: &Config, spec: &ModelSpec) -> Option<String> {
    let stage = Stage::ActionPlanning;
    let summary = spec.summary();
    let figure_of = |id: &str| match id {
        "parameters" => Some(summary.parameters),
        "model_bytes" => Some(summary.weight_bytes),
        "flops_per_image" => Some(summary.flops_per_image),
        _ => None,
    };
    config
        .criteria(stage)
        .into_iter()
        .find_map(|mut criterion| {
            let figure = figure_of(&criterion.id)?;
            criterion.limit = config.limit_of(&criterion, stage)?;
            let verdict = criterion.judge(Measurement::exact(figure as f64));
            (verdict.status != Status::Pass).then_some(verdict.message)
        })
}

fn of_network(candidate: &Candidate) -> String {
    let accuracy = match candidate.network.published_accuracy() {
        Some(accuracy) => format!(", {accuracy:.3} on ImageNet"),
        None => String::new(),
    };
    format!(
        "{} ({}{accuracy})",
        named(&candidate.file),
        candidate.network.name()
    )
}

/// The file's name without its folder.
fn named(file: &Path) -> String {
    file.file_name()
        .map_or_else(|| shown(file), |name| shown(Path::new(name)))
}

fn listed(lines: &[String]) -> String {
    let lines = lines.iter().map(|line| format!("    {line}"));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlestar_model::ModelConfig;

    /// A file with the tensors of a network, all zero.
    fn write(folder: &Path, name: &str, network: Architecture) {
        let description = ModelConfig::of(network).check(2, 32, 32).unwrap();
        let tensors: Vec<_> = description.description().tensors();
        let zeros = vec![0_u8; 4 * 2048 * 512 * 9];
        let views = tensors.iter().map(|(name, shape)| {
            let bytes = &zeros[..4 * shape.iter().product::<usize>()];
            let view =
                safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes);
            (name, view.unwrap())
        });
        let bytes = safetensors::serialize(views, None).unwrap();
        fs::write(folder.join(name), bytes).unwrap();
    }

    fn chosen(folder: &Path, extra: &[&str]) -> Result<Chosen, WorkflowError> {
        choose(folder, &mut |settings: &[Override]| {
            let mut settings = settings.to_vec();
            settings.extend(extra.iter().map(|text| Override::parse(text).unwrap()));
            let text = "[data]\nsource = \"folder\"\npath = \"x\"\nimage_size = [224, 224]\n";
            Ok(Config::parse(text, "test", &settings)?)
        })
    }

    const WITHOUT_LIMITS: [&str; 3] = [
        "gates.action_planning.criteria.parameters={ at_most = 1e9 }",
        "gates.action_planning.criteria.flops_per_image={ at_most = 1e12 }",
        "task.constraints.model_bytes_max=1000000000",
    ];

    #[test]
    fn the_most_accurate_network_within_the_limits_is_chosen_and_the_others_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        write(folder, "a-resnet.safetensors", Architecture::Resnet18);
        write(
            folder,
            "b-lite.safetensors",
            Architecture::EfficientnetLite0,
        );
        write(
            folder,
            "c-lite.SafeTensors",
            Architecture::EfficientnetLite0,
        );
        fs::write(folder.join("broken.pth"), "no weights").unwrap();
        fs::write(folder.join("notes.txt"), "not looked at").unwrap();
        let found = chosen(folder, &[]).unwrap();
        let reason = &found.reason;
        assert!(
            reason.contains(
                "b-lite.safetensors (EfficientNet-Lite0, 0.751 on ImageNet), the most accurate"
            ),
            "{reason}"
        );
        let place = |text: &str| reason.find(text).expect(text);
        assert!(place("not chosen:") < place("c-lite.SafeTensors"));
        assert!(place("refused:") < place("a-resnet.safetensors: ResNet-18: "));
        assert!(
            reason.contains("parameters") && !reason.contains("notes.txt"),
            "{reason}"
        );
        assert!(place("broken.pth: it ") > 0);
        let settings = |found: &Chosen| -> Vec<String> {
            found.settings.iter().map(ToString::to_string).collect()
        };
        assert!(settings(&found)[1].contains("b-lite.safetensors"));

        // Accuracy decides, not the name: a ResNet-18 that meets the limits comes last.
        let found = chosen(folder, &WITHOUT_LIMITS).unwrap();
        let reason = &found.reason;
        let place = |text: &str| reason.find(text).expect(text);
        assert!(place("b-lite.safetensors (") < place("the most accurate on ImageNet of 3 files"));
        assert!(place("not chosen:") < place("c-lite.SafeTensors ("));
        assert!(place("c-lite.SafeTensors (") < place("a-resnet.safetensors (ResNet-18, 0.698"));

        let only_resnet = tempfile::tempdir().unwrap();
        write(only_resnet.path(), "a.safetensors", Architecture::Resnet18);
        let found = chosen(only_resnet.path(), &WITHOUT_LIMITS).unwrap();
        assert!(
            found
                .reason
                .contains("a.safetensors (ResNet-18, 0.698 on ImageNet), the only file")
        );
    }

    #[test]
    fn a_folder_of_which_nothing_can_be_used_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let error = chosen(folder, &[]).unwrap_err().to_string();
        assert!(
            error.contains("holds no .pth, .pt or .safetensors file"),
            "{error}"
        );
        write(folder, "resnet.safetensors", Architecture::Resnet18);
        fs::write(folder.join("cat.pt"), "no weights").unwrap();
        let error = chosen(folder, &[]).unwrap_err().to_string();
        assert!(
            error.contains("resnet.safetensors: ResNet-18: parameters"),
            "{error}"
        );
        assert!(error.contains("cat.pt: "), "{error}");
        let error = chosen(&folder.join("absent"), &[]).unwrap_err().to_string();
        assert!(error.contains("cannot be read"), "{error}");
    }
}
