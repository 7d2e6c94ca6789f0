//! The range of values that the 256 integers of a buffer cover.

mod entropy;
mod min_max;
mod percentile;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::histogram::Histogram;
use crate::int8_model::BufferScale;

/// How the range of a buffer follows from its values on the calibration images. Values beyond it saturate; a
/// narrower range rounds the values inside it more finely.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum RangeMethod {
    /// From the smallest to the largest value.
    MinMax,
    /// Leaves out a share of the values at each end that has negative or positive values.
    Percentile {
        /// The share of values not beyond each end, above 0.5 and at most 1.
        share: f64,
    },
    /// The range whose rounded distribution has the lowest Kullback-Leibler divergence from the distribution of
    /// the values, as in TensorRT and ONNX Runtime.
    Entropy,
}

impl RangeMethod {
    /// All methods that [`quantize`](super::quantize) compares by default.
    pub const ALL: [Self; 4] = [
        Self::MinMax,
        Self::Percentile { share: 0.9999 },
        Self::Percentile { share: 0.999 },
        Self::Entropy,
    ];

    /// The scale for the values of a histogram.
    pub(super) fn scale(self, histogram: &Histogram) -> BufferScale {
        let [low, high] = match self {
            Self::MinMax => min_max::range(histogram),
            Self::Percentile { share } => percentile::range(histogram, share),
            Self::Entropy => entropy::range(histogram),
        };
        scale_of(low, high)
    }
}

impl fmt::Display for RangeMethod {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MinMax => formatter.write_str("min-max"),
            Self::Percentile { share } => {
                write!(formatter, "percentile {}", (share * 1e6).round() / 1e4)
            }
            Self::Entropy => formatter.write_str("entropy"),
        }
    }
}

/// The integers for values from `low` to `high`. 0 has an integer of its own, as padding needs; it is 0 if no
/// value is negative.
pub(super) fn scale_of(low: f32, high: f32) -> BufferScale {
    /// Far above the smallest normal number, so that products with the scales of weights are normal too.
    const LEAST: f32 = 1e-18;
    let (low, high) = (low.min(0.0), high.max(0.0));
    let scale = (high - low) / 255.0;
    if scale < LEAST {
        // All values are 0, or as good as 0.
        return BufferScale {
            scale: 1.0,
            zero_point: 0,
        };
    }
    let zero_point = (-low / scale).round_ties_even().clamp(0.0, 255.0);
    BufferScale {
        scale,
        zero_point: zero_point as u8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_json_are_short() {
        let names = RangeMethod::ALL.map(|method| method.to_string());
        assert_eq!(
            names,
            ["min-max", "percentile 99.99", "percentile 99.9", "entropy"]
        );
        for method in RangeMethod::ALL {
            let json = serde_json::to_string(&method).unwrap();
            assert_eq!(serde_json::from_str::<RangeMethod>(&json).unwrap(), method);
        }
    }

    #[test]
    fn zero_and_both_ends_of_a_range_have_integers() {
        for (low, high, zero_point) in [
            (0.0, 5.1, 0),
            (-1.0, 1.0, 127),
            (-2.0, 0.0, 255),
            (-0.5, 4.0, 28),
        ] {
            let scale = scale_of(low, high);
            assert_eq!((scale.zero_point, scale.round(0.0)), (zero_point, 0.0));
            for end in [low, high] {
                assert!(
                    (scale.round(end) - end).abs() <= 0.51 * scale.scale,
                    "{end}"
                );
            }
        }
        assert_eq!(scale_of(0.0, 0.0).zero_point, 0);
        assert_eq!(scale_of(1.0, 3.0), scale_of(0.0, 3.0));
    }
}
