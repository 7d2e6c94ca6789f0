//! Simulated classifiers that show how often intervals contain the true value.

use mlestar_eval::*;

/// The metrics, with short names.
pub const METRICS: [(ClassMetric, &str); 5] = [
    (ClassMetric::BalancedAccuracy, "balanced"),
    (ClassMetric::MacroF1, "macro F1"),
    (ClassMetric::WeightedPrecision, "w. prec."),
    (ClassMetric::WeightedF1, "w. F1"),
    (ClassMetric::Matthews, "Matthews"),
];

/// Steele, Lea and Flood 2014.
pub struct SplitMix64(pub u64);

impl SplitMix64 {
    /// 0 to 1, without 1.
    pub fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// A classifier with a recall for each class, whose mistakes are spread evenly over all other classes, and a
/// set of images.
pub struct Scenario {
    pub name: String,
    pub supports: Vec<u64>,
    recalls: Vec<f64>,
}

pub fn alike(n_classes: usize, support: u64, recall: f64) -> Scenario {
    Scenario {
        name: format!("{n_classes} x {support}, recall {recall}"),
        supports: vec![support; n_classes],
        recalls: vec![recall; n_classes],
    }
}

/// Two classes, 1:100; the recall of the rare one and of the other.
pub fn rare(support: u64, recall: f64, of_others: f64) -> Scenario {
    Scenario {
        name: format!(
            "{} + {support}, recalls {of_others}, {recall}",
            100 * support
        ),
        supports: vec![100 * support, support],
        recalls: vec![of_others, recall],
    }
}

/// Ten classes from 300 samples down to 3; the smaller half has the given recall and the others are always
/// correct.
pub fn falling(recall: f64, of_others: f64) -> Scenario {
    let supports: Vec<u64> = (0..10)
        .map(|class| (300.0 * 0.01f64.powf(f64::from(class) / 9.0)).round() as u64)
        .collect();
    Scenario {
        name: format!("300 ... 3 (10 classes), recalls {of_others}, {recall}"),
        recalls: (0..10)
            .map(|class| if class < 5 { of_others } else { recall })
            .collect(),
        supports,
    }
}

impl Scenario {
    fn sample(&self, seed: u64, round: u64) -> Predictions {
        let mut stream = SplitMix64(seed.wrapping_mul(1_000_003).wrapping_add(round) << 20);
        let k = self.supports.len();
        let (mut labels, mut logits) = (Vec::new(), Vec::new());
        for (class, &support) in self.supports.iter().enumerate() {
            for _ in 0..support {
                let mut answer = class;
                if stream.uniform() >= self.recalls[class] {
                    let other = (stream.uniform() * (k - 1) as f64) as usize;
                    answer = if other >= class { other + 1 } else { other };
                }
                labels.push(class as u32);
                logits.extend((0..k).map(|c| if c == answer { 1.0f32 } else { 0.0 }));
            }
        }
        Predictions::from_logits(labels, logits, k).unwrap()
    }

    /// The metrics of the expected confusion matrix, from their definitions.
    fn truth(&self) -> [f64; 5] {
        let k = self.supports.len();
        let n: Vec<f64> = self
            .supports
            .iter()
            .map(|&support| support as f64)
            .collect();
        let total: f64 = n.iter().sum();
        let right: Vec<f64> = (0..k).map(|c| n[c] * self.recalls[c]).collect();
        let lost: f64 = (0..k).map(|c| n[c] - right[c]).sum();
        let predicted: Vec<f64> = (0..k)
            .map(|c| right[c] + (lost - (n[c] - right[c])) / (k - 1) as f64)
            .collect();
        let mean = |of: &dyn Fn(usize) -> f64| (0..k).map(of).sum::<f64>() / k as f64;
        let weighted =
            |of: &dyn Fn(usize) -> f64| (0..k).map(|c| n[c] * of(c)).sum::<f64>() / total;
        let f1 = |c: usize| 2.0 * right[c] / (n[c] + predicted[c]);
        let squares = |values: &[f64]| values.iter().map(|v| v * v).sum::<f64>();
        let products: f64 = (0..k).map(|c| n[c] * predicted[c]).sum();
        let covariance = right.iter().sum::<f64>() * total - products;
        let spread = (total * total - squares(&n)) * (total * total - squares(&predicted));
        [
            mean(&|c| self.recalls[c]),
            mean(&f1),
            weighted(&|c| right[c] / predicted[c].max(1e-300)),
            weighted(&f1),
            covariance / spread.max(1e-300).sqrt(),
        ]
    }

    /// For each metric, then for the worst class's recall: how often its interval contains the truth, and its
    /// mean width.
    pub fn coverage(&self, rounds: u64) -> Vec<(f64, f64)> {
        let mut truth = self.truth().to_vec();
        truth.push(self.recalls.iter().copied().fold(1.0, f64::min));
        let mut sums = vec![(0.0, 0.0); 6];
        for round in 0..rounds {
            let predictions = self.sample(11, round);
            let of_metric = |(metric, _): &(ClassMetric, &str)| {
                class_metric_interval(&predictions, *metric, 0.95)
                    .unwrap()
                    .1
            };
            let mut intervals: Vec<Interval> = METRICS.iter().map(of_metric).collect();
            intervals.push(worst_recall(&predictions, 0.95).unwrap().interval);
            for ((sum, interval), truth) in sums.iter_mut().zip(intervals).zip(&truth) {
                let held = interval.low - 1e-9 <= *truth && *truth <= interval.high + 1e-9;
                sum.0 += f64::from(u8::from(held)) / rounds as f64;
                sum.1 += interval.width() / rounds as f64;
            }
        }
        sums
    }
}
