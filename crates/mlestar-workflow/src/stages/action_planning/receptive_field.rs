//! How much of a picture a network looks at, computed from its strides.

use super::artifact::ArchitecturePlan;
use mlestar_model::ModelSpec;

/// Side of the convolutions on the main branch.
const KERNEL: usize = 3;
/// Convolutions in a block.
const CONVOLUTIONS_A_BLOCK: usize = 2;

/// The network of `spec` with what follows from its strides.
pub(super) fn plan(spec: &ModelSpec) -> ArchitecturePlan {
    // A convolution widens the field by (kernel - 1) times the pixels between two positions of its
    // input (Araujo et al. 2019, "Computing receptive fields of convolutional neural networks").
    let (mut field, mut spacing, mut n_convolutions) = (KERNEL, 1, 1);
    let mut last_map = [spec.height(), spec.width()];
    let architecture = spec.config().architecture;
    for stage in &spec.config().stages {
        for block in 0..stage.blocks {
            let stride = if block == 0 { stage.stride } else { 1 };
            field += (KERNEL - 1) * spacing;
            if architecture.has_max_pools() {
                field += (stride - 1) * spacing;
            }
            spacing *= stride;
            field += (KERNEL - 1) * spacing;
            n_convolutions += CONVOLUTIONS_A_BLOCK;
            last_map = last_map.map(|side| architecture.after(side, stride));
        }
    }
    ArchitecturePlan {
        model: spec.clone(),
        n_convolutions,
        receptive_field_pixels: field,
        last_map,
        n_features: spec.features(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlestar_model::{Architecture, ModelConfig, StageConfig};

    #[test]
    fn fields_grow_with_depth_and_stride() {
        let of = |architecture, stages: &[(usize, usize)]| {
            let stages = stages.iter().map(|(blocks, stride)| StageConfig {
                channels: 8,
                blocks: *blocks,
                stride: *stride,
            });
            let config = ModelConfig {
                architecture,
                stages: stages.collect(),
                ..ModelConfig::small()
            };
            let plan = plan(&config.check(10, 32, 32).unwrap());
            (
                plan.receptive_field_pixels,
                plan.n_convolutions,
                plan.last_map,
            )
        };
        let with = |stages: &[(usize, usize)]| of(Architecture::ResidualCnn, stages);
        // 3, then two convolutions of 3x3 without stride: 3 + 2 + 2.
        assert_eq!(with(&[(1, 1)]), (7, 3, [32, 32]));
        // With stride 2 the second convolution steps over two pixels: 3 + 2 + 4.
        assert_eq!(with(&[(1, 2)]), (9, 3, [16, 16]));
        assert_eq!(with(&[(1, 2), (1, 2)]), (9 + 4 + 8, 5, [8, 8]));
        // A pool sees a pixel more, and leaves out windows that are not full: 3 + 2 + 2, then three times 6 over three
        // pixels in the first block's second convolution and the two of the second.
        for architecture in [Architecture::PlainCnn, Architecture::PooledResidualCnn] {
            let expected = (3 + 2 + 2 + 3 * 6, 5, [10, 10]);
            assert_eq!(of(architecture, &[(2, 3)]), expected);
        }
    }

    #[test]
    fn the_map_agrees_with_the_summary() {
        let spec = ModelConfig::reference().check(10, 32, 32).unwrap();
        let summary = spec.summary();
        let map = summary
            .layers
            .iter()
            .rev()
            .find(|layer| layer.output_shape.len() == 3)
            .unwrap();
        assert_eq!(plan(&spec).last_map.to_vec(), map.output_shape[1..]);
    }
}
