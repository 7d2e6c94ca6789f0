//! Random search and the Tree-structured Parzen Estimator, on the unit interval of each parameter.

use mlestar_random::Stream;
use serde::{Deserialize, Serialize};

use crate::record::TrialRecord;
use crate::space::{ParameterSpace, Parameters, SearchSpace};

/// How to choose the next parameters.
///
/// Both samplers are functions of the seed, the number of the trial, the parameter's key and the finished
/// trials. They keep no other state, so a study can be resumed from its log. They replace the crate `optimizer`
/// 1.0 for these reasons: its estimator recognises the past values of a parameter by equal ranges, so that two
/// parameters with one range are confused; it always minimises; and it concentrates suggestions on the ends of
/// a range.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampler {
    /// Tree-structured Parzen Estimator (Bergstra et al., 2011, "Algorithms for Hyper-Parameter Optimization"),
    /// for each parameter separately. After `startup_trials` random trials, one density with a flat prior
    /// describes the best tenth of the trials (at least one) and another one the rest. Of 24 draws from the
    /// first density, the one with the highest ratio of the two densities is used.
    #[default]
    Tpe,
    /// Every trial is drawn from the search space, regardless of earlier trials.
    Random,
}

/// Number of draws that the estimator compares for one parameter.
const CANDIDATES: usize = 24;
/// A suggestion that repeats an earlier trial is drawn again at most this often.
const MAX_ATTEMPTS: u64 = 16;

/// Parameters for trial `number`. A set that was tried before is drawn again, unless the space is too small.
pub(crate) fn suggest(
    sampler: Sampler,
    space: &SearchSpace,
    startup_trials: usize,
    seed: u64,
    number: u64,
    trials: &[TrialRecord],
) -> Parameters {
    let history = match sampler {
        Sampler::Tpe => ranked(trials),
        Sampler::Random => Vec::new(),
    };
    let informed = sampler == Sampler::Tpe && history.len() >= startup_trials.max(2);
    let mut parameters = Parameters::new();
    for attempt in 0..MAX_ATTEMPTS {
        parameters = space
            .iter()
            .map(|(key, parameter)| {
                let mut stream = Stream::new(seed, &format!("tune/{key}"), number, attempt);
                let unit = if informed {
                    parzen_unit(parameter, key, &history, &mut stream)
                } else {
                    stream.uniform()
                };
                (key.to_owned(), parameter.at(unit))
            })
            .collect();
        if trials.iter().all(|trial| trial.parameters != parameters) {
            break;
        }
    }
    parameters
}

/// Trials with a score, best first; of equal ones, the earlier first.
fn ranked(trials: &[TrialRecord]) -> Vec<&TrialRecord> {
    let mut scored: Vec<(f64, &TrialRecord)> = trials
        .iter()
        .filter_map(|trial| trial.score().map(|score| (score, trial)))
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    scored.into_iter().map(|(_, trial)| trial).collect()
}

/// A draw in `[0, 1]` by the estimator. `history` is ranked, best first, and not empty.
fn parzen_unit(
    space: &ParameterSpace,
    key: &str,
    history: &[&TrialRecord],
    stream: &mut Stream,
) -> f64 {
    let n_good = history.len().div_ceil(10).min(25);
    let (good, bad) = history.split_at(n_good);
    let units = |trials: &[&TrialRecord]| -> Vec<f64> {
        trials
            .iter()
            .filter_map(|trial| space.unit(trial.parameters.get(key)?))
            .collect()
    };
    match space {
        ParameterSpace::Categorical { choices } => {
            let good = ChoiceDensity::new(&units(good), choices.len());
            let bad = ChoiceDensity::new(&units(bad), choices.len());
            best_candidate(
                stream,
                |stream| good.draw(stream),
                |unit| good.log_density(unit) - bad.log_density(unit),
            )
        }
        ParameterSpace::Float { .. } | ParameterSpace::Int { .. } => {
            let good = ParzenDensity::new(units(good));
            let bad = ParzenDensity::new(units(bad));
            best_candidate(
                stream,
                |stream| good.draw(stream),
                |unit| good.log_density(unit) - bad.log_density(unit),
            )
        }
    }
}

fn best_candidate(
    stream: &mut Stream,
    draw: impl Fn(&mut Stream) -> f64,
    score: impl Fn(f64) -> f64,
) -> f64 {
    let mut best = draw(stream);
    let mut best_score = score(best);
    for _ in 1..CANDIDATES {
        let candidate = draw(stream);
        let candidate_score = score(candidate);
        if candidate_score > best_score {
            (best, best_score) = (candidate, candidate_score);
        }
    }
    best
}

/// Mixture of normal densities truncated to [0, 1]: one at each observation, and a wide one in the middle.
struct ParzenDensity {
    components: Vec<Component>,
}

struct Component {
    mean: f64,
    deviation: f64,
    /// Share of the untruncated normal density that lies within `[0, 1]`.
    mass: f64,
}

impl Component {
    fn new(mean: f64, deviation: f64) -> Self {
        let mass = normal_cdf((1.0 - mean) / deviation) - normal_cdf(-mean / deviation);
        Self {
            mean,
            deviation,
            mass,
        }
    }

    fn density(&self, unit: f64) -> f64 {
        let z = (unit - self.mean) / self.deviation;
        (-0.5 * z * z).exp() / (self.deviation * (2.0 * std::f64::consts::PI).sqrt() * self.mass)
    }
}

impl ParzenDensity {
    /// The width at each observation is its distance to the farther of its neighbours (the middle of the
    /// interval counts as one), within limits: with many observations it may be narrow, with few it may not.
    fn new(mut observations: Vec<f64>) -> Self {
        const PRIOR_MEAN: f64 = 0.5;
        observations.sort_by(f64::total_cmp);
        let narrowest = 1.0 / (1.0 + observations.len() as f64).min(100.0);
        let mut centres = observations.clone();
        centres.push(PRIOR_MEAN);
        centres.sort_by(f64::total_cmp);
        let mut components = vec![Component::new(PRIOR_MEAN, 1.0)];
        for &observation in &observations {
            let index = centres.partition_point(|&centre| centre < observation);
            let below = index
                .checked_sub(1)
                .map_or(0.0, |left| observation - centres[left]);
            let above = centres
                .get(index + 1)
                .map_or(0.0, |&right| right - observation);
            components.push(Component::new(
                observation,
                below.max(above).clamp(narrowest, 1.0),
            ));
        }
        Self { components }
    }

    fn draw(&self, stream: &mut Stream) -> f64 {
        let index = stream.below(self.components.len() as u64) as usize;
        let component = &self.components[index];
        // For every mean in [0, 1] and deviation up to 1, at least a third of the draws lies within [0, 1].
        for _ in 0..200 {
            let unit = component.mean + component.deviation * stream.normal();
            if (0.0..=1.0).contains(&unit) {
                return unit;
            }
        }
        component.mean
    }

    fn log_density(&self, unit: f64) -> f64 {
        let sum: f64 = self
            .components
            .iter()
            .map(|component| component.density(unit))
            .sum();
        (sum / self.components.len() as f64).ln()
    }
}

/// Shares of the choices, with one added to each count.
struct ChoiceDensity {
    shares: Vec<f64>,
}

impl ChoiceDensity {
    fn new(observations: &[f64], n_choices: usize) -> Self {
        let mut shares = vec![1.0; n_choices];
        for &unit in observations {
            shares[choice_index(unit, n_choices)] += 1.0;
        }
        let total = (observations.len() + n_choices) as f64;
        shares.iter_mut().for_each(|share| *share /= total);
        Self { shares }
    }

    fn draw(&self, stream: &mut Stream) -> f64 {
        let mut rest = stream.uniform();
        let index = self
            .shares
            .iter()
            .position(|share| {
                rest -= share;
                rest < 0.0
            })
            .unwrap_or(self.shares.len() - 1);
        (index as f64 + 0.5) / self.shares.len() as f64
    }

    fn log_density(&self, unit: f64) -> f64 {
        self.shares[choice_index(unit, self.shares.len())].ln()
    }
}

fn choice_index(unit: f64, n_choices: usize) -> usize {
    ((unit * n_choices as f64) as usize).min(n_choices - 1)
}

/// Distribution function of the standard normal, by formula 7.1.26 of Abramowitz and Stegun (absolute error
/// below 1e-7), which is precise enough to compare candidates.
fn normal_cdf(z: f64) -> f64 {
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let polynomial = t
        * (0.254_829_592
            + t * (-0.284_496_736
                + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    let upper_tail = 0.5 * polynomial * (-x * x).exp();
    if z >= 0.0 {
        1.0 - upper_tail
    } else {
        upper_tail
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ParameterValue, TrialState};

    fn record(number: u64, parameters: Parameters, value: f64) -> TrialRecord {
        TrialRecord {
            number,
            state: TrialState::Complete,
            parameters,
            value: Some(value),
            intermediate: Vec::new(),
            message: None,
        }
    }

    fn float(low: f64, high: f64, log: bool) -> ParameterSpace {
        ParameterSpace::Float { low, high, log }
    }

    /// Best value after `n` trials.
    fn best_after(
        sampler: Sampler,
        space: &SearchSpace,
        n: u64,
        seed: u64,
        objective: impl Fn(&Parameters) -> f64,
    ) -> f64 {
        let mut trials: Vec<TrialRecord> = Vec::new();
        for number in 0..n {
            let parameters = suggest(sampler, space, 8, seed, number, &trials);
            let value = objective(&parameters);
            trials.push(record(number, parameters, value));
        }
        trials
            .iter()
            .filter_map(|trial| trial.value)
            .fold(f64::MIN, f64::max)
    }

    #[test]
    fn the_normal_distribution_function_matches_tables() {
        for (z, expected) in [
            (0.0, 0.5),
            (1.0, 0.841_344_746),
            (-1.959_963_985, 0.025),
            (3.0, 0.998_650_102),
        ] {
            assert!((normal_cdf(z) - expected).abs() < 2e-7, "z = {z}");
        }
    }

    #[test]
    fn densities_integrate_to_one() {
        for observations in [vec![], vec![0.0], vec![0.2, 0.2, 0.9, 1.0]] {
            let density = ParzenDensity::new(observations);
            let n = 20_000;
            let integral: f64 = (0..n)
                .map(|step| {
                    density
                        .log_density((f64::from(step) + 0.5) / f64::from(n))
                        .exp()
                        / f64::from(n)
                })
                .sum();
            assert!((integral - 1.0).abs() < 1e-5, "{integral}");
        }
    }

    #[test]
    fn random_draws_are_uniform_in_the_logarithm() {
        let space = SearchSpace::new([("rate".to_owned(), float(1e-5, 1e-1, true))]);
        let n = 4000;
        let mut logs: Vec<f64> = (0..n)
            .map(|number| {
                let parameters = suggest(Sampler::Random, &space, 0, 3, number, &[]);
                (parameters["rate"].as_f64().unwrap().log10() + 5.0) / 4.0
            })
            .collect();
        logs.sort_by(f64::total_cmp);
        // Kolmogorov-Smirnov: one of a thousand samples exceeds 1.95 / sqrt(n).
        let distance = logs
            .iter()
            .enumerate()
            .map(|(rank, value)| (value - rank as f64 / n as f64).abs())
            .fold(0.0, f64::max);
        assert!(distance < 1.95 / (n as f64).sqrt(), "{distance}");
    }

    #[test]
    fn the_estimator_finds_better_optima_than_random_search() {
        let space = SearchSpace::new([
            ("dropout".to_owned(), float(0.0, 1.0, false)),
            ("rate".to_owned(), float(1e-5, 1.0, true)),
            ("decay".to_owned(), float(0.0, 1.0, false)),
            (
                "optimizer".to_owned(),
                ParameterSpace::Categorical {
                    choices: ["sgd", "adam", "adamw"]
                        .map(|name| ParameterValue::Text(name.to_owned()))
                        .to_vec(),
                },
            ),
        ]);
        let objective = |parameters: &Parameters| {
            let number = |key: &str| parameters[key].as_f64().unwrap();
            let right = parameters["optimizer"].as_str() == Some("adam");
            -(number("dropout") - 0.3).powi(2)
                - (number("rate").log10() + 3.0).powi(2) / 4.0
                - (number("decay") - 0.8).powi(2)
                - if right { 0.0 } else { 0.5 }
        };
        let regret = |sampler| -> f64 {
            (0..20)
                .map(|seed| -best_after(sampler, &space, 40, seed, objective))
                .sum::<f64>()
                / 20.0
        };
        let (tpe, random) = (regret(Sampler::Tpe), regret(Sampler::Random));
        assert!(tpe < 0.6 * random, "tpe {tpe}, random {random}");
    }

    #[test]
    fn parameters_of_one_range_are_told_apart() {
        let space = SearchSpace::new([
            ("a".to_owned(), float(0.0, 1.0, false)),
            ("b".to_owned(), float(0.0, 1.0, false)),
        ]);
        let trials: Vec<TrialRecord> = (0..60)
            .map(|number| {
                let parameters = suggest(Sampler::Random, &space, 0, 1, number, &[]);
                let distance = (parameters["a"].as_f64().unwrap() - 0.1).abs()
                    + (parameters["b"].as_f64().unwrap() - 0.9).abs();
                record(number, parameters, -distance)
            })
            .collect();
        let mean = |key: &str| {
            (0..50)
                .map(|seed| {
                    suggest(Sampler::Tpe, &space, 10, seed, 60, &trials)[key]
                        .as_f64()
                        .unwrap()
                })
                .sum::<f64>()
                / 50.0
        };
        assert!(
            mean("a") < 0.35 && mean("b") > 0.65,
            "{} {}",
            mean("a"),
            mean("b")
        );
    }

    #[test]
    fn small_spaces_are_covered_before_they_repeat() {
        let space = SearchSpace::new([(
            "batch".to_owned(),
            ParameterSpace::Int {
                low: 1,
                high: 4,
                log: false,
            },
        )]);
        let mut trials = Vec::new();
        for number in 0..4 {
            let parameters = suggest(Sampler::Random, &space, 0, 5, number, &trials);
            trials.push(record(number, parameters, 0.0));
        }
        let mut seen: Vec<i64> = trials
            .iter()
            .map(|t| t.parameters["batch"].as_i64().unwrap())
            .collect();
        seen.sort_unstable();
        assert_eq!(seen, [1, 2, 3, 4]);
    }
}
