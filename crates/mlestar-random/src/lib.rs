//! Counter-based random numbers keyed by (seed, purpose, epoch, index).
//!
//! A training makes many random choices: the order of an epoch, the crop of one image, the initial value of one
//! weight. With one shared generator, each choice would depend on every earlier one, and so on the number of
//! threads and on where a training was resumed. Here each choice has its own [`Stream`], determined by the
//! purpose of the choice:
//!
//! ```
//! use mlestar_random::Stream;
//!
//! let seed = 7;
//! // The crop of image 1234 in epoch 3, independent of who asks and when.
//! let mut crop = Stream::new(seed, "augmentation", 3, 1234);
//! let (dy, dx) = (crop.below(9), crop.below(9));
//!
//! let mut again = Stream::new(seed, "augmentation", 3, 1234);
//! assert_eq!((dy, dx), (again.below(9), again.below(9)));
//! ```
//!
//! The generator is Philox4x32-10 (J. Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3",
//! SC 2011), which passes BigCrush. It is not for cryptography.

mod philox;
mod stream;

pub use stream::Stream;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
