//! `init`.

use crate::cli::arguments::InitOptions;
use crate::cli::project::{PROJECT_FILE, base_for};
use crate::cli::{weights, weights_folder};
use mlestar_artifact::write_atomically;
use mlestar_data::SourceKind;
use mlestar_data::readers::folder::{Entry, Listing, choose_size, scan};
use mlestar_data::readers::name::shown;
use mlestar_gates::ExitCode;
use mlestar_workflow::WorkflowError;
use mlestar_workflow::config::{Config, Override};
use mlestar_workflow::words::counted;
use std::path::Path;

/// Classes that the comment names.
const MOST_NAMED: usize = 8;

pub fn run(options: &InitOptions) -> Result<ExitCode, WorkflowError> {
    let target = options
        .output
        .clone()
        .unwrap_or_else(|| PROJECT_FILE.into());
    if target.exists() && !options.force {
        return Err(WorkflowError::Usage(format!(
            "{} exists already; --force overwrites it, --output FILE writes another file",
            shown(&target)
        )));
    }
    let Some(data) = options.data.to_str() else {
        return Err(WorkflowError::Usage(format!(
            "the name of the data folder {} is not UTF-8, which a config cannot hold: rename it",
            shown(&options.data)
        )));
    };
    let (base, source) = base_for(&options.data, options.weights.is_some(), &[])?;
    let settings = match &options.weights {
        Some(folder) if folder.is_dir() => {
            let mut judge =
                |settings: &[Override]| Ok(Config::parse(base.text, base.name, settings)?);
            let chosen = weights_folder::choose(folder, &mut judge)?;
            println!("{}", chosen.reason);
            chosen.settings
        }
        Some(file) => weights::settings_for(file)?,
        None => Vec::new(),
    };
    let mut found = match source {
        SourceKind::Folder => of_folder(&scan(&options.data)?),
        SourceKind::Manifest => Found {
            comment: "images listed in a manifest".to_string(),
            size: None,
        },
        source => Found {
            comment: format!("{source}, in its official binary files"),
            size: None,
        },
    };
    if !settings.is_empty() {
        // Pretrained weights have a size of their own.
        found.size = None;
    }
    let name = project_name(&options.data, base.text);
    let mut text = adapted(base.text, &name, data, &found, &settings);
    if source == SourceKind::Manifest {
        text = text.replace("source = \"folder\"", "source = \"manifest\"");
    }
    // What is written must be a config that runs.
    Config::parse(&text, &shown(&target), &[])?;
    write_atomically(&target, text.as_bytes())?;
    println!("{}", shown(&target));
    for line in found.comment.lines() {
        println!("    {line}");
    }
    println!(
        "now: mlestar run{}",
        match options.output {
            None => String::new(),
            Some(_) => format!(" --config {}", shown(&target)),
        }
    );
    Ok(ExitCode::Pass)
}

/// What the folder holds.
struct Found {
    /// Lines for people.
    comment: String,
    /// The size that its images are resized to, where one has to be chosen.
    size: Option<[usize; 2]>,
}

fn of_folder(listing: &Listing) -> Found {
    let names: Vec<&str> = listing
        .classes
        .iter()
        .take(MOST_NAMED)
        .map(String::as_str)
        .collect();
    let more = match listing.classes.len().saturating_sub(MOST_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let mut lines = vec![format!(
        "{}: {}{more}",
        counted(listing.classes.len(), "class"),
        names.join(", ")
    )];
    let smallest = |entries: &[Entry]| {
        let mut counts = vec![0_usize; listing.classes.len()];
        for entry in entries {
            counts[entry.label as usize] += 1;
        }
        counts.into_iter().min().unwrap_or(0)
    };
    let split = |name: &str, entries: &[Entry]| {
        format!(
            "{name}: {}, {} of the smallest class",
            counted(entries.len(), "image"),
            smallest(entries)
        )
    };
    let training = match listing.split_folders.is_empty() {
        true => "all, split by the fractions below",
        false => "train",
    };
    lines.push(split(training, &listing.train));
    for (name, entries) in [("validation", &listing.validation), ("test", &listing.test)] {
        match entries {
            Some(entries) => lines.push(split(name, entries)),
            None if !listing.split_folders.is_empty() => {
                lines.push(format!(
                    "{name}: no folder, so it is split off by the fraction below"
                ));
            }
            None => {}
        }
    }
    if listing.n_skipped > 0 {
        lines.push(format!(
            "other files and folders, which are skipped: {}",
            listing.n_skipped
        ));
    }
    Found {
        comment: lines.join("\n"),
        size: Some(choose_size(listing)),
    }
}

/// The folder's name, or the base's where that cannot be a project's.
fn project_name(data: &Path, base: &str) -> String {
    let absolute = std::path::absolute(data).unwrap_or_else(|_| data.to_owned());
    let name = absolute
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let is_valid = |name: &str| {
        let setting = Override::new("project.name", name.into());
        setting.is_ok_and(|setting| Config::parse(base, "init", &[setting]).is_ok())
    };
    match is_valid(name) {
        true => name.to_owned(),
        false => "images".to_owned(),
    }
}

/// The base's text with these values, settings and comments; the rest, including its comments, stays. The base has a line
/// for each setting.
fn adapted(base: &str, name: &str, data: &str, found: &Found, settings: &[Override]) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let mut text = String::from(
        "# Written by `mlestar init`. `mlestar run` in this folder uses it.\n#\n# What was found:\n",
    );
    for line in found.comment.lines() {
        text += &format!("#     {line}\n");
    }
    text += "#\n# Every other key has a default: `mlestar config` prints them all.\n";
    let mut section = String::new();
    for line in base.lines().skip_while(|line| line.starts_with('#')) {
        if line.starts_with('[') {
            section = line.to_owned();
        }
        let key = line.split('=').next().unwrap_or_default().trim();
        let full = format!("{}.{key}", section.trim_matches(['[', ']']));
        let setting = settings.iter().find(|setting| setting.key() == full);
        if let Some(setting) = setting {
            text += &format!("{key} = {}\n", setting.value());
            continue;
        }
        match (section.as_str(), key) {
            ("[project]", "name") => text += &format!("name = {}\n", quoted(name)),
            ("[data]", "path") => {
                text += &format!("path = {}\n", quoted(data));
                if let Some([height, width]) = found.size {
                    text += &format!(
                        "# Images are resized to this size; larger ones show more and take \
                        longer.\nimage_size = [{height}, {width}]\n\
                         # Images that belong together, such as scene1_1.jpg and scene1_2.jpg, stay in one split:\n\
                         #group_by = \"name\"\n"
                    );
                }
            }
            _ => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::project::built_ins;
    use std::path::PathBuf;

    #[test]
    fn every_base_becomes_a_config_with_nothing_changed_but_what_was_found() {
        for base in built_ins() {
            let found = Found {
                comment: "2 classes: a, b\nall: 9 images".into(),
                size: (!base.text.contains("image_size")).then_some([48, 48]),
            };
            let text = adapted(base.text, "my \"ants\"", "C:\\my \"ants\"", &found, &[]);
            let settings = [
                ("data.path", toml::Value::from("C:\\my \"ants\"")),
                ("data.image_size", toml::Value::from(vec![48, 48])),
            ];
            let settings = &settings[..1 + usize::from(found.size.is_some())];
            if base.name.contains("quick start") {
                continue; // it has no data folder
            }
            assert!(text.starts_with("# Written by `mlestar init`"));
            let table: toml::Table = text.parse().unwrap();
            let mut expected: toml::Table = base.text.parse().unwrap();
            for (key, value) in settings.iter().cloned() {
                let data = expected["data"].as_table_mut().unwrap();
                data.insert(key.trim_start_matches("data.").into(), value);
            }
            expected["project"]
                .as_table_mut()
                .unwrap()
                .insert("name".into(), "my \"ants\"".into());
            assert_eq!(table, expected, "{}", base.name);
        }
    }

    #[test]
    fn settings_that_belong_to_weights_replace_their_lines() {
        let [.., photographs, _, _] = built_ins();
        let found = Found {
            comment: String::new(),
            size: None,
        };
        let settings = [
            ("model.architecture", toml::Value::from("resnet-18")),
            ("training.initial_weights", "w.pth".into()),
            ("data.resize_filter", "bilinear".into()),
        ];
        let set = settings
            .clone()
            .map(|(key, value)| Override::new(key, value).unwrap());
        let text = adapted(photographs.text, "a", "b", &found, &set);
        let table: toml::Table = text.parse().unwrap();
        for (key, value) in settings {
            let (section, key) = key.split_once('.').unwrap();
            assert_eq!(table[section][key], value);
        }
    }

    #[test]
    fn a_name_that_is_no_project_s_is_replaced() {
        let base = built_ins()[1].text;
        assert_eq!(project_name(&PathBuf::from("/data/ants"), base), "ants");
        assert_eq!(project_name(&PathBuf::from("/data/CON"), base), "images");
        assert_eq!(project_name(&PathBuf::from("/"), base), "images");
    }
}
