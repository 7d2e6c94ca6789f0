//! The pages of a finished run, as a reader sees them.

use crate::{all_stages, finished_run, tiny};
use burn::tensor::Device;
use mlestar_random::Stream;
use mlestar_train::StopSignal;
use mlestar_workflow::chain::{RunRequest, StageRange, run};
use mlestar_workflow::manifest::RunManifest;
use mlestar_workflow::stages::evaluation::EvaluationResults;
use mlestar_workflow::stages::situation_analysis::SituationAnalysis;
use mlestar_workflow::{RunFolder, Stage};
use std::fs;
use std::path::{Path, PathBuf};

/// No page is larger, in bytes: it must open on a telephone and go into a mail.
const LARGEST_PAGE: usize = 5_000_000;

/// Every page below a folder.
fn pages(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(pages(&path));
        } else if path.extension().is_some_and(|ending| ending == "html") {
            found.push(path);
        }
    }
    found
}

/// Texts and attributes of a page: what is left without its style sheet and its images.
fn text_of(html: &str) -> String {
    let (before, rest) = html.split_once("<style>").unwrap();
    let (_, after) = rest.split_once("</style>").unwrap();
    let mut text = before.to_owned();
    for piece in after.split("data:image/") {
        text.push_str(piece.split_once('"').map_or(piece, |(_, rest)| rest));
    }
    text
}

/// Whether only a machine writes a number so: with noise at its end, with digits that nobody reads, or with a power of
/// ten that plain digits would say.
fn is_machine_made(number: &str) -> bool {
    let number = number.trim_start_matches('-').trim_end_matches('.');
    let (mantissa, exponent) = number.split_once('e').unwrap_or((number, ""));
    let (whole, decimals) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(decimals) {
        return false;
    }
    let digits = format!("{whole}{decimals}");
    let significant = digits.trim_start_matches('0').len();
    let needless_power = match exponent.parse::<i32>() {
        Ok(power) => (-3..=5).contains(&power) || decimals.ends_with('0'),
        Err(_) => false,
    };
    // 1,234,567 is written with commas, so that long rows of digits are noise or not for people.
    let too_many = if decimals.is_empty() {
        significant > 12
    } else {
        significant > 8
    };
    let read = digits.trim_start_matches('0');
    let noise = decimals.len() > 4 && (read.contains("9999") || read.contains("0000"));
    needless_power || too_many || noise
}

fn machine_made_numbers(text: &str) -> Vec<&str> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    let words = text.split(|letter| !is_part(letter));
    words.filter(|word| is_machine_made(word)).collect()
}

#[test]
fn numbers_of_machines_are_told_from_those_of_people() {
    for bad in [
        "0.30000000000000004",
        "53.99999",
        "1.00e0",
        "1.50e-8",
        "3.292e0",
        "9.5e-2",
        "0.612450780919783",
        "12.00001",
        "6124507809197831",
    ] {
        assert_eq!(machine_made_numbers(&format!("x=\"{bad}\"")), [bad]);
    }
    let good = "0.9999 0.0001 1.2e-7 0.498123 32 x 32 1,234,567 0.1.0+ab12e4 2026-11-27 synthetic#1001 0.00000001";
    assert!(
        machine_made_numbers(good).is_empty(),
        "{:?}",
        machine_made_numbers(good)
    );
}

#[test]
fn pages_show_numbers_as_people_write_them_and_are_small() {
    let folder = finished_run();
    let pages = pages(folder.path());
    // Each stage has one, stage 6 three, and the summary.
    assert_eq!(pages.len(), 10, "{pages:?}");
    for page in pages {
        let html = fs::read_to_string(&page).unwrap();
        let text = text_of(&html);
        let found = machine_made_numbers(&text);
        assert!(found.is_empty(), "{}: {found:?}", page.display());
        assert!(html.len() < LARGEST_PAGE);
    }
}

/// The page shows some. The list beside it names the file of every one, and the gates check it.
#[test]
fn findings_and_mistakes_are_listed_in_full_beside_their_pages() {
    let folder = finished_run();
    let run = RunFolder::new(folder.path());
    let manifest = RunManifest::read(&run).unwrap();
    let analysis: SituationAnalysis = mlestar_artifact::read_artifact(
        &run.artifact(Stage::SituationAnalysis, "situation_analysis.json"),
    )
    .unwrap();
    let n_wrong = |stage| {
        let path = run.artifact(stage, "evaluation_results.json");
        let results: EvaluationResults = mlestar_artifact::read_artifact(&path).unwrap();
        let cells = results.summary.confusion.cells();
        let wrong = cells.filter(|(truth, predicted, _)| truth != predicted);
        wrong.map(|(_, _, count)| count).sum::<u64>() as usize
    };
    for (stage, page, list, n) in [
        (
            Stage::SituationAnalysis,
            "exploration.html",
            "quality_findings.csv",
            analysis.summary.quality.n_findings,
        ),
        (
            Stage::Evaluation,
            "evaluation_report.html",
            "mistakes.csv",
            n_wrong(Stage::Evaluation),
        ),
        (
            Stage::Refinement,
            "final_report.html",
            "mistakes.csv",
            n_wrong(Stage::Refinement),
        ),
    ] {
        assert!(n > 0, "{list}: nothing to list");
        let html = fs::read_to_string(run.artifact(stage, page)).unwrap();
        assert!(html.contains(&format!("href=\"{list}\"")), "{page}");
        let text = fs::read_to_string(run.artifact(stage, list)).unwrap();
        assert_eq!(text.lines().count(), 1 + n, "{list}");
        assert!(
            text.lines().skip(1).all(|line| line.contains("synthetic#")),
            "{text}"
        );
        let outputs = &manifest.complete_stage(stage).unwrap().outputs;
        assert!(outputs.contains_key(list), "{outputs:?}");
    }
}

/// Images of 224 pixels, of which the page of stage 1 shows more than a hundred.
#[test]
fn a_page_about_large_images_is_small() {
    let data = tempfile::tempdir().unwrap();
    write_large_images(data.path());
    let path = format!("data.path='{}'", data.path().display());
    let config = tiny(&["data.source='folder'", &path, "data.image_size=[224, 224]"]);
    let folder = tempfile::tempdir().unwrap();
    let run_folder = RunFolder::new(folder.path());
    let (device, stop) = (Device::flex(), StopSignal::new());
    let request = RunRequest {
        stages: StageRange::new(Stage::SituationAnalysis, Stage::SituationAnalysis).unwrap(),
        ..all_stages(&run_folder, &config, &device, &stop)
    };
    run(&request, &mut ()).unwrap();
    let page = run_folder.artifact(Stage::SituationAnalysis, "exploration.html");
    let html = fs::read_to_string(&page).unwrap();
    let n_images = html.matches("<img ").count();
    assert!(n_images > 100, "{n_images} images are too few to tell");
    // Kept as they are, they would be 200 kB each.
    assert!(html.len() < 15_000 * n_images, "{} bytes", html.len());
    assert!(html.len() < LARGEST_PAGE);
}

/// Ten classes of noise, which no format makes small.
fn write_large_images(folder: &Path) {
    for class in 0..10_u64 {
        for index in 0..14 {
            let mut stream = Stream::new(class, "large images", 0, index);
            let pixels = (0..224 * 224 * 3)
                .map(|_| stream.next_u32() as u8)
                .collect();
            let image = image::RgbImage::from_raw(224, 224, pixels).unwrap();
            let folder = folder.join(format!("class {class}"));
            fs::create_dir_all(&folder).unwrap();
            image.save(folder.join(format!("{index}.bmp"))).unwrap();
        }
    }
}
