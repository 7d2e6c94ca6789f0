//! `package`.

use crate::cli::arguments::{
    PackageCommand, PackageFormat, PackagePackOptions, PackageUnpackOptions, PackageVerifyOptions,
};
use crate::cli::packages::{is_archive, package_of};
use mlestar_export::package::{self, Verification, archive};
use mlestar_gates::{ExitCode, Unit};
use mlestar_workflow::WorkflowError;
use std::fs;
use std::path::Path;

pub fn run(command: &PackageCommand) -> Result<ExitCode, WorkflowError> {
    match command {
        PackageCommand::Verify(options) => verify(options),
        PackageCommand::Pack(options) => pack(options),
        PackageCommand::Unpack(options) => unpack(options),
    }
}

fn verify(options: &PackageVerifyOptions) -> Result<ExitCode, WorkflowError> {
    let opened = package_of(&options.package)?;
    let verification = package::verify(opened.folder())?;
    match options.format {
        PackageFormat::Table => print!("{}", table(&verification)),
        PackageFormat::Json => {
            // Texts and finite numbers always have a form.
            let json = serde_json::to_string_pretty(&verification).unwrap_or_default();
            println!("{json}");
        }
    }
    Ok(match verification.reproduces() {
        true => ExitCode::Pass,
        false => ExitCode::GateFailed,
    })
}

fn pack(options: &PackagePackOptions) -> Result<ExitCode, WorkflowError> {
    if !is_archive(&options.output) {
        let output = options.output.display();
        let reason = format!("{output} does not end with {}", archive::EXTENSION);
        return Err(WorkflowError::Usage(reason));
    }
    let opened = package_of(&options.package)?;
    // What is packed can be opened again.
    package::open(opened.folder())?;
    archive::pack(opened.folder(), &options.output)?;
    println!("{}", options.output.display());
    Ok(ExitCode::Pass)
}

fn unpack(options: &PackageUnpackOptions) -> Result<ExitCode, WorkflowError> {
    if !is_free(&options.output) {
        let output = options.output.display();
        let reason = format!("{output} exists and is not an empty folder; name another one");
        return Err(WorkflowError::Usage(reason));
    }
    archive::unpack(&options.file, &options.output)?;
    verify(&PackageVerifyOptions {
        package: options.output.clone(),
        format: PackageFormat::Table,
    })
}

fn is_free(folder: &Path) -> bool {
    match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(_) => !folder.exists(),
    }
}

fn table(verification: &Verification) -> String {
    let mut text = format!(
        "{} files, {}: size, BLAKE3 and SHA-256 as recorded\n",
        verification.files,
        Unit::Bytes.format(verification.bytes as f64)
    );
    for name in &verification.unknown_files {
        text += &format!("not recorded, not used: {name}\n");
    }
    let n = verification.golden.len();
    let same = verification
        .golden
        .iter()
        .filter(|image| image.is_reproduced());
    let largest = verification
        .golden
        .iter()
        .map(|image| image.largest_difference);
    text += &match n {
        0 => "no golden images: nothing shows that this machine predicts the same\n".to_owned(),
        _ => format!(
            "{} of {n} golden images reproduced; logits differ by at most {:.1e}\n",
            same.count(),
            largest.fold(0.0, f64::max)
        ),
    };
    for image in verification
        .golden
        .iter()
        .filter(|image| !image.is_reproduced())
    {
        let pixels = match image.same_pixels {
            true => "the same pixels",
            false => "other pixels: it was decoded or resized in another way",
        };
        let answer = match image.same_answer {
            true => "the same class",
            false => "another class",
        };
        text += &format!(
            "{}: {pixels}, logits differ by {:.1e}, {answer}\n",
            image.file, image.largest_difference
        );
    }
    text
}
