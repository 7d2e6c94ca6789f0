//! How much the accuracy of a training varies from split to split: the same settings are trained several times, each time
//! with other training and validation images, drawn from those that are not test images.
//!
//! [`begin()`] makes the folder or goes on with it, [`work`] trains splits until none is free, and [`status()`] joins the
//! results. `mlestar splits` starts processes that call [`work`]; they share nothing but the folder.
//!
//! | in the folder | what |
//! |---|---|
//! | `splits.toml` | the project's config, the number of splits, and what else decides the results ([`SplitsFile`]) |
//! | `results/<number>.json` | the result of a split ([`SplitResult`]), written whole when its training has ended |
//! | `claims/<number>` | locked by the process that trains the split |
//! | `trainings/<number>/` | the training of a split without a result |
//! | `splits.json`, `splits.html` | all results together ([`SplitsSummary`]), once there are all |

mod begin;
mod draw;
mod file;
mod folder;
mod page;
mod result;
mod summary;
mod training;
mod work;

pub use begin::{SplitsRequest, begin};
pub use file::SplitsFile;
pub use folder::SplitsFolder;
pub use result::{SplitOutcome, SplitResult};
pub use summary::{SplitsSummary, status};
pub use work::{SplitsEnd, SplitsWork, work};
