//! The names that other programs give to the tensors of our networks.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// Whose names a file of weights uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Naming {
    /// Ours: a checkpoint's `model.safetensors`, or what
    /// `write_state_safetensors` of `mlestar-export` wrote.
    Mlestar,
    /// The `ResNets` of torchvision and timm.
    Torchvision,
    /// `EfficientNets` of the Python package `efficientnet_lite_pytorch` (and of `efficientnet_pytorch`).
    EfficientnetLitePytorch,
    /// `EfficientNets` of timm.
    Timm,
}

impl Naming {
    pub(super) const ALL: [Self; 4] = [
        Self::Mlestar,
        Self::Torchvision,
        Self::EfficientnetLitePytorch,
        Self::Timm,
    ];

    /// The names of our tensors in a file, in the same order; `None` if a network of this naming has no such tensor.
    pub(super) fn names(self, own: &[&str]) -> Option<Vec<String>> {
        let blocks = Blocks::of(own);
        own.iter().map(|name| self.name(name, &blocks)).collect()
    }

    fn name(self, own: &str, blocks: &Blocks<'_>) -> Option<String> {
        let (place, field) = own.rsplit_once('.')?;
        let parts: Vec<&str> = place.split('.').collect();
        let layer = match self {
            Self::Mlestar => return Some(own.to_owned()),
            Self::Torchvision => torchvision(&parts)?,
            Self::EfficientnetLitePytorch => lite(&parts, blocks)?,
            Self::Timm => timm(&parts, blocks)?,
        };
        Some(format!("{layer}.{field}"))
    }
}

fn torchvision(parts: &[&str]) -> Option<String> {
    Some(match parts {
        ["stem", "conv"] => "conv1".to_owned(),
        ["stem", "bn"] => "bn1".to_owned(),
        ["head"] => "fc".to_owned(),
        ["stages", stage, block, part @ ..] => {
            let layer = stage.parse::<usize>().ok()? + 1;
            let part = match part {
                ["shortcut", "conv"] => "downsample.0",
                ["shortcut", "bn"] => "downsample.1",
                [part] => *part,
                _ => return None,
            };
            format!("layer{layer}.{block}.{part}")
        }
        _ => return None,
    })
}

fn lite(parts: &[&str], blocks: &Blocks<'_>) -> Option<String> {
    Some(match *parts {
        ["stem", "conv"] => "_conv_stem".to_owned(),
        ["stem", "bn"] => "_bn0".to_owned(),
        ["top", "conv"] => "_conv_head".to_owned(),
        ["top", "bn"] => "_bn1".to_owned(),
        ["head"] => "_fc".to_owned(),
        ["stages", stage, block, part] => {
            let (index, n_units) = blocks.find(stage, block)?;
            // A block that does not widen its input lacks the first of three convolutions.
            let layer = match position(part, n_units)? {
                (Kind::Convolution, 1) => "_expand_conv",
                (Kind::Convolution, 2) => "_depthwise_conv",
                (Kind::Convolution, _) => "_project_conv",
                (Kind::Normalization, 1) => "_bn0",
                (Kind::Normalization, 2) => "_bn1",
                (Kind::Normalization, _) => "_bn2",
            };
            format!("_blocks.{index}.{layer}")
        }
        _ => return None,
    })
}

fn timm(parts: &[&str], blocks: &Blocks<'_>) -> Option<String> {
    Some(match *parts {
        ["stem", "conv"] => "conv_stem".to_owned(),
        ["stem", "bn"] => "bn1".to_owned(),
        ["top", "conv"] => "conv_head".to_owned(),
        ["top", "bn"] => "bn2".to_owned(),
        ["head"] => "classifier".to_owned(),
        ["stages", stage, block, part] => {
            let (_, n_units) = blocks.find(stage, block)?;
            let layer = match (position(part, n_units)?, n_units) {
                ((Kind::Convolution, 1), _) => "conv_pw",
                ((Kind::Convolution, 2), _) => "conv_dw",
                ((Kind::Convolution, _), 2) => "conv_pw",
                ((Kind::Convolution, _), _) => "conv_pwl",
                // Its own number, from 1 in every block.
                ((Kind::Normalization, _), _) => part,
            };
            format!("blocks.{stage}.{block}.{layer}")
        }
        _ => return None,
    })
}

enum Kind {
    Convolution,
    Normalization,
}

/// The kind of a layer such as `conv2`, and its position among three, of which blocks of two units lack the first.
fn position(part: &str, n_units: usize) -> Option<(Kind, usize)> {
    let (kind, number) = match part.strip_prefix("conv") {
        Some(number) => (Kind::Convolution, number),
        None => (Kind::Normalization, part.strip_prefix("bn")?),
    };
    let number: usize = number.parse().ok()?;
    let position = number + 3_usize.checked_sub(n_units)?;
    (1..=3).contains(&position).then_some((kind, position))
}

/// The blocks of a network's stages.
struct Blocks<'a> {
    /// Position among all blocks and number of units, by stage and block.
    blocks: HashMap<[&'a str; 2], (usize, usize)>,
}

impl<'a> Blocks<'a> {
    fn of(own: &[&'a str]) -> Self {
        let mut blocks: HashMap<[&str; 2], (usize, usize)> = HashMap::new();
        for name in own {
            let parts: Vec<&str> = name.split('.').collect();
            if let ["stages", stage, block, part, "weight"] = parts[..]
                && part.starts_with("conv")
            {
                let next = blocks.len();
                blocks.entry([stage, block]).or_insert((next, 0)).1 += 1;
            }
        }
        Self { blocks }
    }

    fn find(&self, stage: &'a str, block: &'a str) -> Option<(usize, usize)> {
        self.blocks.get(&[stage, block]).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_other_programs() {
        let check = |naming: Naming, pairs: &[(&str, &str)]| {
            let own: Vec<&str> = pairs.iter().map(|(own, _)| *own).collect();
            let expected: Vec<&str> = pairs.iter().map(|(_, other)| *other).collect();
            assert_eq!(naming.names(&own).unwrap(), expected);
        };
        check(
            Naming::Torchvision,
            &[
                ("stem.conv.weight", "conv1.weight"),
                ("stem.bn.running_var", "bn1.running_var"),
                ("stages.0.1.conv2.weight", "layer1.1.conv2.weight"),
                ("stages.3.0.bn3.bias", "layer4.0.bn3.bias"),
                (
                    "stages.1.0.shortcut.conv.weight",
                    "layer2.0.downsample.0.weight",
                ),
                ("stages.1.0.shortcut.bn.bias", "layer2.0.downsample.1.bias"),
                ("head.bias", "fc.bias"),
            ],
        );
        let own = [
            "stem.conv.weight",
            "stages.0.0.conv1.weight",
            "stages.0.0.bn1.bias",
            "stages.0.0.conv2.weight",
            "stages.0.0.bn2.bias",
            "stages.1.0.conv1.weight",
            "stages.1.0.bn1.bias",
            "stages.1.0.conv2.weight",
            "stages.1.0.conv3.weight",
            "stages.1.0.bn3.bias",
            "top.bn.bias",
            "head.weight",
        ];
        let with = |others: [&'static str; 12]| own.into_iter().zip(others).collect::<Vec<_>>();
        check(
            Naming::EfficientnetLitePytorch,
            &with([
                "_conv_stem.weight",
                "_blocks.0._depthwise_conv.weight",
                "_blocks.0._bn1.bias",
                "_blocks.0._project_conv.weight",
                "_blocks.0._bn2.bias",
                "_blocks.1._expand_conv.weight",
                "_blocks.1._bn0.bias",
                "_blocks.1._depthwise_conv.weight",
                "_blocks.1._project_conv.weight",
                "_blocks.1._bn2.bias",
                "_bn1.bias",
                "_fc.weight",
            ]),
        );
        check(
            Naming::Timm,
            &with([
                "conv_stem.weight",
                "blocks.0.0.conv_dw.weight",
                "blocks.0.0.bn1.bias",
                "blocks.0.0.conv_pw.weight",
                "blocks.0.0.bn2.bias",
                "blocks.1.0.conv_pw.weight",
                "blocks.1.0.bn1.bias",
                "blocks.1.0.conv_dw.weight",
                "blocks.1.0.conv_pwl.weight",
                "blocks.1.0.bn3.bias",
                "bn2.bias",
                "classifier.weight",
            ]),
        );
    }

    #[test]
    fn names_of_other_networks_have_no_counterpart() {
        for naming in [
            Naming::Torchvision,
            Naming::EfficientnetLitePytorch,
            Naming::Timm,
        ] {
            assert_eq!(naming.names(&["linear.weight"]), None);
            assert_eq!(naming.names(&["weight"]), None);
        }
        assert_eq!(
            Naming::Timm.names(&["stages.0.0.shortcut.conv.weight"]),
            None
        );
        assert_eq!(
            Naming::Mlestar.names(&["linear.weight"]).unwrap(),
            ["linear.weight"]
        );
    }
}
