//! `serve`.

use crate::cli::signals;
use mlestar_gates::ExitCode;
use mlestar_serve::ServeError;
use mlestar_serve::cli::ServeArguments;

pub fn run(arguments: &ServeArguments) -> ExitCode {
    signals::leave_to_the_command();
    match mlestar_serve::cli::run(arguments) {
        Ok(_) => ExitCode::Pass,
        Err(error) => {
            eprintln!("error: {error}");
            match error {
                ServeError::Setting { .. } => ExitCode::Usage,
                ServeError::NoPackage { .. } => ExitCode::MissingArtifact,
                _ => ExitCode::ProgramFailure,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use mlestar_workflow::{RunFolder, Stage};
    use std::path::Path;

    /// `mlestar-serve` does not know the workflow, but finds the package of a run where stage 7 writes it.
    #[test]
    fn a_runs_package_is_where_stage_7_writes_it() {
        let folder = tempfile::tempdir().unwrap();
        let package = RunFolder::new(folder.path()).artifact(Stage::Deployment, "package");
        std::fs::create_dir_all(&package).unwrap();
        let manifest = package.join(mlestar_export::package::MANIFEST_FILE);
        std::fs::write(manifest, "").unwrap();
        assert_eq!(mlestar_serve::package_of(folder.path()).unwrap(), package);
        assert!(mlestar_serve::package_of(Path::new("no such run")).is_err());
    }
}
