//! How often the interval of a repeated cross-validation contains the true accuracy, by simulation.

use crate::simulation::SplitMix64;
use mlestar_eval::*;

const FOLDS: usize = 5;
/// Fresh samples that each model is tested on for its true accuracy.
const FRESH: usize = 60;

type Sample = (Vec<f64>, bool);

/// A sample of two normal distributions whose means are `distance` apart, in `width` dimensions.
fn sample(random: &mut SplitMix64, width: usize, distance: f64) -> Sample {
    let label = random.uniform() < 0.5;
    let mut normal = || {
        let radius = (-2.0 * (1.0 - random.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * random.uniform()).cos()
    };
    let mut x: Vec<f64> = (0..width).map(|_| normal()).collect();
    x[0] += if label {
        0.5 * distance
    } else {
        -0.5 * distance
    };
    (x, label)
}

/// The classifier by the nearest mean of a class: weights and bias of its decision.
fn fit<'a>(training: impl Iterator<Item = &'a Sample>, width: usize) -> (Vec<f64>, f64) {
    let mut sums = [vec![0.0; width], vec![0.0; width]];
    let mut counts = [1e-9; 2];
    for (x, label) in training {
        counts[usize::from(*label)] += 1.0;
        for (sum, value) in sums[usize::from(*label)].iter_mut().zip(x) {
            *sum += value;
        }
    }
    let mean = |class: usize, column: usize| sums[class][column] / counts[class];
    let weights: Vec<f64> = (0..width).map(|c| mean(1, c) - mean(0, c)).collect();
    let bias = (0..width).map(|c| 0.5 * weights[c] * (mean(1, c) + mean(0, c)));
    let bias = bias.sum();
    (weights, bias)
}

fn n_correct<'a>(
    (weights, bias): &(Vec<f64>, f64),
    samples: impl Iterator<Item = &'a Sample>,
) -> u64 {
    let is_correct = |(x, label): &&Sample| {
        let score: f64 = weights.iter().zip(x).map(|(w, x)| w * x).sum();
        (score > *bias) == *label
    };
    samples.filter(is_correct).count() as u64
}

struct Round {
    found: ResampledAccuracy,
    /// The interval of the usual standard error, which takes splits for independent.
    naive: [f64; 2],
    /// Share of fresh samples that the models recognise.
    truth: f64,
}

/// A cross-validation of `n` samples, repeated `repeats` times.
fn round(random: &mut SplitMix64, n: usize, repeats: usize, distance: f64) -> Round {
    let width = 10;
    let samples: Vec<Sample> = (0..n).map(|_| sample(random, width, distance)).collect();
    let mut splits = Vec::new();
    let mut n_fresh_correct = 0;
    for _ in 0..repeats {
        let mut order: Vec<usize> = (0..n).collect();
        for last in (1..n).rev() {
            order.swap(last, (random.uniform() * (last + 1) as f64) as usize);
        }
        for fold in 0..FOLDS {
            let part = |is_held_out: bool| {
                let places = (0..n).filter(move |place| (place % FOLDS == fold) == is_held_out);
                places.map(|place| &samples[order[place]])
            };
            let model = fit(part(false), width);
            splits.push(HeldOut {
                samples: part(true).count() as u64,
                correct: n_correct(&model, part(true)),
            });
            let fresh: Vec<Sample> = (0..FRESH)
                .map(|_| sample(random, width, distance))
                .collect();
            n_fresh_correct += n_correct(&model, fresh.iter());
        }
    }
    let found = resampled_accuracy(&splits, n as u64, 0.95).unwrap();
    let half = 1.96 * found.deviation / (splits.len() as f64).sqrt();
    Round {
        found,
        naive: [found.mean - half, found.mean + half],
        truth: n_fresh_correct as f64 / (splits.len() * FRESH) as f64,
    }
}

#[test]
fn the_corrected_interval_holds_the_truth_and_the_usual_one_does_not() {
    for (n, distance) in [(40, 2.0), (100, 2.0), (100, 3.5), (350, 3.0)] {
        let mut random = SplitMix64(n as u64);
        let rounds: Vec<Round> = (0..300)
            .map(|_| round(&mut random, n, 4, distance))
            .collect();
        let of_rounds =
            |value: fn(&Round) -> f64| rounds.iter().map(value).sum::<f64>() / rounds.len() as f64;
        let truth = of_rounds(|round| round.truth);
        let held = |round: &&Round| round.found.interval.contains(truth);
        let held = rounds.iter().filter(held).count() as f64 / rounds.len() as f64;
        let naive = |round: &&Round| round.naive[0] <= truth && truth <= round.naive[1];
        let naive = rounds.iter().filter(naive).count() as f64 / rounds.len() as f64;
        let width = of_rounds(|round| round.found.interval.width());
        println!("{n} samples, accuracy {truth:.3}: {held:.3} ({width:.3}); naive {naive:.3}");
        // Two standard errors of 300 rounds are 0.025.
        assert!(held >= 0.925, "{n} samples: {held}");
        assert!(naive < 0.85, "{n} samples: {naive}");
    }
}
