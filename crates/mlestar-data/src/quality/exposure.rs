//! Blank, over-dark, over-bright and low-contrast images.

use super::{Finding, FindingKind, Pictures, QualityConfig};
use rayon::prelude::*;

/// Moments of one image, pixels in 0-1.
struct Exposure {
    /// Largest standard deviation of a channel.
    largest_channel_std: f64,
    /// Mean of 0.299 R + 0.587 G + 0.114 B.
    brightness: f64,
    /// Standard deviation of the same brightness.
    brightness_std: f64,
}

impl Exposure {
    fn of(pixels: &[u8]) -> Self {
        let area = pixels.len() / 3;
        let (red, rest) = pixels.split_at(area);
        let (green, blue) = rest.split_at(area);
        let channel_std = |plane: &[u8]| {
            let level = |v: &u8| u64::from(*v);
            let sum: u64 = plane.iter().map(level).sum();
            let squares: u64 = plane.iter().map(|v| level(v) * level(v)).sum();
            deviation(area as u64, sum, squares) / 255.0
        };
        let (mut sum, mut squares) = (0_u64, 0_u64);
        for ((r, g), b) in red.iter().zip(green).zip(blue) {
            let thousandths = 299 * u64::from(*r) + 587 * u64::from(*g) + 114 * u64::from(*b);
            sum += thousandths;
            squares += thousandths * thousandths;
        }
        Self {
            largest_channel_std: [red, green, blue]
                .map(channel_std)
                .into_iter()
                .fold(0.0, f64::max),
            brightness: sum as f64 / (area as f64 * 255_000.0),
            brightness_std: deviation(area as u64, sum, squares) / 255_000.0,
        }
    }
}

/// Population standard deviation from exact sums.
fn deviation(n: u64, sum: u64, squares: u64) -> f64 {
    let scaled = u128::from(n) * u128::from(squares) - u128::from(sum) * u128::from(sum);
    (scaled as f64).sqrt() / n as f64
}

/// If this share of all images has one kind of exposure, it is a property of the set and not a flaw of single
/// images.
const USUAL_SHARE: f64 = 0.25;

/// At most one finding per image: the first that applies of blank, dark, bright, low contrast. A property of a
/// quarter of the set becomes one note about the set.
pub(super) fn find(
    pictures: &Pictures<'_>,
    thresholds: &QualityConfig,
    notes: &mut Vec<String>,
) -> Vec<Finding> {
    let mut findings: Vec<Finding> = (0..pictures.len())
        .into_par_iter()
        .with_min_len(256)
        .filter_map(|position| judge(pictures, position, thresholds))
        .collect();
    let n_all = pictures.len();
    for (kind, limit) in [
        (
            FindingKind::OverDark,
            format!("a mean brightness below {}", thresholds.dark_brightness),
        ),
        (
            FindingKind::OverBright,
            format!("a mean brightness above {}", thresholds.bright_brightness),
        ),
        (
            FindingKind::LowContrast,
            format!(
                "a deviation of the brightness below {}",
                thresholds.low_contrast_std
            ),
        ),
    ] {
        let n_found = findings.iter().filter(|found| found.kind == kind).count();
        if n_found as f64 >= USUAL_SHARE * n_all as f64 && n_found > 1 {
            notes.push(format!(
                "{n_found} of {n_all} images have {limit}: this is a property of the set, not a flaw of single \
                 images; normalisation answers it"
            ));
            findings.retain(|found| found.kind != kind);
        }
    }
    findings
}

fn judge(pictures: &Pictures<'_>, position: usize, thresholds: &QualityConfig) -> Option<Finding> {
    let exposure = Exposure::of(pictures.pixels(position));
    let brightness = exposure.brightness;
    let (kind, value, threshold, detail) = if exposure.largest_channel_std < thresholds.blank_std {
        let value = exposure.largest_channel_std;
        let detail = format!("no channel deviates by more than {value:.4} from its mean");
        (FindingKind::Blank, value, thresholds.blank_std, detail)
    } else if brightness < thresholds.dark_brightness {
        let detail = format!("mean brightness {brightness:.3}");
        (
            FindingKind::OverDark,
            brightness,
            thresholds.dark_brightness,
            detail,
        )
    } else if brightness > thresholds.bright_brightness {
        let detail = format!("mean brightness {brightness:.3}");
        (
            FindingKind::OverBright,
            brightness,
            thresholds.bright_brightness,
            detail,
        )
    } else if exposure.brightness_std < thresholds.low_contrast_std {
        let value = exposure.brightness_std;
        let detail = format!("brightness deviates by {value:.4} from its mean {brightness:.3}");
        (
            FindingKind::LowContrast,
            value,
            thresholds.low_contrast_std,
            detail,
        )
    } else {
        return None;
    };
    Some(pictures.finding(kind, position, value, threshold, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_match_a_calculation_by_hand() {
        // Two pixels: black and white.
        let exposure = Exposure::of(&[0, 255, 0, 255, 0, 255]);
        assert_eq!(exposure.largest_channel_std, 0.5);
        assert!((exposure.brightness - 0.5).abs() < 1e-12);
        assert!((exposure.brightness_std - 0.5).abs() < 1e-12);
        // Saturated colours of nearly the same brightness are not blank.
        let colourful = Exposure::of(&[255, 0, 0, 130, 0, 0]);
        assert_eq!(colourful.largest_channel_std, 0.5);
        assert!(colourful.brightness_std < 0.01);
    }
}
