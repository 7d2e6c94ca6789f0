//! The part of an image that a network sees, computed from its description.

use super::artifact::ArchitecturePlan;
use mlestar_model::ModelSpec;

/// The network of `spec` with what follows from its strides.
pub(super) fn plan(spec: &ModelSpec) -> ArchitecturePlan {
    // A window widens the field by (side - 1) times the pixels between two positions of its input (Araujo et al.
    // 2019, "Computing receptive fields of convolutional neural networks"). Attention layers are left out: what they see changes
    // factors alone, and it may be the whole image.
    let (mut field, mut spacing, mut n_convolutions) = (1, 1, 0);
    let description = spec.description();
    for unit in description.blocks.iter().flat_map(|block| &block.branch) {
        n_convolutions += 1;
        let pool = unit.pool.map(|pool| (pool.window, pool.stride));
        for (side, stride) in [(unit.kernel, unit.stride)].into_iter().chain(pool) {
            field += (side - 1) * spacing;
            spacing *= stride;
        }
    }
    let [_, height, width] = description.last_map();
    ArchitecturePlan {
        model: spec.clone(),
        n_convolutions,
        receptive_field_pixels: field,
        last_map: [height, width],
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
