//! From a trained Burn model to a frozen one: batch norm goes into the convolutions' weights.

use std::collections::BTreeMap;

use mlestar_model::{Activation, BatchNorm, BlockKind, ImageClassifier, ModelSpec, NamedTensor};

use crate::error::ExportError;
use crate::frozen::FrozenModel;
use crate::graph::{Convolution, Layer, Linear, Operation, PixelNormalization};

impl FrozenModel {
    /// Freezes a trained classifier as it is evaluated: running statistics, no dropout.
    ///
    /// With `scale = gamma / sqrt(running_var + epsilon)` every convolution gets the weights
    /// `weight * scale` and the bias `beta - running_mean * scale`, computed in `f64` and rounded
    /// once. `normalization` is mean and standard deviation per RGB channel of pixels in 0-1.
    ///
    /// ```
    /// use burn::tensor::Device;
    /// use mlestar_export::FrozenModel;
    /// use mlestar_model::ModelConfig;
    ///
    /// let spec = ModelConfig::small().check(2, 32, 32)?;
    /// let model = spec.init(0, &Device::flex());
    /// let classes = ["cat".to_owned(), "dog".to_owned()];
    /// let frozen = FrozenModel::freeze(&model, &spec, ([0.5; 3], [0.25; 3]), &classes)?;
    /// let logits = frozen.logits(&vec![128; 32 * 32 * 3], 1)?;
    /// assert_eq!(logits.len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ExportError::State`] when `model` is not of the architecture of `spec`;
    /// [`ExportError::InvalidGraph`] when a weight is not finite, the normalisation is not usable,
    /// or the class names are not one for each output.
    pub fn freeze(
        model: &ImageClassifier,
        spec: &ModelSpec,
        normalization: ([f32; 3], [f32; 3]),
        classes: &[String],
    ) -> Result<Self, ExportError> {
        Self::from_state(&model.state(), spec, normalization, classes)
    }

    /// The same from the tensors of a checkpoint ([`ImageClassifier::state`]).
    ///
    /// # Errors
    ///
    /// As [`FrozenModel::freeze`].
    pub fn from_state(
        state: &[NamedTensor],
        spec: &ModelSpec,
        (mean, std): ([f32; 3], [f32; 3]),
        classes: &[String],
    ) -> Result<Self, ExportError> {
        let state = State::new(state, spec.config().activation);
        let mut operations = vec![state.convolution(
            "stem",
            ["stem.conv", "stem.bn"],
            Place {
                input: 0,
                stride: 1,
                add_from: None,
                activation: Some(state.activation),
            },
        )?];
        for (stage, stage_config) in spec.config().stages.iter().enumerate() {
            for block in 0..stage_config.blocks {
                let stride = if block == 0 { stage_config.stride } else { 1 };
                let name = format!("stages.{stage}.{block}");
                match spec.config().architecture.block_kind(block) {
                    BlockKind::Plain => {
                        state.add_plain_block(&name, stride, &mut operations)?;
                    }
                    _ => state.add_residual_block(&name, stride, &mut operations)?,
                }
            }
        }
        operations.push(Operation {
            name: "pool".to_owned(),
            input: operations.len(),
            layer: Layer::GlobalAveragePool,
        });
        operations.push(state.head(operations.len())?);
        let model = Self::new(
            classes.to_vec(),
            PixelNormalization { mean, std },
            spec.height(),
            spec.width(),
            operations,
        )?;
        Ok(model.with_views(spec.config().views()))
    }
}

/// Where a convolution stands in the graph.
struct Place {
    input: usize,
    stride: usize,
    add_from: Option<usize>,
    activation: Option<Activation>,
}

struct State<'a> {
    tensors: BTreeMap<&'a str, &'a NamedTensor>,
    activation: Activation,
}

impl<'a> State<'a> {
    fn new(tensors: &'a [NamedTensor], activation: Activation) -> Self {
        Self {
            tensors: tensors
                .iter()
                .map(|tensor| (tensor.name.as_str(), tensor))
                .collect(),
            activation,
        }
    }

    /// The tensor called `name`, whose shape must have `N` sides and as many values as it says.
    fn tensor<const N: usize>(&self, name: &str) -> Result<([usize; N], &'a [f32]), ExportError> {
        let error = |reason: String| ExportError::State {
            name: name.to_owned(),
            reason,
        };
        let tensor = self
            .tensors
            .get(name)
            .ok_or_else(|| error("is missing".to_owned()))?;
        let shape = <[usize; N]>::try_from(tensor.shape.as_slice())
            .map_err(|_| error(format!("has shape {:?}, not {N} sides", tensor.shape)))?;
        if shape.iter().product::<usize>() != tensor.values.len() {
            let values = tensor.values.len();
            return Err(error(format!("of shape {shape:?} has {values} values")));
        }
        Ok((shape, &tensor.values))
    }

    /// One value for each of `channels` channels.
    fn per_channel(&self, name: &str, channels: usize) -> Result<&'a [f32], ExportError> {
        let ([found], values) = self.tensor::<1>(name)?;
        if found == channels {
            return Ok(values);
        }
        let reason = format!("has {found} values, but the layer has {channels} channels");
        Err(ExportError::State {
            name: name.to_owned(),
            reason,
        })
    }

    /// The convolution `convolution` with the batch norm `norm` folded in.
    fn convolution(
        &self,
        name: &str,
        [convolution, norm]: [&str; 2],
        place: Place,
    ) -> Result<Operation, ExportError> {
        let (shape, weight) = self.tensor::<4>(&format!("{convolution}.weight"))?;
        let channels = shape[0];
        let norm = |field: &str| self.per_channel(&format!("{norm}.{field}"), channels);
        let (gamma, beta) = (norm("weight")?, norm("bias")?);
        let (mean, variance) = (norm("running_mean")?, norm("running_var")?);
        let per_channel = (weight.len() / channels.max(1)).max(1);
        let mut folded = Vec::with_capacity(weight.len());
        let mut bias = Vec::with_capacity(channels);
        for (channel, weights) in weight.chunks_exact(per_channel).enumerate() {
            let deviation = (f64::from(variance[channel]) + BatchNorm::EPSILON).sqrt();
            let scale = f64::from(gamma[channel]) / deviation;
            folded.extend(
                weights
                    .iter()
                    .map(|&weight| (f64::from(weight) * scale) as f32),
            );
            bias.push((f64::from(beta[channel]) - f64::from(mean[channel]) * scale) as f32);
        }
        Ok(Operation {
            name: name.to_owned(),
            input: place.input,
            layer: Layer::Convolution(Convolution {
                weight_shape: shape,
                weight: folded,
                bias,
                stride: [place.stride; 2],
                padding: [shape[2] / 2, shape[3] / 2],
                add_from: place.add_from,
                activation: place.activation,
            }),
        })
    }

    /// Appends a residual block that reads the last buffer: its first convolution, its shortcut
    /// where it has one, and its second convolution, which adds the shortcut's result.
    fn add_residual_block(
        &self,
        block: &str,
        stride: usize,
        operations: &mut Vec<Operation>,
    ) -> Result<(), ExportError> {
        let input = operations.len();
        let name = |part: &str| format!("{block}.{part}");
        operations.push(self.convolution(
            &name("conv1"),
            [&name("conv1"), &name("bn1")],
            Place {
                input,
                stride,
                add_from: None,
                activation: Some(self.activation),
            },
        )?);
        let first = operations.len();
        let mut add_from = input;
        if self
            .tensors
            .contains_key(name("shortcut.conv.weight").as_str())
        {
            operations.push(self.convolution(
                &name("shortcut"),
                [&name("shortcut.conv"), &name("shortcut.bn")],
                Place {
                    input,
                    stride,
                    add_from: None,
                    activation: None,
                },
            )?);
            add_from = operations.len();
        }
        operations.push(self.convolution(
            &name("conv2"),
            [&name("conv2"), &name("bn2")],
            Place {
                input: first,
                stride: 1,
                add_from: Some(add_from),
                activation: Some(self.activation),
            },
        )?);
        Ok(())
    }

    /// Appends a block without shortcut that reads the last buffer. The largest of normalised values is
    /// the normalised largest value where the scale is above 0, so that normalisation may come before the
    /// pool, and so may a ReLU, which never falls; another activation comes after it.
    fn add_plain_block(
        &self,
        block: &str,
        pool: usize,
        operations: &mut Vec<Operation>,
    ) -> Result<(), ExportError> {
        let name = |part: &str| format!("{block}.{part}");
        let place = |input: usize, activation: Option<Activation>| Place {
            input,
            stride: 1,
            add_from: None,
            activation,
        };
        let activation = Some(self.activation);
        let after_pool = activation.filter(|activation| pool > 1 && !activation.is_monotonic());
        let first = self.convolution(
            &name("conv1"),
            [&name("conv1"), &name("bn1")],
            place(
                operations.len(),
                activation.filter(|_| after_pool.is_none()),
            ),
        )?;
        operations.push(first);
        if pool > 1 {
            let scale = name("bn1.weight");
            let (_, values) = self.tensor::<1>(&scale)?;
            if let Some(value) = values.iter().find(|value| **value <= 0.0) {
                return Err(ExportError::State {
                    name: scale,
                    reason: format!(
                        "holds {value}, but the scale after a max pool must be above 0"
                    ),
                });
            }
            operations.push(Operation {
                name: name("pool"),
                input: operations.len(),
                layer: Layer::MaxPool {
                    window: pool,
                    activation: after_pool,
                },
            });
        }
        let second = self.convolution(
            &name("conv2"),
            [&name("conv2"), &name("bn2")],
            place(operations.len(), activation),
        )?;
        operations.push(second);
        Ok(())
    }

    fn head(&self, input: usize) -> Result<Operation, ExportError> {
        let (weight_shape, weight) = self.tensor::<2>("head.weight")?;
        let bias = self.per_channel("head.bias", weight_shape[0])?;
        Ok(Operation {
            name: "head".to_owned(),
            input,
            layer: Layer::Linear(Linear {
                weight_shape,
                weight: weight.to_vec(),
                bias: bias.to_vec(),
            }),
        })
    }
}
