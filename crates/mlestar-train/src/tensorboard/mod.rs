//! Writes event files for TensorBoard.
//!
//! An event file is a sequence of TFRecords (`record`), each holding one `Event` message of TensorFlow's
//! protocol buffers. The messages are encoded by hand, one file for each kind; only the fields that TensorBoard
//! needs are written.

mod confusion_matrix;
mod event;
mod histogram;
mod hparams;
mod image;
mod letters;
mod picture;
mod record;
mod scalar;
mod text;

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use mlestar_data::ImageSet;

pub use confusion_matrix::confusion_matrix_picture;
pub use histogram::HistogramSummary;
pub use hparams::{HparamStatus, HparamValue};
pub use picture::RgbPicture;

use mlestar_artifact::protobuf::Message;

use crate::TrainError;

/// Appends to a new event file.
///
/// ```
/// use mlestar_train::tensorboard::{EventWriter, HistogramSummary};
///
/// let folder = std::env::temp_dir().join(format!("mlestar-doc-{}", std::process::id()));
/// let mut writer = EventWriter::create(&folder, 0)?;
/// writer.scalars(1, &[("train/loss", 2.3), ("train/accuracy", 0.1)])?;
/// writer.histogram(1, "weights/stem", &HistogramSummary::of([0.1_f32, -0.2]))?;
/// writer.text(1, "notes", "the **first** try")?;
/// assert!(writer.path().exists());
/// # std::fs::remove_dir_all(&folder).ok();
/// # Ok::<(), mlestar_train::TrainError>(())
/// ```
#[derive(Debug)]
pub struct EventWriter {
    path: PathBuf,
    file: File,
}

/// Distinguishes the names of files that one process writes in one second.
static FILES: AtomicU32 = AtomicU32::new(0);

impl EventWriter {
    /// Creates `folder` if needed and a new file `events.out.tfevents.*` in it.
    ///
    /// Readers discard what older files in the folder contain about `first_step` and later steps, so a resumed
    /// training overwrites the steps that it repeats.
    ///
    /// # Errors
    ///
    /// [`TrainError::Io`] with the file or folder.
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

    /// Appends the values of `step` as one event. TensorBoard stores f32.
    ///
    /// # Errors
    ///
    /// [`TrainError::Io`] with the file.
    pub fn scalars(&mut self, step: u64, values: &[(&str, f64)]) -> Result<(), TrainError> {
        let values: Vec<_> = values
            .iter()
            .map(|(tag, number)| scalar::value(tag, *number))
            .collect();
        self.append_summary(step, &values)
    }

    /// Appends a histogram.
    ///
    /// TensorBoard's histograms cannot contain values that are not finite: if there are any, their number is
    /// appended as the scalar `<tag>/not_finite`.
    ///
    /// # Errors
    ///
    /// [`TrainError::Io`] with the file.
    pub fn histogram(
        &mut self,
        step: u64,
        tag: &str,
        histogram: &HistogramSummary,
    ) -> Result<(), TrainError> {
        let mut values = vec![histogram::value(tag, histogram)];
        if histogram.n_not_finite() > 0 {
            let tag = format!("{tag}/not_finite");
            values.push(scalar::value(&tag, histogram.n_not_finite() as f64));
        }
        self.append_summary(step, &values)
    }

    /// Appends an image that is encoded as PNG and has this many pixels.
    ///
    /// # Errors
    ///
    /// [`TrainError::Picture`] if `png` is no PNG file of this size, [`TrainError::Io`] with the file.
    pub fn image(
        &mut self,
        step: u64,
        tag: &str,
        width: u32,
        height: u32,
        png: &[u8],
    ) -> Result<(), TrainError> {
        image::check(tag, width, height, png)?;
        self.append_summary(step, &[image::value(tag, width, height, png)])
    }

    /// Appends an image.
    ///
    /// # Errors
    ///
    /// As for [`EventWriter::image`].
    pub fn picture(
        &mut self,
        step: u64,
        tag: &str,
        picture: &RgbPicture,
    ) -> Result<(), TrainError> {
        // No side of an image exceeds 4096 pixels.
        let (width, height) = (picture.width() as u32, picture.height() as u32);
        self.image(step, tag, width, height, &picture.to_png()?)
    }

    /// Appends images of a set as one image: as many columns as rows or one more, a margin around each, and
    /// small images enlarged so that the longer side has about 64 pixels.
    ///
    /// # Errors
    ///
    /// [`TrainError::OutOfRange`] if `indices` is empty, contains an index not below the size of the set, or is
    /// too long for an image of 4096 x 4096 pixels; [`TrainError::Io`] with the file.
    pub fn images(
        &mut self,
        step: u64,
        tag: &str,
        set: &ImageSet,
        indices: &[usize],
    ) -> Result<(), TrainError> {
        if let Some(index) = indices.iter().find(|index| **index >= set.len()) {
            let limit = format!("below {}, the number of images", set.len());
            return Err(TrainError::out_of_range("index", index, limit));
        }
        let pictures: Vec<&[u8]> = indices.iter().map(|&index| set.pixels(index)).collect();
        let gallery = RgbPicture::gallery(&pictures, (set.height(), set.width()))?;
        self.picture(step, tag, &gallery)
    }

    /// Appends a text, which TensorBoard shows as Markdown.
    ///
    /// # Errors
    ///
    /// [`TrainError::Io`] with the file.
    pub fn text(&mut self, step: u64, tag: &str, markdown: &str) -> Result<(), TrainError> {
        self.append_summary(step, &[text::value(tag, markdown)])
    }

    /// Appends the settings of a completed training and the scalars that measure its result, for the HParams
    /// tab: combines [`EventWriter::hparams_start`] and [`EventWriter::hparams_end`].
    ///
    /// # Errors
    ///
    /// As for [`EventWriter::hparams_start`].
    pub fn hparams(
        &mut self,
        values: &[(&str, HparamValue)],
        metrics: &[&str],
    ) -> Result<(), TrainError> {
        self.hparams_start(values, metrics)?;
        self.hparams_end(HparamStatus::Success)
    }

    /// Appends the settings of a training that starts, and the tags of the scalars in this folder that measure
    /// its result.
    ///
    /// The tab takes the list of settings and metrics from any one training, so trainings to be compared should
    /// name the same ones.
    ///
    /// # Errors
    ///
    /// [`TrainError::Hparam`] if a name is empty or occurs twice, or a number is not finite; [`TrainError::Io`]
    /// with the file.
    pub fn hparams_start(
        &mut self,
        values: &[(&str, HparamValue)],
        metrics: &[&str],
    ) -> Result<(), TrainError> {
        hparams::check(values, metrics)?;
        let time = wall_time_seconds();
        self.append_summary(0, &[hparams::experiment(time, values, metrics)])?;
        self.append_summary(0, &[hparams::session_start(time, values)])
    }

    /// Appends how the training ended whose settings were appended.
    ///
    /// # Errors
    ///
    /// [`TrainError::Io`] with the file.
    pub fn hparams_end(&mut self, status: HparamStatus) -> Result<(), TrainError> {
        self.append_summary(0, &[hparams::session_end(wall_time_seconds(), status)])
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn append_summary(&mut self, step: u64, values: &[Message]) -> Result<(), TrainError> {
        self.append(&[event::summary(wall_time_seconds(), step, values)])
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
    // A clock before 1970 is not worth an error.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |elapsed| elapsed.as_secs_f64())
}
