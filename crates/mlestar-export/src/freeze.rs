//! Freezes a trained Burn model: folds batch norm into the convolutions' weights.

use std::collections::BTreeMap;

use mlestar_model::{
    Activation, AttentionDescription, AttentionKind, BlockDescription, Description, ModelSpec,
    NamedTensor, Shortcut, UnitDescription,
};
#[cfg(feature = "burn")]
use mlestar_model::{ImageClassifier, Network};

use crate::error::ExportError;
use crate::frozen::FrozenModel;
use crate::graph::{
    AttentionLayer, Convolution, Factors, Layer, Linear, Operation, PixelNormalization,
};

impl FrozenModel {
    /// Freezes a trained classifier in evaluation mode: running statistics, no dropout.
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
    /// [`ExportError::State`] if `model` does not have the architecture of `spec`;
    /// [`ExportError::InvalidGraph`] if a weight is not finite, the normalisation is not usable, or there is
    /// not one class name for each output.
    #[cfg(feature = "burn")]
    pub fn freeze(
        model: &ImageClassifier,
        spec: &ModelSpec,
        normalization: ([f32; 3], [f32; 3]),
        classes: &[String],
    ) -> Result<Self, ExportError> {
        Self::from_state(&model.state(), spec, normalization, classes)
    }

    /// Freezes the tensors of a checkpoint, without Burn.
    ///
    /// # Errors
    ///
    /// As for [`FrozenModel::freeze`].
    pub fn from_state(
        state: &[NamedTensor],
        spec: &ModelSpec,
        normalization: ([f32; 3], [f32; 3]),
        classes: &[String],
    ) -> Result<Self, ExportError> {
        Self::from_description(state, &spec.description(), normalization, classes)
    }

    /// Freezes a network that is not described by a model config.
    ///
    /// # Errors
    ///
    /// As for [`FrozenModel::freeze`].
    pub fn from_description(
        state: &[NamedTensor],
        description: &Description,
        (mean, std): ([f32; 3], [f32; 3]),
        classes: &[String],
    ) -> Result<Self, ExportError> {
        let state = State::new(state);
        let mut operations = Vec::new();
        for block in &description.blocks {
            state.add_block(block, &mut operations)?;
        }
        operations.push(Operation {
            name: "pool".to_owned(),
            input: operations.len(),
            layer: Layer::GlobalAveragePool,
        });
        operations.push(state.head(operations.len())?);
        let [height, width] = description.image;
        let model = Self::new(
            classes.to_vec(),
            PixelNormalization { mean, std },
            height,
            width,
            operations,
        )?;
        Ok(model.with_views(description.views))
    }
}

struct State<'a> {
    tensors: BTreeMap<&'a str, &'a NamedTensor>,
}

impl<'a> State<'a> {
    fn new(tensors: &'a [NamedTensor]) -> Self {
        Self {
            tensors: tensors
                .iter()
                .map(|tensor| (tensor.name.as_str(), tensor))
                .collect(),
        }
    }

    /// The tensor called `name`, which must have `N` dimensions and as many values as its shape requires.
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
            .map_err(|_| error(format!("has shape {:?}, not {N} dimensions", tensor.shape)))?;
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

    /// Appends a block that reads the last buffer. Its last convolution adds the result of the shortcut; in a block with
    /// attention, the layer after that convolution does.
    fn add_block(
        &self,
        block: &BlockDescription,
        operations: &mut Vec<Operation>,
    ) -> Result<(), ExportError> {
        let Some((last, others)) = block.branch.split_last() else {
            return Ok(());
        };
        let input = operations.len();
        let mut before_last = input;
        for unit in others {
            before_last = self.add_unit(unit, before_last, None, operations)?;
        }
        let add_from = match &block.shortcut {
            Shortcut::None => None,
            Shortcut::Identity => Some(input),
            Shortcut::Projection(unit) => Some(self.add_unit(unit, input, None, operations)?),
        };
        let Some(attention) = &block.attention else {
            self.add_unit(last, before_last, add_from, operations)?;
            return Ok(());
        };
        // Such a unit has no max pool.
        operations.push(Operation {
            name: last.operation_name(),
            input: before_last,
            layer: Layer::Convolution(self.convolution(last, None, None)?),
        });
        operations.push(Operation {
            name: attention.name.clone(),
            input: operations.len(),
            layer: Layer::Attention(AttentionLayer {
                factors: self.factors(attention)?,
                add_from,
                activation: last.activation,
            }),
        });
        Ok(())
    }

    /// The parts of an attention layer.
    fn factors(&self, attention: &AttentionDescription) -> Result<Factors, ExportError> {
        match attention.kind {
            AttentionKind::Channels { .. } => Ok(Factors::OfChannels {
                reduce: self.linear(&attention.layer_name("reduce"))?,
                expand: self.linear(&attention.layer_name("expand"))?,
            }),
            AttentionKind::Pixels { .. } => {
                let name = attention.layer_name("conv");
                let (weight_shape, weight) = self.tensor::<4>(&format!("{name}.weight"))?;
                let bias = self.per_channel(&format!("{name}.bias"), weight_shape[0])?;
                let (weight, bias) = (weight.to_vec(), bias.to_vec());
                Ok(Factors::OfPixels(Convolution::of_maps(
                    weight_shape,
                    weight,
                    bias,
                )))
            }
        }
    }

    /// Appends a unit that reads the buffer `input`; returns the buffer that it writes.
    ///
    /// If the scale is above 0, the maximum of normalised values equals the normalised maximum, so the
    /// normalisation may be moved before a max pool.
    fn add_unit(
        &self,
        unit: &UnitDescription,
        input: usize,
        add_from: Option<usize>,
        operations: &mut Vec<Operation>,
    ) -> Result<usize, ExportError> {
        let [before_pool, after_pool] = unit.activations_round_pool();
        let convolution = self.convolution(unit, add_from, before_pool)?;
        operations.push(Operation {
            name: unit.operation_name(),
            input,
            layer: Layer::Convolution(convolution),
        });
        if !unit.trains_scale() {
            self.check_scale(unit)?;
        }
        if let Some(pool) = unit.pool {
            operations.push(Operation {
                name: unit.pool_name(),
                input: operations.len(),
                layer: Layer::MaxPool {
                    window: pool.window,
                    stride: pool.stride,
                    padding: pool.padding,
                    activation: after_pool,
                },
            });
        }
        Ok(operations.len())
    }

    /// The convolution of a unit with its batch norm folded in.
    fn convolution(
        &self,
        unit: &UnitDescription,
        add_from: Option<usize>,
        activation: Option<Activation>,
    ) -> Result<Convolution, ExportError> {
        let (shape, weight) = self.tensor::<4>(&format!("{}.weight", unit.convolution_name()))?;
        let channels = shape[0];
        let norm = unit.normalization_name();
        let norm = |field: &str| self.per_channel(&format!("{norm}.{field}"), channels);
        let (gamma, beta) = (norm("weight")?, norm("bias")?);
        let (mean, variance) = (norm("running_mean")?, norm("running_var")?);
        let per_channel = (weight.len() / channels.max(1)).max(1);
        let mut folded = Vec::with_capacity(weight.len());
        let mut bias = Vec::with_capacity(channels);
        for (channel, weights) in weight.chunks_exact(per_channel).enumerate() {
            let deviation = (f64::from(variance[channel]) + unit.epsilon).sqrt();
            let scale = f64::from(gamma[channel]) / deviation;
            let scaled = weights
                .iter()
                .map(|&weight| (f64::from(weight) * scale) as f32);
            folded.extend(scaled);
            bias.push((f64::from(beta[channel]) - f64::from(mean[channel]) * scale) as f32);
        }
        Ok(Convolution {
            weight_shape: shape,
            groups: unit.groups,
            weight: folded,
            bias,
            stride: [unit.stride; 2],
            padding: unit.padding,
            add_from,
            activation,
        })
    }

    /// Rejects scales that must not precede a max pool.
    fn check_scale(&self, unit: &UnitDescription) -> Result<(), ExportError> {
        let name = format!("{}.weight", unit.normalization_name());
        let (_, values) = self.tensor::<1>(&name)?;
        match values.iter().find(|value| **value <= 0.0) {
            Some(value) => Err(ExportError::State {
                name,
                reason: format!("holds {value}, but the scale after a max pool must be above 0"),
            }),
            None => Ok(()),
        }
    }

    fn head(&self, input: usize) -> Result<Operation, ExportError> {
        Ok(Operation {
            name: "head".to_owned(),
            input,
            layer: Layer::Linear(self.linear("head")?),
        })
    }

    fn linear(&self, name: &str) -> Result<Linear, ExportError> {
        let (weight_shape, weight) = self.tensor::<2>(&format!("{name}.weight"))?;
        let bias = self.per_channel(&format!("{name}.bias"), weight_shape[0])?;
        Ok(Linear {
            weight_shape,
            weight: weight.to_vec(),
            bias: bias.to_vec(),
        })
    }
}
