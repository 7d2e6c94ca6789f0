//! A search by several processes: a folder with the settings of the study, its journal and the trainings of its
//! trials.
//!
//! [`begin()`] makes the folder, [`go_on`] checks that it belongs to a config, [`work`] runs trials until none is left,
//! and [`status()`], [`progress`], [`best()`] and [`report()`] look at it. `mlestar tune` starts processes that call [`work`].
//!
//! | in the folder | what |
//! |---|---|
//! | `study.toml` | the project's config and what else decides the trials ([`StudyFile`]) |
//! | `journal.log` | the trials, in the format of Optuna's `JournalStorage` (`mlestar_tune::shared`) |
//! | `trials/<number>/` | the training of a trial that is not finished, or is the best |
//! | `optimized.toml` | the config with the best parameters, from [`best()`] |
//! | `report.html` | the page about the trials, from [`report()`] |

mod begin;
mod best;
mod decisive;
mod enqueue;
mod folder;
mod images;
mod report;
mod source;
mod status;
mod study_file;
mod trial;
mod worker;

pub use begin::{BeginRequest, GoOnRequest, begin, go_on};
pub use best::{Best, best};
pub use decisive::Decisive;
pub use enqueue::read_parameters;
pub use folder::StudyFolder;
pub use report::report;
pub use source::Source;
pub use status::{StudyStatus, TrialRow, UnfinishedRow, progress, status};
pub use study_file::StudyFile;
pub(crate) use study_file::with_absolute_paths;
pub(crate) use worker::kind_of;
pub use worker::{WorkEnd, WorkRequest, work};
