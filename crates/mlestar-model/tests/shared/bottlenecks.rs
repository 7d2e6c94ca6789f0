//! Three architectures without a config, described only here. Tests use them from training to export.

use super::{
    Activation, BlockDescription, Description, MaxPool, Padding, PoolPosition, Shortcut,
    UnitDescription, Views,
};

/// A residual network of bottlenecks (1x1, 3x3, 1x1) whose stem is a 7x7 convolution of stride 2 and a max
/// pool whose windows overlap.
pub fn residual_bottlenecks(activation: Activation, side: usize) -> Description {
    let pool = MaxPool {
        window: 3,
        stride: 2,
        padding: 1,
        position: PoolPosition::AfterActivation,
    };
    let stem = UnitDescription {
        stride: 2,
        pool: Some(pool),
        activation: Some(activation),
        ..UnitDescription::new("stem", None, [3, 8], 7)
    };
    let block = |name: &str, [channels_in, middle, channels_out]: [usize; 3], stride: usize| {
        let unit = |number, channels, kernel| UnitDescription {
            activation: Some(activation),
            ..UnitDescription::new(name, Some(number), channels, kernel)
        };
        let second = UnitDescription {
            stride,
            ..unit(2, [middle, middle], 3)
        };
        let projection = UnitDescription {
            stride,
            ..UnitDescription::new(
                format!("{name}.shortcut"),
                None,
                [channels_in, channels_out],
                1,
            )
        };
        BlockDescription {
            name: name.to_owned(),
            stage: Some(0),
            branch: vec![
                unit(1, [channels_in, middle], 1),
                second,
                unit(3, [middle, channels_out], 1),
            ],
            attention: None,
            shortcut: match stride == 1 && channels_in == channels_out {
                true => Shortcut::Identity,
                false => Shortcut::Projection(projection),
            },
        }
    };
    network(
        stem,
        vec![
            block("stages.0.0", [8, 5, 20], 1),
            block("stages.0.1", [20, 5, 20], 1),
            block("stages.1.0", [20, 8, 32], 2),
        ],
        side,
    )
}

/// Inverted bottlenecks: 1x1 to more channels, a depthwise convolution, 1x1 to fewer without an activation.
pub fn inverted_bottlenecks(activation: Activation, side: usize) -> Description {
    let stem = UnitDescription {
        stride: 2,
        activation: Some(activation),
        ..UnitDescription::new("stem", None, [3, 8], 3)
    };
    let block = |name: &str, [channels_in, channels_out]: [usize; 2], kernel, stride| {
        let wide = 3 * channels_in;
        let first = UnitDescription {
            activation: Some(activation),
            ..UnitDescription::new(name, Some(1), [channels_in, wide], 1)
        };
        let depthwise = UnitDescription {
            stride,
            groups: wide,
            activation: Some(activation),
            ..UnitDescription::new(name, Some(2), [wide, wide], kernel)
        };
        BlockDescription {
            name: name.to_owned(),
            stage: Some(0),
            branch: vec![
                first,
                depthwise,
                UnitDescription::new(name, Some(3), [wide, channels_out], 1),
            ],
            attention: None,
            shortcut: match stride == 1 && channels_in == channels_out {
                true => Shortcut::Identity,
                false => Shortcut::None,
            },
        }
    };
    network(
        stem,
        vec![
            block("stages.0.0", [8, 12], 3, 2),
            block("stages.0.1", [12, 12], 5, 1),
            block("stages.0.2", [12, 12], 3, 1),
        ],
        side,
    )
}

/// Like EfficientNet-Lite0, with few channels: padding that depends on the size of the images and is wider at the end,
/// an epsilon of its own, a first block that does not widen its input, and a convolution after the last block.
pub fn padded_bottlenecks(activation: Activation, side: usize) -> Description {
    let unit = |name: &str, number, channels, kernel, stride| UnitDescription {
        stride,
        epsilon: 1e-3,
        activation: Some(activation),
        ..UnitDescription::new(name, number, channels, kernel)
    };
    let block = |name: &str, [channels_in, wide, channels_out]: [usize; 3], kernel, stride| {
        let mut branch = Vec::new();
        if wide > channels_in {
            branch.push(unit(name, Some(1), [channels_in, wide], 1, 1));
        }
        let next = branch.len() + 1;
        branch.push(UnitDescription {
            groups: wide,
            ..unit(name, Some(next), [wide; 2], kernel, stride)
        });
        branch.push(UnitDescription {
            activation: None,
            ..unit(name, Some(next + 1), [wide, channels_out], 1, 1)
        });
        BlockDescription {
            name: name.to_owned(),
            stage: Some(0),
            branch,
            attention: None,
            shortcut: match stride == 1 && channels_in == channels_out {
                true => Shortcut::Identity,
                false => Shortcut::None,
            },
        }
    };
    let mut description = network(
        unit("stem", None, [3, 8], 3, 2),
        vec![
            block("stages.0.0", [8, 8, 6], 3, 1),
            block("stages.1.0", [6, 24, 10], 5, 2),
            block("stages.1.1", [10, 30, 10], 3, 1),
        ],
        side,
    );
    description.blocks.push(BlockDescription {
        name: "top".to_owned(),
        stage: None,
        branch: vec![unit("top", None, [10, 64], 1, 1)],
        attention: None,
        shortcut: Shortcut::None,
    });
    let mut map = description.image_shape();
    for unit in description
        .blocks
        .iter_mut()
        .flat_map(|block| &mut block.branch)
    {
        unit.padding = Padding::same([map[1], map[2]], [unit.kernel; 2], [unit.stride; 2]);
        map = unit.output(map);
    }
    description
}

fn network(stem: UnitDescription, stages: Vec<BlockDescription>, side: usize) -> Description {
    let mut blocks = vec![BlockDescription {
        name: "stem".to_owned(),
        stage: None,
        branch: vec![stem],
        attention: None,
        shortcut: Shortcut::None,
    }];
    blocks.extend(stages);
    Description {
        image: [side, side + 2],
        blocks,
        dropout: 0.0,
        stochastic_depth: 0.0,
        n_classes: 3,
        views: Views::default(),
    }
}
