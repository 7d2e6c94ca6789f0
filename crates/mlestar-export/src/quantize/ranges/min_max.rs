//! From the smallest to the largest value.

use crate::quantize::histogram::Histogram;

pub(super) fn range(histogram: &Histogram) -> [f32; 2] {
    [histogram.low, histogram.high]
}
