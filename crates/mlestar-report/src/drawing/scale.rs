use super::text::short_number;

/// The lowest and the highest value along an axis; both finite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Range {
    pub low: f64,
    pub high: f64,
}

impl Range {
    pub(crate) fn new(low: f64, high: f64) -> Self {
        Self { low, high }
    }

    /// The range of the finite values; `None` if there are none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut range: Option<Self> = None;
        for value in values.into_iter().filter(|value| value.is_finite()) {
            range = Some(match range {
                None => Self::new(value, value),
                Some(range) => Self::new(range.low.min(value), range.high.max(value)),
            });
        }
        range
    }

    /// The smallest range that holds this one and `value`, if that is finite.
    pub(crate) fn with(self, value: f64) -> Self {
        if value.is_finite() {
            Self::new(self.low.min(value), self.high.max(value))
        } else {
            self
        }
    }
}

/// A mapping from values to pixels along one axis.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    log: bool,
}

/// A mark on an axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tick {
    pub value: f64,
    pub label: String,
}

impl Scale {
    /// A linear scale: `range.low` is drawn at `from`, `range.high` at `to`.
    pub(crate) fn linear(range: Range, from: f64, to: f64) -> Self {
        let (mut low, mut high) = (range.low, range.high);
        // A range without extent, or too small to be visible, is widened around its value.
        let magnitude = low.abs().max(high.abs());
        if high / 2.0 - low / 2.0 <= magnitude * 1e-12 {
            let pad = if magnitude > 1e-300 {
                magnitude * 0.1
            } else {
                1.0
            };
            low = (low - pad).max(f64::MIN / 2.0);
            high = (high + pad).min(f64::MAX / 2.0);
        }
        Self {
            low,
            high,
            from,
            to,
            log: false,
        }
    }

    /// A linear scale that starts and ends at a round number.
    pub(crate) fn rounded(range: Range, from: f64, to: f64, ticks: usize) -> Self {
        let mut scale = Self::linear(range, from, to);
        let step = scale.step(ticks);
        if step > 0.0 && step.is_finite() {
            let low = (scale.low / step + 1e-9).floor() * step;
            let high = (scale.high / step - 1e-9).ceil() * step;
            if low.is_finite() && high.is_finite() && low < high {
                (scale.low, scale.high) = (low, high);
            }
        }
        scale
    }

    /// A logarithmic scale. Needs a range above 0; otherwise a linear scale is used.
    pub(crate) fn log(range: Range, from: f64, to: f64) -> Self {
        if range.low <= 0.0 || !range.high.is_finite() {
            return Self::linear(range, from, to);
        }
        let (mut low, mut high) = (range.low, range.high);
        if high / low < 1.0001 {
            low = (low / 2.0).max(f64::MIN_POSITIVE);
            high = (high * 2.0).min(f64::MAX);
        }
        Self {
            low,
            high,
            from,
            to,
            log: true,
        }
    }

    /// A logarithmic scale that starts and ends at 1, 2 or 5 times a power of ten.
    pub(crate) fn rounded_log(range: Range, from: f64, to: f64) -> Self {
        let mut scale = Self::log(range, from, to);
        if scale.log {
            let below = round_to_125(scale.low, |candidate, value| candidate <= value);
            let above = round_to_125(scale.high, |candidate, value| candidate >= value);
            scale.low = below.max(f64::MIN_POSITIVE).min(scale.low);
            if above.is_finite() {
                scale.high = above.max(scale.high);
            }
        }
        scale
    }

    pub(crate) fn low(&self) -> f64 {
        self.low
    }

    pub(crate) fn high(&self) -> f64 {
        self.high
    }

    pub(crate) fn is_log(&self) -> bool {
        self.log
    }

    /// The pixel of a value; values outside the range are drawn at its ends.
    pub(crate) fn at(&self, value: f64) -> f64 {
        let share = if self.log {
            (value.max(f64::MIN_POSITIVE).log10() - self.low.log10())
                / (self.high.log10() - self.low.log10())
        } else {
            // Halves, because the difference of two large numbers may overflow.
            (value / 2.0 - self.low / 2.0) / (self.high / 2.0 - self.low / 2.0)
        };
        let share = if share.is_nan() {
            0.0
        } else {
            share.clamp(0.0, 1.0)
        };
        self.from + share * (self.to - self.from)
    }

    /// The step between ticks: 1, 2 or 5 times a power of ten.
    fn step(&self, ticks: usize) -> f64 {
        let raw = (self.high / 2.0 - self.low / 2.0) / ticks.max(2) as f64 * 2.0;
        let power = 10f64.powf(raw.log10().floor());
        let factor = raw / power;
        power
            * if factor <= 1.0 {
                1.0
            } else if factor <= 2.0 {
                2.0
            } else if factor <= 5.0 {
                5.0
            } else {
                10.0
            }
    }

    /// About `wanted` ticks at round values.
    pub(crate) fn ticks(&self, wanted: usize) -> Vec<Tick> {
        if self.log {
            return self.log_ticks(wanted);
        }
        let step = self.step(wanted);
        if !(step > 0.0 && step.is_finite()) {
            return Vec::new();
        }
        let first = (self.low / step - 1e-9).ceil();
        let last = (self.high / step + 1e-9).floor();
        let largest = self.low.abs().max(self.high.abs());
        let mut ticks: Vec<Tick> = Vec::new();
        for index in 0..=(4 * wanted.max(2)) {
            let multiple = first + index as f64;
            let value = multiple * step;
            // Compared with very large numbers, a step may vanish.
            if multiple > last || ticks.last().is_some_and(|tick| tick.value >= value) {
                break;
            }
            ticks.push(Tick {
                value,
                label: tick_label(value, step, largest),
            });
        }
        ticks
    }

    /// Ticks for counts: integers only.
    pub(crate) fn whole_ticks(&self, wanted: usize) -> Vec<Tick> {
        let mut ticks = self.ticks(wanted);
        ticks.retain(|tick| tick.value.fract() == 0.0);
        for tick in &mut ticks {
            if let Some((whole, decimals)) = tick.label.split_once('.')
                && decimals.bytes().all(|digit| digit == b'0')
            {
                tick.label = whole.to_string();
            }
        }
        ticks
    }

    fn log_ticks(&self, wanted: usize) -> Vec<Tick> {
        let first = self.low.log10().floor() as i32;
        let last = self.high.log10().ceil() as i32;
        let decades = (last - first).max(1) as usize;
        let stride = decades.div_ceil(wanted.max(2)).max(1);
        let factors: &[f64] = if decades <= 3 {
            &[1.0, 2.0, 5.0]
        } else {
            &[1.0]
        };
        let mut ticks = Vec::new();
        for exponent in (first..=last).step_by(stride) {
            for factor in factors {
                let value = factor * 10f64.powi(exponent);
                let inside = value >= self.low * (1.0 - 1e-9) && value <= self.high * (1.0 + 1e-9);
                if inside && value.is_finite() {
                    ticks.push(Tick {
                        value,
                        label: short_number(value),
                    });
                }
            }
        }
        ticks
    }
}

/// The nearest of 1, 2 and 5 times a power of ten that is on the wanted side of a value above 0.
fn round_to_125(value: f64, is_beyond: impl Fn(f64, f64) -> bool) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    [0.5, 1.0, 2.0, 5.0, 10.0, 20.0]
        .into_iter()
        .map(|factor| factor * power)
        .filter(|&candidate| is_beyond(candidate, value))
        .min_by(|a, b| (a - value).abs().total_cmp(&(b - value).abs()))
        .unwrap_or(value)
}

/// All ticks of an axis have the decimals that their step needs.
fn tick_label(value: f64, step: f64, largest: f64) -> String {
    if largest >= 1e7 || step < 9.9e-6 {
        if value == 0.0 {
            return "0".to_string();
        }
        let digits = (largest / step).log10().ceil().clamp(0.0, 6.0) as usize;
        let text = format!("{value:.digits$e}");
        return match text.split_once('e') {
            Some((mantissa, exponent)) if mantissa.contains('.') => {
                let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
                format!("{mantissa}e{exponent}")
            }
            _ => text,
        };
    }
    let decimals = (-(step * 1.0001).log10().floor()).clamp(0.0, 6.0) as usize;
    crate::format::number(value, decimals)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale, wanted: usize) -> Vec<String> {
        scale
            .ticks(wanted)
            .into_iter()
            .map(|tick| tick.label)
            .collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        let scale = Scale::linear(Range::new(0.0, 1.0), 0.0, 100.0);
        assert_eq!(labels(scale, 5), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        let scale = Scale::linear(Range::new(0.0, 5000.0), 0.0, 100.0);
        assert_eq!(
            labels(scale, 5),
            ["0", "1,000", "2,000", "3,000", "4,000", "5,000"]
        );
        let scale = Scale::linear(Range::new(0.0, 3e7), 0.0, 100.0);
        assert_eq!(labels(scale, 3), ["0", "1e7", "2e7", "3e7"]);
        let scale = Scale::linear(Range::new(-0.03, 0.05), 0.0, 100.0);
        assert_eq!(labels(scale, 4), ["-0.02", "0.00", "0.02", "0.04"]);
    }

    #[test]
    fn log_ticks_are_decades() {
        let scale = Scale::log(Range::new(1e-5, 1e-1), 0.0, 100.0);
        assert_eq!(labels(scale, 6), ["1e-5", "1e-4", "0.001", "0.01", "0.1"]);
        assert!((scale.at(1e-3) - 50.0).abs() < 1e-9);
        let narrow = Scale::log(Range::new(1.0, 8.0), 0.0, 100.0);
        assert_eq!(labels(narrow, 6), ["1", "2", "5"]);
        assert!(!Scale::log(Range::new(0.0, 8.0), 0.0, 100.0).is_log());
    }

    #[test]
    fn rounded_scales_end_at_ticks() {
        let scale = Scale::rounded(Range::new(0.13, 0.87), 0.0, 100.0, 5);
        assert!((scale.low() - 0.0).abs() < 1e-9 && (scale.high() - 1.0).abs() < 1e-9);
        let scale = Scale::rounded_log(Range::new(0.55, 4.9), 0.0, 100.0);
        assert_eq!((scale.low(), scale.high()), (0.5, 5.0));
        let scale = Scale::rounded_log(Range::new(1.0, 1000.0), 0.0, 100.0);
        assert_eq!((scale.low(), scale.high()), (1.0, 1000.0));
    }

    #[test]
    fn extreme_ranges_give_finite_positions() {
        let extremes = [
            0.0,
            1.0,
            -1.0,
            1e16,
            f64::MAX,
            f64::MIN,
            5e-324,
            f64::MIN_POSITIVE,
        ];
        for low in extremes {
            for high in extremes {
                let range = Range::new(low.min(high), low.max(high));
                for scale in [
                    Scale::linear(range, 0.0, 100.0),
                    Scale::rounded(range, 0.0, 100.0, 5),
                    Scale::log(range, 0.0, 100.0),
                    Scale::rounded_log(range, 0.0, 100.0),
                ] {
                    for value in extremes {
                        let position = scale.at(value);
                        assert!((0.0..=100.0).contains(&position), "{range:?} {value}");
                    }
                    assert!(scale.ticks(5).len() <= 30, "{range:?}");
                }
            }
        }
    }

    #[test]
    fn ranges_leave_out_what_is_not_finite() {
        assert_eq!(Range::of([f64::NAN, f64::INFINITY]), None);
        assert_eq!(
            Range::of([f64::NAN, 2.0, -1.0]),
            Some(Range::new(-1.0, 2.0))
        );
        assert_eq!(Range::new(0.0, 1.0).with(f64::NAN), Range::new(0.0, 1.0));
    }
}
