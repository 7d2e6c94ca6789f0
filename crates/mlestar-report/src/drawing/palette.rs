/// Red, green and blue, 0 to 255.
pub(crate) type Rgb = (u8, u8, u8);

/// The text colour of the page. The canvas writes `currentColor` for it, so that axes and labels follow the
/// reader's light or dark setting.
pub(crate) const INK: Rgb = (1, 2, 3);

/// The palette of Okabe and Ito (2008, "Color Universal Design"), which readers with the common kinds of colour
/// blindness can distinguish. Its yellow is left out, because it is invisible on white.
const OKABE_ITO: [Rgb; 6] = [
    (0x00, 0x72, 0xB2), // blue
    (0xD5, 0x5E, 0x00), // vermilion
    (0x00, 0x9E, 0x73), // bluish green
    (0xE6, 0x9F, 0x00), // orange
    (0xCC, 0x79, 0xA7), // reddish purple
    (0x56, 0xB4, 0xE9), // sky blue
];

/// Dash patterns in pixels (on, off); an empty one is a full line.
const DASHES: [&[f64]; 4] = [&[], &[7.0, 4.0], &[2.0, 3.0], &[9.0, 3.0, 2.0, 3.0]];

/// The colour of the series with this index; colours repeat with another dash pattern.
pub(crate) fn series_colour(index: usize) -> Rgb {
    OKABE_ITO[index % OKABE_ITO.len()]
}

/// The dash pattern of the series with this index.
pub(crate) fn series_dash(index: usize) -> &'static [f64] {
    DASHES[(index / OKABE_ITO.len()) % DASHES.len()]
}

/// The colour of bars that need not be distinguished.
pub(crate) fn bar_colour() -> Rgb {
    OKABE_ITO[0]
}

/// Eight of the 256 colours of matplotlib's viridis, equally spaced.
const VIRIDIS: [Rgb; 8] = [
    (0x44, 0x01, 0x54),
    (0x46, 0x32, 0x7E),
    (0x36, 0x5C, 0x8D),
    (0x27, 0x7F, 0x8E),
    (0x1F, 0xA1, 0x87),
    (0x4A, 0xC1, 0x6D),
    (0xA0, 0xDA, 0x39),
    (0xFD, 0xE7, 0x25),
];

/// The viridis colour of a fraction (0 to 1; others are clamped, NaN is 0).
pub(crate) fn viridis(fraction: f64) -> Rgb {
    let fraction = if fraction.is_nan() {
        0.0
    } else {
        fraction.clamp(0.0, 1.0)
    };
    let position = fraction * (VIRIDIS.len() - 1) as f64;
    let index = (position as usize).min(VIRIDIS.len() - 2);
    let share = position - index as f64;
    let (low, high) = (VIRIDIS[index], VIRIDIS[index + 1]);
    let mix = |a: u8, b: u8| (f64::from(a) + share * (f64::from(b) - f64::from(a))).round() as u8;
    (mix(low.0, high.0), mix(low.1, high.1), mix(low.2, high.2))
}

/// Black or white, whichever has the higher contrast on `background` (WCAG 2 relative luminance).
pub(crate) fn contrast_text(background: Rgb) -> Rgb {
    // Both contrasts are equal at this luminance, the geometric mean for (1.05 / 0.05).
    const EQUAL_CONTRAST: f64 = 0.179;
    if relative_luminance(background) > EQUAL_CONTRAST {
        (0, 0, 0)
    } else {
        (255, 255, 255)
    }
}

fn relative_luminance(colour: Rgb) -> f64 {
    let linear = |value: u8| {
        let value = f64::from(value) / 255.0;
        if value <= 0.04045 {
            value / 12.92
        } else {
            ((value + 0.055) / 1.055).powf(2.4)
        }
    };
    0.2126 * linear(colour.0) + 0.7152 * linear(colour.1) + 0.0722 * linear(colour.2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn viridis_runs_from_dark_to_light() {
        assert_eq!(viridis(0.0), VIRIDIS[0]);
        assert_eq!(viridis(1.0), VIRIDIS[7]);
        assert_eq!(viridis(f64::NAN), VIRIDIS[0]);
        assert_eq!(viridis(7.0), VIRIDIS[7]);
        let luminances: Vec<f64> = (0..=100)
            .map(|step| relative_luminance(viridis(f64::from(step) / 100.0)))
            .collect();
        assert!(luminances.is_sorted(), "{luminances:?}");
    }

    #[test]
    fn text_in_cells_keeps_the_contrast_that_wcag_asks_for() {
        for step in 0..=100 {
            let background = viridis(f64::from(step) / 100.0);
            let text = relative_luminance(contrast_text(background));
            let background = relative_luminance(background);
            let contrast = (text.max(background) + 0.05) / (text.min(background) + 0.05);
            assert!(contrast >= 4.5, "{step}: {contrast}");
        }
    }

    #[test]
    fn the_first_two_dozen_series_differ() {
        let looks: Vec<_> = (0..24)
            .map(|i| (series_colour(i), series_dash(i)))
            .collect();
        for (index, look) in looks.iter().enumerate() {
            assert!(!looks[..index].contains(look), "series {index} repeats");
        }
    }
}
