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
        }
    }

    /// Logits of one image, `[3, height, width]`.
    pub fn logits(&self, pixels: &[f32], height: usize, width: usize) -> Vec<f64> {
        let mut x = Map::zeros(3, height, width);
        x.values = pixels.iter().map(|&v| f64::from(v)).collect();
        x = self.activated(self.batch_norm("stem.bn", self.convolution("stem.conv", &x, 3, 1)));
        for (index, &(blocks, stride)) in self.stages.iter().enumerate() {
            for block in 0..blocks {
                let stride = if block == 0 { stride } else { 1 };
                let name = format!("stages.{index}.{block}");
                let plain = match self.architecture {
                    Architecture::PlainCnn => true,
                    Architecture::PooledResidualCnn => block == 0,
                    _ => false,
                };
                x = match plain {
                    true => self.plain_block(&name, &x, stride),
                    false => self.block(&name, &x, stride),
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
        self.activated(self.batch_norm(&format!("{name}.bn2"), y))
    }

    fn block(&self, name: &str, x: &Map, stride: usize) -> Map {
        let y = self.convolution(&format!("{name}.conv1"), x, 3, stride);
        let y = self.activated(self.batch_norm(&format!("{name}.bn1"), y));
        let y = self.convolution(&format!("{name}.conv2"), &y, 3, 1);
        let mut y = self.batch_norm(&format!("{name}.bn2"), y);
        let shortcut = format!("{name}.shortcut.conv");
        let x = if self.tensors.contains_key(&format!("{shortcut}.weight")) {
            let x = self.convolution(&shortcut, x, 1, stride);
            self.batch_norm(&format!("{name}.shortcut.bn"), x)
        } else {
            x.clone()
        };
        for (y, x) in y.values.iter_mut().zip(&x.values) {
            *y += x;
        }
        self.activated(y)
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
