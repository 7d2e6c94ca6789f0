//! Policies that draw operations: TrivialAugment and RandAugment, with the spaces of torchvision.

use mlestar_random::Stream;
use serde::{Deserialize, Serialize};

use super::Operation;

/// Which operations change a training image before the other augmentations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// None.
    #[default]
    None,
    /// One operation, with a uniformly random strength from the wide space (Müller and Hutter 2021,
    /// <https://arxiv.org/abs/2103.10158>).
    TrivialAugmentWide,
    /// `policy_operations` operations, one after the other, with the strength `policy_magnitude` (Cubuk et al. 2019,
    /// <https://arxiv.org/abs/1909.13719>).
    RandAugment,
}

/// Strengths of an operation.
pub(super) const N_BINS: usize = 31;

/// The operations in torchvision's order.
const KINDS: [Kind; 14] = [
    Kind::Identity,
    Kind::ShearX,
    Kind::ShearY,
    Kind::TranslateX,
    Kind::TranslateY,
    Kind::Rotate,
    Kind::Brightness,
    Kind::Color,
    Kind::Contrast,
    Kind::Sharpness,
    Kind::Posterize,
    Kind::Solarize,
    Kind::AutoContrast,
    Kind::Equalize,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Identity,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    Rotate,
    Brightness,
    Color,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize,
}

/// The largest strengths of a space.
struct Space {
    shear: f64,
    /// In pixels, of columns and rows.
    translation: [f64; 2],
    degrees: f64,
    /// Distance of a factor from 1.
    factor: f64,
    /// Bits that are removed.
    bits: f64,
}

impl Space {
    fn wide() -> Self {
        Self {
            shear: 0.99,
            translation: [32.0; 2],
            degrees: 135.0,
            factor: 0.99,
            bits: 6.0,
        }
    }

    /// That of RandAugment, for images of `[height, width]` pixels.
    fn narrow([height, width]: [usize; 2]) -> Self {
        const SHARE: f64 = 150.0 / 331.0;
        Self {
            shear: 0.3,
            translation: [SHARE * width as f64, SHARE * height as f64],
            degrees: 30.0,
            factor: 0.9,
            bits: 4.0,
        }
    }

    /// The operation with strength `bin` of [`N_BINS`], in the other direction if `is_negative`.
    fn operation(&self, kind: Kind, bin: usize, is_negative: bool) -> Operation {
        let share = bin as f64 / (N_BINS - 1) as f64;
        let sign = if is_negative { -1.0 } else { 1.0 };
        let factor = 1.0 + sign * share * self.factor;
        match kind {
            Kind::Identity => Operation::Identity,
            Kind::ShearX => Operation::ShearX(sign * share * self.shear),
            Kind::ShearY => Operation::ShearY(sign * share * self.shear),
            Kind::TranslateX => Operation::TranslateX((sign * share * self.translation[0]) as i64),
            Kind::TranslateY => Operation::TranslateY((sign * share * self.translation[1]) as i64),
            Kind::Rotate => Operation::Rotate(sign * share * self.degrees),
            Kind::Brightness => Operation::Brightness(factor),
            Kind::Color => Operation::Color(factor),
            Kind::Contrast => Operation::Contrast(factor),
            Kind::Sharpness => Operation::Sharpness(factor),
            Kind::Posterize => {
                Operation::Posterize(8 - (share * self.bits).round_ties_even() as u32)
            }
            Kind::Solarize => Operation::Solarize(255.0 * (1.0 - share)),
            Kind::AutoContrast => Operation::AutoContrast,
            Kind::Equalize => Operation::Equalize,
        }
    }
}

/// The operations for the image `index` in `epoch`, in order.
pub(super) fn draw(
    policy: Policy,
    n_operations: usize,
    magnitude: usize,
    size: [usize; 2],
    [seed, epoch, index]: [u64; 3],
) -> Vec<Operation> {
    let mut stream = Stream::new(seed, "augmentation policy", epoch, index);
    let mut one = |space: &Space, bin: Option<usize>| {
        let kind = KINDS[stream.below(KINDS.len() as u64) as usize];
        let drawn = stream.below(N_BINS as u64) as usize;
        let is_negative = stream.bernoulli(0.5);
        space.operation(kind, bin.unwrap_or(drawn), is_negative)
    };
    match policy {
        Policy::None => Vec::new(),
        Policy::TrivialAugmentWide => vec![one(&Space::wide(), None)],
        Policy::RandAugment => {
            let space = Space::narrow(size);
            (0..n_operations)
                .map(|_| one(&space, Some(magnitude)))
                .collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_spaces_are_those_of_torchvision() {
        let wide = Space::wide();
        assert_eq!(
            wide.operation(Kind::ShearX, 30, true),
            Operation::ShearX(-0.99)
        );
        assert_eq!(
            wide.operation(Kind::TranslateY, 29, false),
            Operation::TranslateY(30)
        );
        assert_eq!(
            wide.operation(Kind::Rotate, 10, false),
            Operation::Rotate(45.0)
        );
        // 8 - (arange(31) / 5).round(): numpy rounds halves to even numbers, but there are none.
        let bits: Vec<Operation> = [0, 2, 3, 15, 30]
            .map(|bin| wide.operation(Kind::Posterize, bin, false))
            .into();
        assert_eq!(bits, [8, 8, 7, 5, 2].map(Operation::Posterize));
        assert_eq!(
            wide.operation(Kind::Solarize, 30, false),
            Operation::Solarize(0.0)
        );
        let narrow = Space::narrow([224, 331]);
        assert_eq!(
            narrow.operation(Kind::TranslateX, 30, false),
            Operation::TranslateX(150)
        );
        assert_eq!(
            narrow.operation(Kind::TranslateY, 9, true),
            Operation::TranslateY(-30)
        );
        assert_eq!(
            narrow.operation(Kind::Brightness, 30, true),
            Operation::Brightness(0.09999999999999998)
        );
        assert_eq!(
            narrow.operation(Kind::Posterize, 9, false),
            Operation::Posterize(7)
        );
    }

    #[test]
    fn every_operation_comes_and_the_same_draw_gives_the_same() {
        let of = |policy, index| draw(policy, 2, 9, [224, 224], [1, 2, index]);
        let mut names = BTreeSet::new();
        for index in 0..400 {
            let drawn = of(Policy::TrivialAugmentWide, index);
            assert_eq!(drawn.len(), 1);
            assert_eq!(drawn, of(Policy::TrivialAugmentWide, index));
            assert_eq!(of(Policy::RandAugment, index).len(), 2);
            let text = format!("{:?}", drawn[0]);
            names.insert(text.split('(').next().unwrap_or_default().to_string());
        }
        assert_eq!(names.len(), KINDS.len());
        assert!(of(Policy::None, 0).is_empty());
    }
}
