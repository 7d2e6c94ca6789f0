//! The residual CNN in plain f64 loops, written from its definition.

use std::collections::HashMap;

use mlestar_model::{Activation, Architecture, ModelSpec, NamedTensor};

#[derive(Clone)]
pub struct Map {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    pub values: Vec<f64>,
}

impl Map {
    fn zeros(channels: usize, height: usize, width: usize) -> Self {
        Self {
            channels,
            height,
            width,
            values: vec![0.0; channels * height * width],
        }
    }

    fn at(&self, channel: usize, y: isize, x: isize) -> f64 {
        let inside =
            (0..self.height as isize).contains(&y) && (0..self.width as isize).contains(&x);
        if !inside {
            return 0.0;
        }
        self.values[(channel * self.height + y as usize) * self.width + x as usize]
    }
}

pub struct Network {
    tensors: HashMap<String, Vec<f64>>,
    stages: Vec<(usize, usize)>, // (blocks, stride)
    architecture: Architecture,
    activation: Activation,
    n_classes: usize,
    /// The factor of each residual branch, as stochastic depth gives them; 1 beyond the end.
    branch_factors: Vec<Option<f64>>,
}

impl Network {
    pub fn new(spec: &ModelSpec, state: &[NamedTensor]) -> Self {
        let values = |t: &NamedTensor| t.values.iter().map(|&v| f64::from(v)).collect();
        Self {
            tensors: state.iter().map(|t| (t.name.clone(), values(t))).collect(),
            stages: spec
                .config()
                .stages
                .iter()
                .map(|stage| (stage.blocks, stage.stride))
                .collect(),
            architecture: spec.config().architecture,
            activation: spec.config().activation,
            n_classes: spec.n_classes(),
            branch_factors: Vec::new(),
        }
    }

    pub fn with_branch_factors(self, branch_factors: &[Option<f64>]) -> Self {
        Self {
            branch_factors: branch_factors.to_vec(),
            ..self
        }
    }

    /// Logits of one image, `[3, height, width]`.
    pub fn logits(&self, pixels: &[f32], height: usize, width: usize) -> Vec<f64> {
        let mut x = Map::zeros(3, height, width);
        x.values = pixels.iter().map(|&v| f64::from(v)).collect();
        x = self.activated(self.batch_norm("stem.bn", self.convolution("stem.conv", &x, 3, 1)));
        let mut factors = self.branch_factors.iter();
        for (index, &(blocks, stride)) in self.stages.iter().enumerate() {
            for block in 0..blocks {
                let stride = if block == 0 { stride } else { 1 };
                let name = format!("stages.{index}.{block}");
                let plain = match self.architecture {
                    Architecture::PlainCnn => true,
                    Architecture::PooledResidualCnn => block == 0,
                    _ => false,
                };
                let factor = factors.next().map_or(1.0, |factor| factor.unwrap_or(0.0));
                x = match plain {
                    true => self.plain_block(&name, &x, stride),
                    false => self.block(&name, &x, stride, factor),
                };
            }
        }
        let area = (x.height * x.width) as f64;
        let features: Vec<f64> = x
            .values
            .chunks(x.height * x.width)
            .map(|channel| channel.iter().sum::<f64>() / area)
            .collect();
        let (weight, bias) = (&self.tensors["head.weight"], &self.tensors["head.bias"]);
        (0..self.n_classes)
            .map(|class| {
                let row = &weight[class * features.len()..][..features.len()];
                bias[class] + row.iter().zip(&features).map(|(w, f)| w * f).sum::<f64>()
            })
            .collect()
    }

    fn plain_block(&self, name: &str, x: &Map, pool: usize) -> Map {
        let y = max_pool(&self.convolution(&format!("{name}.conv1"), x, 3, 1), pool);
        let y = self.activated(self.batch_norm(&format!("{name}.bn1"), y));
        let y = self.convolution(&format!("{name}.conv2"), &y, 3, 1);
        let y = self.batch_norm(&format!("{name}.bn2"), y);
        self.activated(self.scaled(&format!("{name}.attention"), y))
    }

    fn block(&self, name: &str, x: &Map, stride: usize, factor: f64) -> Map {
        let y = self.convolution(&format!("{name}.conv1"), x, 3, stride);
        let y = self.activated(self.batch_norm(&format!("{name}.bn1"), y));
        let y = self.convolution(&format!("{name}.conv2"), &y, 3, 1);
        let y = self.batch_norm(&format!("{name}.bn2"), y);
        let mut y = self.scaled(&format!("{name}.attention"), y);
        let shortcut = format!("{name}.shortcut.conv");
        let x = if self.tensors.contains_key(&format!("{shortcut}.weight")) {
            let x = self.convolution(&shortcut, x, 1, stride);
            self.batch_norm(&format!("{name}.shortcut.bn"), x)
        } else {
            x.clone()
        };
        for (y, x) in y.values.iter_mut().zip(&x.values) {
            *y = *y * factor + x;
        }
        self.activated(y)
    }

    /// The map scaled by the attention layer called `name`, if the network has it.
    fn scaled(&self, name: &str, mut x: Map) -> Map {
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let area = x.height * x.width;
        if self.tensors.contains_key(&format!("{name}.reduce.weight")) {
            let means = x.values.chunks(area);
            let means: Vec<f64> = means.map(|c| c.iter().sum::<f64>() / area as f64).collect();
            let mut reduced = self.linear(&format!("{name}.reduce"), &means);
            reduced.iter_mut().for_each(|value| *value = value.max(0.0));
            let factors = self.linear(&format!("{name}.expand"), &reduced);
            for (channel, factor) in x.values.chunks_mut(area).zip(factors) {
                channel
                    .iter_mut()
                    .for_each(|value| *value *= sigmoid(factor));
            }
        }
        if self.tensors.contains_key(&format!("{name}.conv.weight")) {
            let mut maps = Map::zeros(2, x.height, x.width);
            for pixel in 0..area {
                let values: Vec<f64> =
                    (x.values.iter().skip(pixel).step_by(area).copied()).collect();
                maps.values[pixel] = values.iter().sum::<f64>() / values.len() as f64;
                maps.values[area + pixel] = values.iter().copied().fold(f64::MIN, f64::max);
            }
            let sums = self.convolution(&format!("{name}.conv"), &maps, 7, 1);
            let bias = self.tensors[&format!("{name}.conv.bias")][0];
            for channel in x.values.chunks_mut(area) {
                for (value, sum) in channel.iter_mut().zip(&sums.values) {
                    *value *= sigmoid(sum + bias);
                }
            }
        }
        x
    }

    fn linear(&self, name: &str, inputs: &[f64]) -> Vec<f64> {
        let weight = &self.tensors[&format!("{name}.weight")];
        let bias = &self.tensors[&format!("{name}.bias")];
        let rows = weight.chunks(inputs.len()).zip(bias);
        rows.map(|(row, bias)| bias + row.iter().zip(inputs).map(|(w, x)| w * x).sum::<f64>())
            .collect()
    }

    fn activated(&self, mut x: Map) -> Map {
        for value in &mut x.values {
            *value = match self.activation {
                Activation::Relu => value.max(0.0),
                Activation::Relu6 => value.clamp(0.0, 6.0),
                Activation::Silu => *value / (1.0 + (-*value).exp()),
            };
        }
        x
    }

    fn convolution(&self, name: &str, x: &Map, kernel: usize, stride: usize) -> Map {
        let weight = &self.tensors[&format!("{name}.weight")];
        let channels = weight.len() / (x.channels * kernel * kernel);
        let padding = (kernel / 2) as isize;
        let mut out = Map::zeros(
            channels,
            x.height.div_ceil(stride),
            x.width.div_ceil(stride),
        );
        for o in 0..channels {
            for row in 0..out.height {
                for column in 0..out.width {
                    let mut sum = 0.0;
                    for i in 0..x.channels {
                        for ky in 0..kernel {
                            for kx in 0..kernel {
                                let y = (row * stride + ky) as isize - padding;
                                let c = (column * stride + kx) as isize - padding;
                                let w = ((o * x.channels + i) * kernel + ky) * kernel + kx;
                                sum += weight[w] * x.at(i, y, c);
                            }
                        }
                    }
                    out.values[(o * out.height + row) * out.width + column] = sum;
                }
            }
        }
        out
    }

    fn batch_norm(&self, name: &str, mut x: Map) -> Map {
        let get = |field: &str| &self.tensors[&format!("{name}.{field}")];
        let (weight, bias) = (get("weight"), get("bias"));
        let (mean, variance) = (get("running_mean"), get("running_var"));
        let area = x.height * x.width;
        for (c, channel) in x.values.chunks_mut(area).enumerate() {
            for value in channel {
                *value = (*value - mean[c]) / (variance[c] + 1e-5).sqrt() * weight[c] + bias[c];
            }
        }
        x
    }
}

fn max_pool(x: &Map, side: usize) -> Map {
    let mut out = Map::zeros(x.channels, x.height / side, x.width / side);
    for channel in 0..x.channels {
        for (row, column) in (0..out.height).flat_map(|r| (0..out.width).map(move |c| (r, c))) {
            let window = (0..side * side).map(|tap| {
                let (y, x_at) = (row * side + tap / side, column * side + tap % side);
                x.at(channel, y as isize, x_at as isize)
            });
            out.values[(channel * out.height + row) * out.width + column] =
                window.fold(f64::NEG_INFINITY, f64::max);
        }
    }
    out
}
