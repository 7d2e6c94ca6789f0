//! Event files that TensorBoard reads.
//!
//! An event file is a sequence of TFRecords ([`record`]), each holding one `Event` message of
//! TensorFlow's protocol buffers, of which only what scalars need is written.

mod event;
mod record;

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use crate::TrainError;

/// Appends scalars to a new event file.
///
/// ```
/// let folder = std::env::temp_dir().join(format!("mlestar-doc-{}", std::process::id()));
/// let mut writer = mlestar_train::tensorboard::EventWriter::create(&folder, 0)?;
/// writer.scalars(1, &[("train/loss", 2.3), ("train/accuracy", 0.1)])?;
/// assert!(writer.path().exists());
/// # std::fs::remove_dir_all(&folder).ok();
/// # Ok::<(), mlestar_train::TrainError>(())
/// ```
#[derive(Debug)]
pub struct EventWriter {
    path: PathBuf,
    file: File,
}

/// Makes the names of files that one process writes in one second differ.
static FILES: AtomicU32 = AtomicU32::new(0);

impl EventWriter {
    /// Creates `folder` if needed and a new file `events.out.tfevents.*` in it.
    ///
    /// Readers forget what older files in the folder say about `first_step` and later steps, so that
    /// a training that goes on from an earlier state overwrites what it repeats.
    ///
    /// # Errors
    ///
    /// [`TrainError::Io`] naming the file or folder.
    pub fn create(folder: &Path, first_step: u64) -> Result<Self, TrainError> {
        fs::create_dir_all(folder).map_err(TrainError::io("creating", folder))?;
        let name = format!(
            "events.out.tfevents.{:010}.mlestar.{}.{}",
            wall_time_seconds() as u64,
            std::process::id(),
            FILES.fetch_add(1, Ordering::Relaxed)
        );
        let path = folder.join(name);
        let file = File::create_new(&path).map_err(TrainError::io("creating", &path))?;
        let mut writer = Self { path, file };
        let time = wall_time_seconds();
        writer.append(&[
            event::file_version(time),
            event::session_start(time, first_step),
        ])?;
        Ok(writer)
    }

    /// Appends the values of `step`, as one event. TensorBoard keeps f32.
    ///
    /// # Errors
    ///
    /// [`TrainError::Io`] naming the file.
    pub fn scalars(&mut self, step: u64, values: &[(&str, f64)]) -> Result<(), TrainError> {
        self.append(&[event::scalars(wall_time_seconds(), step, values)])
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn append(&mut self, events: &[Vec<u8>]) -> Result<(), TrainError> {
        let bytes: Vec<u8> = events
            .iter()
            .flat_map(|event| record::frame(event))
            .collect();
        let failed = TrainError::io("writing", &self.path);
        self.file
            .write_all(&bytes)
            .and_then(|()| self.file.flush())
            .map_err(failed)
    }
}

fn wall_time_seconds() -> f64 {
    // A clock before 1970 is worth no error.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |elapsed| elapsed.as_secs_f64())
}
