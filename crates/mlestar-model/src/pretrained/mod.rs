//! Weights that others trained, from their files, without Burn.
//!
//! [`WeightsFile::read`] reads files of safetensors and of PyTorch (`.pth`, `.pt`, of any version). A file of PyTorch is a
//! program for Python's unpickler; here it can only describe tensors, and everything else is refused. The file is
//! recognised by the names and shapes of its tensors ([`WeightsFile::recognise`]), and its values become the state of a
//! network ([`WeightsFile::for_description`]):
//!
//! | network | files of |
//! |---|---|
//! | ResNet-18, ResNet-50 | torchvision, timm |
//! | EfficientNet-Lite0 | `efficientnet_lite_pytorch`, timm (`tf_efficientnet_lite0`) |
//! | any | our own states: a checkpoint's `model.safetensors` |
//!
//! ```
//! use mlestar_model::pretrained::{Head, Naming, WeightsFile};
//! use mlestar_model::{Architecture, ModelConfig};
//! # use std::path::Path;
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("resnet18.safetensors");
//! # let other = ModelConfig::of(Architecture::Resnet18).check(7, 32, 32)?.description();
//! # let bytes: Vec<_> = other.tensors().into_iter()
//! #     .map(|(name, shape)| (name, shape.clone(), vec![0_u8; 4 * shape.iter().product::<usize>()])).collect();
//! # let views = bytes.iter().map(|(name, shape, bytes)| {
//! #     (name, safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes).unwrap())
//! # });
//! # std::fs::write(&path, safetensors::serialize(views, None)?)?;
//!
//! let file = WeightsFile::read(&path)?;
//! let recognised = file.recognise().expect("a ResNet-18");
//! assert_eq!((recognised.architecture, recognised.n_classes), (Architecture::Resnet18, Some(7)));
//!
//! // For other classes, the linear layer is left out.
//! let description = ModelConfig::of(Architecture::Resnet18).check(2, 224, 224)?.description();
//! let pretrained = file.for_description(&description)?;
//! assert_eq!(pretrained.record.head, Head::Dropped { n_classes: Some(7) });
//! # assert_eq!(pretrained.record.naming, Naming::Mlestar);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod archive;
mod naming;
mod pickle;
mod preprocessing;
mod safetensors_file;
mod stored;
mod torch_file;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use mlestar_artifact::ContentHash;
use serde::{Deserialize, Serialize};

pub use naming::Naming;
pub use preprocessing::{Interpolation, Preprocessing};

use crate::tensor::check_values;
use crate::{Architecture, Description, ModelConfig, ModelError, NamedTensor};
use stored::StoredTensor;

/// Prefix of the names of the linear layer's tensors.
const HEAD: &str = "head.";
/// A counter of PyTorch's batch normalisation that no evaluation reads.
const COUNTER: &str = "num_batches_tracked";
/// Names in a message; more are counted.
const MOST_NAMED: usize = 5;

/// A file of weights: its bytes and where its tensors lie.
#[derive(Debug)]
pub struct WeightsFile {
    path: PathBuf,
    bytes: Vec<u8>,
    tensors: Vec<StoredTensor>,
    hash: ContentHash,
}

/// What the names and shapes of a file say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recognised {
    /// The architecture.
    pub architecture: Architecture,
    /// Whose names the file uses.
    pub naming: Naming,
    /// Outputs of its linear layer; `None` without one.
    pub n_classes: Option<usize>,
}

/// Weights of a file for a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Pretrained {
    /// The state with the network's names, in the network's order; without the head if that was dropped.
    pub state: Vec<NamedTensor>,
    /// Where it comes from.
    pub record: PretrainedRecord,
}

/// Where weights come from and what they expect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PretrainedRecord {
    /// The published architecture, if it is one.
    pub architecture: Option<Architecture>,
    /// Whose names the file uses.
    pub naming: Naming,
    /// What became of the linear layer.
    pub head: Head,
    /// How images must be prepared, if the publishers say so.
    pub preprocessing: Option<Preprocessing>,
    /// Hash of the file's content.
    pub file: ContentHash,
}

/// What became of a file's linear layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Head {
    /// It is part of the state.
    Kept,
    /// It is for another number of classes, or missing, and not part of the state.
    Dropped {
        /// Number of its classes; `None` without one.
        n_classes: Option<usize>,
    },
}

/// A tensor of a network and the one of a file that belongs to it.
struct Pair<'a> {
    own: &'a str,
    shape: &'a [usize],
    stored: Option<&'a StoredTensor>,
}

impl Pair<'_> {
    fn is_of_head(&self) -> bool {
        self.own.starts_with(HEAD)
    }

    fn fits(&self) -> bool {
        self.stored.is_some_and(|stored| stored.shape == self.shape)
    }
}

impl WeightsFile {
    /// Reads a file of safetensors or of PyTorch. What it is, its content says, not its name.
    ///
    /// # Errors
    ///
    /// [`ModelError::Weights`] if it cannot be read, is damaged, holds something other than tensors, has a name twice,
    /// or a tensor that reaches outside its data.
    pub fn read(path: &Path) -> Result<Self, ModelError> {
        let refused = |reason: String| ModelError::Weights {
            path: path.to_owned(),
            reason,
        };
        let bytes =
            fs::read(path).map_err(|error| refused(format!("it cannot be read ({error})")))?;
        let tensors = match torch_file::is_torch(&bytes) {
            true => torch_file::tensors(&bytes),
            false => safetensors_file::tensors(&bytes).map_err(|reason| {
                format!("it is neither a file of PyTorch nor of safetensors ({reason})")
            }),
        };
        let tensors = tensors.map_err(refused)?;
        let mut names: Vec<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(refused(format!("it has the tensor `{}` twice", pair[0])));
        }
        Ok(Self {
            path: path.to_owned(),
            hash: ContentHash::of_bytes(&bytes),
            bytes,
            tensors,
        })
    }

    /// Names and shapes of its tensors, in the order of the file (of safetensors: by name).
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &[usize])> {
        (self.tensors.iter()).map(|tensor| (tensor.name.as_str(), tensor.shape.as_slice()))
    }

    /// Hash of its content.
    #[must_use]
    pub fn hash(&self) -> &ContentHash {
        &self.hash
    }

    /// The published architecture whose tensors it has, except for the linear layer, which may be missing or for any
    /// number of classes.
    #[must_use]
    pub fn recognise(&self) -> Option<Recognised> {
        let by_name = self.by_name();
        for architecture in Architecture::PUBLISHED {
            // The shapes of weights depend neither on the size of images nor, but for the head, on the classes.
            let spec = ModelConfig::of(architecture).check(2, 224, 224).ok()?;
            let own = spec.description().tensors();
            for naming in Naming::ALL {
                let Some(pairs) = pairs(&own, naming, &by_name) else {
                    continue;
                };
                if pairs.iter().all(|pair| pair.is_of_head() || pair.fits()) {
                    return Some(Recognised {
                        architecture,
                        naming,
                        n_classes: classes_of(&pairs),
                    });
                }
            }
        }
        None
    }

    /// The weights for the network of a description.
    ///
    /// # Errors
    ///
    /// [`ModelError::Weights`] with the tensors that are missing, that the network does not have or that have another
    /// shape (a head may have other classes or be missing), and with the first value that is not finite or a negative
    /// variance.
    pub fn for_description(&self, description: &Description) -> Result<Pretrained, ModelError> {
        self.for_tensors(&description.tensors())
    }

    /// The weights for a network of which names and shapes of the tensors are known, such as those of a module of your
    /// own.
    ///
    /// # Errors
    ///
    /// As for [`Self::for_description`].
    pub fn for_tensors(&self, own: &[(String, Vec<usize>)]) -> Result<Pretrained, ModelError> {
        let refused = |reason: String| ModelError::Weights {
            path: self.path.clone(),
            reason,
        };
        let by_name = self.by_name();
        let best = (Naming::ALL.into_iter())
            .filter_map(|naming| Some((naming, pairs(own, naming, &by_name)?)))
            .max_by_key(|(naming, pairs)| {
                let found = pairs.iter().filter(|pair| pair.stored.is_some()).count();
                // Of several with no match, our own names are the ones to report.
                (found, *naming == Naming::Mlestar)
            });
        let Some((naming, pairs)) = best else {
            return Err(refused("the network has no tensors".to_owned()));
        };
        let keeps_head = pairs.iter().all(|pair| !pair.is_of_head() || pair.fits());
        let head = match keeps_head {
            true => Head::Kept,
            false => Head::Dropped {
                n_classes: classes_of(&pairs),
            },
        };
        if let Some(reason) = self.differences(&pairs, own, naming, keeps_head) {
            return Err(refused(reason));
        }
        let taken = pairs.iter().filter(|pair| keeps_head || !pair.is_of_head());
        let mut state = Vec::with_capacity(pairs.len());
        for pair in taken {
            let Some(stored) = pair.stored else { continue };
            let tensor = NamedTensor {
                name: pair.own.to_owned(),
                shape: stored.shape.clone(),
                values: stored.values(&self.bytes),
            };
            check_values(&tensor).map_err(|error| refused(error.to_string()))?;
            state.push(tensor);
        }
        let architecture = self.recognise().map(|recognised| recognised.architecture);
        let record = PretrainedRecord {
            architecture,
            naming,
            head,
            preprocessing: architecture.and_then(|own| Preprocessing::of(own, naming)),
            file: self.hash.clone(),
        };
        Ok(Pretrained { state, record })
    }

    fn by_name(&self) -> HashMap<&str, &StoredTensor> {
        (self.tensors.iter())
            .map(|tensor| (tensor.name.as_str(), tensor))
            .collect()
    }

    /// In words, why the file does not fit the network; `None` if it does.
    fn differences(
        &self,
        pairs: &[Pair<'_>],
        own: &[(String, Vec<usize>)],
        naming: Naming,
        keeps_head: bool,
    ) -> Option<String> {
        let own: Vec<&str> = own.iter().map(|(name, _)| name.as_str()).collect();
        let names = naming.names(&own)?;
        let judged =
            || (pairs.iter().zip(&names)).filter(|(pair, _)| keeps_head || !pair.is_of_head());
        let missing = judged().filter(|(pair, _)| pair.stored.is_none());
        let missing: Vec<String> = missing.map(|(_, name)| format!("`{name}`")).collect();
        let shapes = judged().filter(|(pair, _)| pair.stored.is_some() && !pair.fits());
        let shapes: Vec<String> = shapes
            .filter_map(|(pair, name)| {
                let found = &pair.stored?.shape;
                let expected = pair.shape;
                Some(format!(
                    "`{name}` has the shape {found:?} in the file and {expected:?} in this network"
                ))
            })
            .collect();
        let known: std::collections::HashSet<&str> = names.iter().map(String::as_str).collect();
        let left = self.tensors.iter().filter(|tensor| {
            !known.contains(tensor.name.as_str()) && !tensor.name.ends_with(COUNTER)
        });
        let left: Vec<String> = left.map(|tensor| format!("`{}`", tensor.name)).collect();
        let reasons = [
            (!missing.is_empty()).then(|| format!("the file has no {}", listed(&missing))),
            (!left.is_empty()).then(|| format!("this network has no {}", listed(&left))),
            (!shapes.is_empty()).then(|| listed(&shapes)),
        ];
        let reasons: Vec<String> = reasons.into_iter().flatten().collect();
        if reasons.is_empty() {
            return None;
        }
        let recognised = match self.recognise() {
            Some(recognised) => format!("; the file is of {}", recognised.architecture.name()),
            None => String::new(),
        };
        Some(reasons.join("; ") + &recognised)
    }
}

/// The tensors of a network with those of a file in this naming.
fn pairs<'a>(
    own: &'a [(String, Vec<usize>)],
    naming: Naming,
    file: &HashMap<&str, &'a StoredTensor>,
) -> Option<Vec<Pair<'a>>> {
    let names: Vec<&str> = own.iter().map(|(name, _)| name.as_str()).collect();
    let others = naming.names(&names)?;
    let pairs = own.iter().zip(others).map(|((name, shape), other)| Pair {
        own: name,
        shape,
        stored: file.get(other.as_str()).copied(),
    });
    Some(pairs.collect())
}

/// Number of classes of a file's linear layer.
fn classes_of(pairs: &[Pair<'_>]) -> Option<usize> {
    let weight = pairs.iter().find(|pair| pair.own == "head.weight")?;
    weight.stored?.shape.first().copied()
}

/// The first of several names or differences, and the number of the others.
fn listed(names: &[String]) -> String {
    let first = names[..names.len().min(MOST_NAMED)].join(", ");
    match names.len().saturating_sub(MOST_NAMED) {
        0 => first,
        others => format!("{first} and {others} more"),
    }
}
