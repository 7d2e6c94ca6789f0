//! A network as a list of blocks: the common input of everything that builds, runs, counts or writes a network.

use std::collections::HashSet;

use crate::{Activation, AttentionDescription, ModelError, Padding, Views};

/// A network: a sequence of blocks, then global average pooling, dropout and a linear layer.
///
/// An architecture creates one from its config ([`ModelSpec::description`](crate::ModelSpec::description)).
/// Code that reads it does not need to know the architecture. Shapes of feature maps are
/// `[channels, height, width]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// Height and width of the images in pixels.
    pub image: [usize; 2],
    /// The blocks, in the order of computation.
    pub blocks: Vec<BlockDescription>,
    /// Probability with which a feature is dropped before the linear layer, only in training.
    pub dropout: f64,
    /// Probability of skipping the last branch in a training step; see
    /// [`branch_factors`](crate::branch_factors).
    pub stochastic_depth: f64,
    /// Number of outputs of the linear layer.
    pub n_classes: usize,
    /// The views over which evaluation averages the logits.
    pub views: Views,
}

/// A branch of units, what scales its result and what is added to it.
#[derive(Clone, PartialEq)]
pub struct BlockDescription {
    /// Dotted name, e.g. `stages.0.1`; prefix of the names of its tensors.
    pub name: String,
    /// The stage that it belongs to. Stochastic depth counts the blocks with a stage.
    pub stage: Option<usize>,
    /// The units, at least one.
    pub branch: Vec<UnitDescription>,
    /// What scales the last unit's normalised result, before the sum; such a unit has no max pool.
    pub attention: Option<AttentionDescription>,
    /// What is added to the last unit's normalised and scaled result, before its activation.
    pub shortcut: Shortcut,
}

/// As if derived, but without an absent attention layer: checkpoints of networks without a config are identified by this
/// text, also those from before there was attention.
impl std::fmt::Debug for BlockDescription {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut fields = formatter.debug_struct("BlockDescription");
        fields
            .field("name", &self.name)
            .field("stage", &self.stage)
            .field("branch", &self.branch);
        if let Some(attention) = &self.attention {
            fields.field("attention", attention);
        }
        fields.field("shortcut", &self.shortcut).finish()
    }
}

/// What a block adds to the result of its branch.
#[derive(Debug, Clone, PartialEq)]
pub enum Shortcut {
    /// Nothing.
    None,
    /// The block's input.
    Identity,
    /// The block's input after a unit.
    Projection(UnitDescription),
}

/// A square convolution without bias, batch normalisation, the block's sum in the last unit of a branch, and an
/// activation; optionally a max pool.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitDescription {
    /// Prefix of its names, e.g. `stem` or `stages.0.1`.
    pub place: String,
    /// Its number among the units of its place, from 1; `None` for the only one.
    pub number: Option<usize>,
    /// Number of input channels.
    pub channels_in: usize,
    /// Number of output channels.
    pub channels_out: usize,
    /// Side of the convolution's kernel.
    pub kernel: usize,
    /// The convolution's stride.
    pub stride: usize,
    /// Zeros around the convolution's input.
    pub padding: Padding,
    /// Groups of channels that are computed separately; as many as channels in a depthwise convolution.
    pub groups: usize,
    /// A max pool after the convolution or at the end.
    pub pool: Option<MaxPool>,
    /// Added to the variance before the batch normalisation takes its square root.
    pub epsilon: f64,
    /// The activation at the end.
    pub activation: Option<Activation>,
    /// The initial weights.
    pub initial_weights: InitialWeights,
}

/// Largest value of each window; positions outside the map are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxPool {
    /// Side of the windows.
    pub window: usize,
    /// Pixels from one window to the next. Incomplete windows at the lower and right end are left out.
    pub stride: usize,
    /// Pixels by which the first window starts outside the map; the last may end as far outside.
    pub padding: usize,
    /// Its position in the unit.
    pub position: PoolPosition,
}

/// The position of a max pool in its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolPosition {
    /// Between convolution and batch normalisation. The scale of the normalisation is not trained and stays 1.
    /// Only for scales above 0 does the maximum of scaled values equal the scaled maximum, which is needed to
    /// fold the normalisation into the convolution.
    BeforeNormalization,
    /// At the end of the unit.
    AfterActivation,
}

/// The initial weights of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitialWeights {
    /// From N(0, 2 / fan-out).
    Kaiming,
    /// The first filters are identity filters that copy one input channel each; the others as above.
    Passing,
}

impl Description {
    /// Channels of an image: red, green, blue.
    pub const CHANNELS: usize = 3;
    /// Added to the variance before a batch normalisation takes its square root, unless a unit says otherwise.
    pub const EPSILON: f64 = 1e-5;

    /// All units in the order of the state: for each block the branch, then the projection.
    pub fn units(&self) -> impl Iterator<Item = &UnitDescription> {
        self.blocks.iter().flat_map(BlockDescription::units)
    }

    /// Names and shapes of all tensors of the state, in its order: for each unit of a block the convolution's weight and
    /// those of the batch normalisation, then those of the block's attention layer; after all blocks the linear layer.
    #[must_use]
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let blocks = self.blocks.iter().flat_map(|block| {
            let units = block.units().flat_map(UnitDescription::tensors);
            units.chain(
                block
                    .attention
                    .iter()
                    .flat_map(AttentionDescription::tensors),
            )
        });
        let mut tensors: Vec<(String, Vec<usize>)> = blocks.collect();
        let head = vec![self.n_classes, self.features()];
        tensors.push(("head.weight".to_owned(), head));
        tensors.push(("head.bias".to_owned(), vec![self.n_classes]));
        tensors
    }

    /// Channels of the last feature map, the input of the linear layer.
    #[must_use]
    pub fn features(&self) -> usize {
        self.last_map()[0]
    }

    /// Shape of the last feature map.
    #[must_use]
    pub fn last_map(&self) -> [usize; 3] {
        let units = self.blocks.iter().flat_map(|block| &block.branch);
        units.fold(self.image_shape(), |map, unit| unit.output(map))
    }

    /// Shape of an image.
    #[must_use]
    pub fn image_shape(&self) -> [usize; 3] {
        [Self::CHANNELS, self.image[0], self.image[1]]
    }

    /// Checks that every part fits the previous one.
    ///
    /// # Errors
    ///
    /// [`ModelError::PictureTooSmall`] if a stride or window is larger than its feature map, which would
    /// discard most of the map; [`ModelError::Description`] if the description contradicts itself.
    pub fn check(&self) -> Result<(), ModelError> {
        let mut names = HashSet::new();
        for unit in self.units() {
            let name = unit.convolution_name();
            if !names.insert(name) {
                return Err(unit.wrong("it occurs twice"));
            }
        }
        for attention in self
            .blocks
            .iter()
            .filter_map(|block| block.attention.as_ref())
        {
            if !names.insert(attention.name.clone()) {
                return Err(attention.wrong("it occurs twice".to_owned()));
            }
        }
        let mut map = self.image_shape();
        for block in &self.blocks {
            map = block.check(map, self.image)?;
        }
        Ok(())
    }
}

impl BlockDescription {
    /// The branch, then the projection.
    fn units(&self) -> impl Iterator<Item = &UnitDescription> {
        let projection = match &self.shortcut {
            Shortcut::Projection(unit) => Some(unit),
            Shortcut::None | Shortcut::Identity => None,
        };
        self.branch.iter().chain(projection)
    }

    /// The shape of its result for `input`, if everything fits.
    fn check(&self, input: [usize; 3], image: [usize; 2]) -> Result<[usize; 3], ModelError> {
        let wrong = |reason: String| ModelError::Description {
            part: self.name.clone(),
            reason,
        };
        let key = match self.stage {
            Some(stage) => format!("stages[{stage}].stride"),
            None => format!("{}.stride", self.name),
        };
        let Some((last, others)) = self.branch.split_last() else {
            return Err(wrong("it has no units".to_owned()));
        };
        let mut map = input;
        for unit in others {
            map = unit.check(map, &key, image)?;
        }
        let output = last.check(map, &key, image)?;
        if self.has_shortcut() && last.pool_before_normalization().is_some() {
            return Err(wrong("a sum after a max pool is not supported".to_owned()));
        }
        if let Some(attention) = &self.attention {
            if last.pool.is_some() {
                return Err(wrong(
                    "an attention layer after a max pool is not supported".to_owned(),
                ));
            }
            attention.check(last.channels_out)?;
        }
        // A final pool comes after the sum.
        let sum = last.convolved(map);
        let added = match &self.shortcut {
            Shortcut::None => sum,
            Shortcut::Identity => input,
            Shortcut::Projection(unit) => unit.check(input, &key, image)?,
        };
        match added == sum {
            true => Ok(output),
            false => Err(wrong(format!(
                "it adds a map of shape {added:?} to one of {sum:?}"
            ))),
        }
    }

    /// Whether something is added to the branch, so that the branch can be skipped.
    #[must_use]
    pub fn has_shortcut(&self) -> bool {
        self.shortcut != Shortcut::None
    }
}

impl UnitDescription {
    /// A convolution that keeps the size, without pool and activation.
    #[must_use]
    pub fn new(
        place: impl Into<String>,
        number: Option<usize>,
        [channels_in, channels_out]: [usize; 2],
        kernel: usize,
    ) -> Self {
        Self {
            place: place.into(),
            number,
            channels_in,
            channels_out,
            kernel,
            stride: 1,
            padding: Padding::even([kernel / 2; 2]),
            groups: 1,
            pool: None,
            epsilon: Description::EPSILON,
            activation: None,
            initial_weights: InitialWeights::Kaiming,
        }
    }

    /// `<place>.<what><number>`.
    fn name(&self, what: &str) -> String {
        let number = self.number.map(|number| number.to_string());
        format!("{}.{what}{}", self.place, number.unwrap_or_default())
    }

    /// Name of the whole unit, e.g. `stem` or `stages.0.1.conv2`.
    #[must_use]
    pub fn operation_name(&self) -> String {
        match self.number {
            Some(_) => self.convolution_name(),
            None => self.place.clone(),
        }
    }

    /// Prefix of the name of the convolution's weight.
    #[must_use]
    pub fn convolution_name(&self) -> String {
        self.name("conv")
    }

    /// Prefix of the names of the batch normalisation's tensors.
    #[must_use]
    pub fn normalization_name(&self) -> String {
        self.name("bn")
    }

    /// Name of the activation; `kind` is the name of its function.
    #[must_use]
    pub fn activation_name(&self, kind: &str) -> String {
        self.name(kind)
    }

    /// Name of the max pool; for the first unit it has no number.
    #[must_use]
    pub fn pool_name(&self) -> String {
        match self.number {
            None | Some(1) => format!("{}.pool", self.place),
            Some(_) => self.name("pool"),
        }
    }

    /// `[out, in, height, width]` of the convolution's weight.
    #[must_use]
    pub fn weight_shape(&self) -> [usize; 4] {
        let channels_in = self.channels_in / self.groups;
        [self.channels_out, channels_in, self.kernel, self.kernel]
    }

    /// Names and shapes of its tensors, in the order of the state.
    pub(crate) fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let weight = format!("{}.weight", self.convolution_name());
        let mut tensors = vec![(weight, self.weight_shape().to_vec())];
        for field in ["weight", "bias", "running_mean", "running_var"] {
            let name = format!("{}.{field}", self.normalization_name());
            tensors.push((name, vec![self.channels_out]));
        }
        tensors
    }

    /// Whether every channel has a kernel of its own.
    #[must_use]
    pub fn is_depthwise(&self) -> bool {
        self.groups == self.channels_in && self.groups == self.channels_out
    }

    /// Whether training changes the scale of the batch normalisation.
    #[must_use]
    pub fn trains_scale(&self) -> bool {
        self.pool_before_normalization().is_none()
    }

    /// The max pool between convolution and batch normalisation.
    #[must_use]
    pub fn pool_before_normalization(&self) -> Option<MaxPool> {
        self.pool
            .filter(|pool| pool.position == PoolPosition::BeforeNormalization)
    }

    /// The final max pool.
    #[must_use]
    pub fn pool_after_activation(&self) -> Option<MaxPool> {
        self.pool
            .filter(|pool| pool.position == PoolPosition::AfterActivation)
    }

    /// If the normalisation is folded into the convolution: the activation before the max pool, and the one
    /// after it. A monotonic one may come before or after.
    #[must_use]
    pub fn activations_round_pool(&self) -> [Option<Activation>; 2] {
        match self.activation {
            Some(activation) if !self.trains_scale() && !activation.is_monotonic() => {
                [None, Some(activation)]
            }
            activation => [activation, None],
        }
    }

    /// Zeros at both sides together, vertical and horizontal.
    fn total_padding(&self) -> [usize; 2] {
        let Padding { start, end } = self.padding;
        [start[0] + end[0], start[1] + end[1]]
    }

    /// The shape of the convolution's result.
    #[must_use]
    pub fn convolved(&self, [_, height, width]: [usize; 3]) -> [usize; 3] {
        let [vertical, horizontal] = self.total_padding();
        let side = |side, padding| steps(side, self.kernel, self.stride, padding);
        [
            self.channels_out,
            side(height, vertical),
            side(width, horizontal),
        ]
    }

    /// The shape of the unit's result.
    #[must_use]
    pub fn output(&self, map: [usize; 3]) -> [usize; 3] {
        let map = self.convolved(map);
        self.pool.map_or(map, |pool| pool.output(map))
    }

    fn wrong(&self, reason: impl Into<String>) -> ModelError {
        ModelError::Description {
            part: self.operation_name(),
            reason: reason.into(),
        }
    }

    /// The shape of its result for `input`, if it fits; `key` is the key of the stride.
    fn check(
        &self,
        input: [usize; 3],
        key: &str,
        [height, width]: [usize; 2],
    ) -> Result<[usize; 3], ModelError> {
        if self.channels_in != input[0] {
            let (reads, found) = (self.channels_in, input[0]);
            return Err(self.wrong(format!(
                "it expects {reads} input channels, but its input has {found}"
            )));
        }
        let groups = self.groups;
        let divides = |channels: usize| channels.is_multiple_of(groups);
        if groups == 0 || !divides(self.channels_in) || !divides(self.channels_out) {
            return Err(self.wrong(format!("its channels cannot be split into {groups} groups")));
        }
        if groups > 1 && self.initial_weights == InitialWeights::Passing {
            return Err(self.wrong("a grouped convolution cannot start with identity filters"));
        }
        let pool = self.pool.unwrap_or(MaxPool::side_by_side(1));
        let has_epsilon = self.epsilon.is_finite() && self.epsilon > 0.0;
        if !has_epsilon {
            let epsilon = self.epsilon;
            return Err(self.wrong(format!("its epsilon is {epsilon}, but must be above 0")));
        }
        if [self.kernel, self.stride, pool.window, pool.stride].contains(&0)
            || pool.padding > pool.window / 2
        {
            return Err(self.wrong("a side or stride is 0, or a window may lie outside the map"));
        }
        for (map, kernel, stride, padding) in [
            (input, self.kernel, self.stride, self.total_padding()),
            (
                self.convolved(input),
                pool.window,
                pool.stride,
                [2 * pool.padding; 2],
            ),
        ] {
            let [_, at_height, at_width] = map;
            if stride > at_height.min(at_width)
                || kernel > at_height + padding[0]
                || kernel > at_width + padding[1]
            {
                return Err(ModelError::PictureTooSmall {
                    key: key.to_owned(),
                    stride,
                    height,
                    width,
                    at_height,
                    at_width,
                });
            }
        }
        Ok(self.output(input))
    }
}

impl MaxPool {
    /// Windows side by side, between convolution and batch normalisation.
    #[must_use]
    pub fn side_by_side(window: usize) -> Self {
        Self {
            window,
            stride: window,
            padding: 0,
            position: PoolPosition::BeforeNormalization,
        }
    }

    /// The shape of its result.
    #[must_use]
    pub fn output(&self, [channels, height, width]: [usize; 3]) -> [usize; 3] {
        let side = |side| steps(side, self.window, self.stride, 2 * self.padding);
        [channels, side(height), side(width)]
    }
}

/// Number of positions of a window of `size` pixels along `side` pixels with `padding` more at both ends together; 0 if
/// it does not fit.
fn steps(side: usize, size: usize, stride: usize, padding: usize) -> usize {
    match (side + padding).checked_sub(size) {
        Some(room) => room / stride.max(1) + 1,
        None => 0,
    }
}
