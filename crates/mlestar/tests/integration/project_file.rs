//! `init`, the config that it writes, `runs`, and what shells and `man` are given.

use crate::{ended, program};
use mlestar_workflow::config::Config;
use std::fs;
use std::path::Path;

fn mlestar(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    ended(program(folder, arguments))
}

fn write_images(folder: &Path) {
    for (class, name) in ["ant", "bee"].into_iter().enumerate() {
        fs::create_dir_all(folder.join(name)).unwrap();
        for index in 0..20 {
            let image = image::RgbImage::from_fn(24, 20, |x, y| {
                image::Rgb([(x * 9 + index) as u8, (y * 11) as u8, 200 * class as u8])
            });
            image
                .save(folder.join(name).join(format!("{index}.png")))
                .unwrap();
        }
    }
}

#[test]
fn a_folder_becomes_a_project_that_runs_and_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_images(&folder.join("insects"));
    fs::write(folder.join("insects/notes.txt"), "mine").unwrap();

    let (code, stdout, stderr) = mlestar(folder, &["init", "insects"]);
    assert_eq!(code, 0, "{stderr}");
    insta::assert_snapshot!(stdout, @r"
    mlestar.toml
        2 classes: ant, bee
        all, split by the fractions below: 40 images, 20 of the smallest class
        other files and folders, which are skipped: 1
    now: mlestar run
    ");
    let config = Config::load(&folder.join("mlestar.toml"), &[]).unwrap();
    assert_eq!(config.project.name, "insects");
    assert_eq!(config.data.image_size, Some([20, 20]));

    let written = fs::read(folder.join("mlestar.toml")).unwrap();
    let (code, _, stderr) = mlestar(folder, &["init", "insects"]);
    assert_eq!(code, 2);
    assert!(
        stderr.contains("mlestar.toml exists already; --force"),
        "{stderr}"
    );
    assert_eq!(mlestar(folder, &["init", "insects", "--force"]).0, 0);
    assert_eq!(fs::read(folder.join("mlestar.toml")).unwrap(), written);

    let (code, stdout, _) = mlestar(folder, &["runs"]);
    assert_eq!(
        (code, stdout.as_str()),
        (0, "runs holds no run; `mlestar run` makes one\n")
    );
    let (code, _, stderr) = mlestar(folder, &["run", "--to", "1"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stderr.contains("with the settings of mlestar.toml"),
        "{stderr}"
    );
    let (code, stdout, _) = mlestar(folder, &["runs"]);
    assert_eq!(code, 0);
    let rows: Vec<Vec<&str>> = stdout
        .lines()
        .map(|row| row.split_whitespace().collect())
        .collect();
    assert_eq!(rows[1], ["insects", "PASS", "1", "of", "7"]);

    // The list does not show PASS when images have changed, and it names what it cannot read.
    fs::remove_file(folder.join("insects/ant/3.png")).unwrap();
    fs::create_dir_all(folder.join("runs/broken")).unwrap();
    fs::write(folder.join("runs/broken/manifest.json"), "{").unwrap();
    let (code, stdout, _) = mlestar(folder, &["runs"]);
    assert_eq!(code, 0);
    let of = |name: &str| stdout.lines().find(|row| row.starts_with(name)).unwrap();
    assert!(of("insects").contains("STALE"), "{stdout}");
    assert!(
        of("broken").contains("unreadable") && of("broken").contains("manifest.json"),
        "{stdout}"
    );
}

#[test]
fn what_is_no_data_gives_no_config() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, stderr) = mlestar(folder.path(), &["init", "nowhere"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("there is no such folder"), "{stderr}");
    assert!(!folder.path().join("mlestar.toml").exists());
}

#[test]
fn shells_and_man_know_every_command() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let (code, script, _) = mlestar(folder.path(), &["completions", shell]);
        assert_eq!(code, 0);
        for word in ["predict", "lr-find", "--fast-dev-run"] {
            assert!(
                script.contains(word.trim_start_matches('-')),
                "{shell}: {word}"
            );
        }
    }
    let (code, page, _) = mlestar(folder.path(), &["man"]);
    assert_eq!(code, 0);
    assert!(page.starts_with(".ie") && page.contains("predict"));
}
