//! The Tree-structured Parzen Estimator, over all parameters at once.

use mlestar_random::Stream;

use super::{Propose, Request};
use crate::pareto::ranked;
use crate::space::{ParameterSpace, Parameters, SearchSpace};
use crate::special::normal_cdf;

/// Draws that are compared for one suggestion.
const CANDIDATES: usize = 64;
/// The narrowest kernel of `n` trials has a deviation of `1 / (2 + NARROWING * n)`, and never less than [`NARROWEST`].
const NARROWING: f64 = 4.0;
const NARROWEST: f64 = 0.01;
/// The least weight of a trial, where the mean is about 1.
const LEAST_WEIGHT: f64 = 0.1;

/// Of [`CANDIDATES`] draws from a density of the good trials, the one with the highest ratio to the density of the others.
///
/// A density is a mixture with a component for each trial: normal densities cut off at the ends of a range, choices with
/// most of the weight on the trial's own, flat for a parameter that the trial does not have. One more component is flat in
/// all parameters. Better trials weigh more, by the logarithm of their rank.
pub(super) struct Tpe;

impl Propose for Tpe {
    fn propose(&self, request: &Request<'_>) -> Vec<f64> {
        if request.is_start() {
            return super::sobol::Sobol.propose(request);
        }
        estimate(request)
    }
}

/// The suggestion of the estimator; there must be two observations.
pub(super) fn estimate(request: &Request<'_>) -> Vec<f64> {
    let losses: Vec<&[f64]> = request
        .history
        .iter()
        .map(|trial| trial.losses.as_slice())
        .collect();
    let order = ranked(&losses);
    let n_good = n_good(order.len());
    let units = |of: &[usize]| -> Vec<&[Option<f64>]> {
        of.iter()
            .map(|at| request.history[*at].units.as_slice())
            .collect()
    };
    let good = Density::new(request.space, &units(&order[..n_good]));
    // A trial that is still running counts as bad, so that its neighbourhood is not tried again meanwhile.
    let mut others: Vec<&[Option<f64>]> = request.pending.iter().map(Vec::as_slice).collect();
    others.extend(units(&order[n_good..]));
    let others = Density::new(request.space, &others);
    let mut stream = request.stream("tpe");
    let candidates = (0..CANDIDATES).map(|_| {
        let units = good.draw(&mut stream);
        let point = Point::new(request.space, units);
        let ratio = good.log_density(&point) - others.log_density(&point);
        (ratio, point.units)
    });
    let best = candidates.reduce(|best, next| if next.0 > best.0 { next } else { best });
    best.map(|(_, units)| units).unwrap_or_default()
}

/// How many of `n` trials count as good.
fn n_good(n: usize) -> usize {
    n.div_ceil(10).min(25)
}

/// A candidate, with the parameters that exist there.
struct Point {
    units: Vec<f64>,
    exists: Vec<bool>,
}

impl Point {
    fn new(space: &SearchSpace, units: Vec<f64>) -> Self {
        let parameters: Parameters = space.at(&units);
        let exists = space.iter().map(|(key, _)| parameters.contains_key(key));
        Self {
            exists: exists.collect(),
            units,
        }
    }
}

/// One factor of a component.
enum Kernel {
    Flat,
    Normal {
        mean: f64,
        deviation: f64,
        log_scale: f64,
    },
    /// The trial's own choice.
    Choice(usize),
}

/// The shape of one parameter.
#[derive(Clone, Copy)]
enum Axis {
    Number,
    Choices(usize),
}

struct Density {
    axes: Vec<Axis>,
    /// Chance of a choice other than the component's own, all of them together.
    stray: f64,
    components: Vec<Vec<Kernel>>,
    weights: Vec<f64>,
}

impl Density {
    /// The density around trials that are sorted, best first.
    fn new(space: &SearchSpace, trials: &[&[Option<f64>]]) -> Self {
        let axes: Vec<Axis> = space
            .iter()
            .map(|(_, space)| match space {
                ParameterSpace::Categorical { choices, .. } => Axis::Choices(choices.len()),
                _ => Axis::Number,
            })
            .collect();
        let n = trials.len() as f64;
        let deviations: Vec<Vec<f64>> = (0..axes.len()).map(|at| deviations(trials, at)).collect();
        let flat = || axes.iter().map(|_| Kernel::Flat).collect::<Vec<Kernel>>();
        let mut components = vec![flat()];
        for (trial, units) in trials.iter().enumerate() {
            let kernel = |(at, unit): (usize, &Option<f64>)| match (axes[at], unit) {
                (_, None) => Kernel::Flat,
                (Axis::Number, Some(unit)) => normal(*unit, deviations[at][trial]),
                (Axis::Choices(n), Some(unit)) => Kernel::Choice(choice(*unit, n)),
            };
            components.push(units.iter().enumerate().map(kernel).collect());
        }
        let weights = weights(trials.len());
        Self {
            axes,
            stray: 1.0 / (1.0 + n),
            components,
            weights,
        }
    }

    fn draw(&self, stream: &mut Stream) -> Vec<f64> {
        let component = &self.components[pick(&self.weights, stream)];
        let draw = |(kernel, axis): (&Kernel, &Axis)| match (kernel, axis) {
            (Kernel::Flat, _) => stream.uniform(),
            (
                Kernel::Normal {
                    mean, deviation, ..
                },
                _,
            ) => draw_normal(*mean, *deviation, stream),
            (Kernel::Choice(own), Axis::Choices(n)) => {
                let chosen = match stream.uniform() < self.stray {
                    true => stream.below(*n as u64) as usize,
                    false => *own,
                };
                (chosen as f64 + 0.5) / *n as f64
            }
            (Kernel::Choice(_), Axis::Number) => stream.uniform(),
        };
        component.iter().zip(&self.axes).map(draw).collect()
    }

    fn log_density(&self, point: &Point) -> f64 {
        let logs: Vec<f64> = self
            .components
            .iter()
            .zip(&self.weights)
            .map(|(component, weight)| weight.ln() + self.log_component(component, point))
            .collect();
        let highest = logs.iter().copied().fold(f64::MIN, f64::max);
        highest
            + logs
                .iter()
                .map(|log| (log - highest).exp())
                .sum::<f64>()
                .ln()
    }

    fn log_component(&self, component: &[Kernel], point: &Point) -> f64 {
        let mut sum = 0.0;
        for (at, kernel) in component.iter().enumerate() {
            if !point.exists[at] {
                continue;
            }
            let unit = point.units[at];
            sum += match (kernel, self.axes[at]) {
                (
                    Kernel::Normal {
                        mean,
                        deviation,
                        log_scale,
                    },
                    _,
                ) => {
                    let z = (unit - mean) / deviation;
                    -0.5 * z * z - log_scale
                }
                (Kernel::Choice(own), Axis::Choices(n)) => {
                    let elsewhere = self.stray / n as f64;
                    let chance = if choice(unit, n) == *own {
                        1.0 - self.stray
                    } else {
                        0.0
                    };
                    (chance + elsewhere).ln()
                }
                (Kernel::Flat, Axis::Choices(n)) => -(n as f64).ln(),
                _ => 0.0,
            };
        }
        sum
    }
}

/// The weights of the flat component and of `n` trials that are sorted, best first; their sum is 1.
fn weights(n: usize) -> Vec<f64> {
    let all = (n + 1) as f64;
    let by_rank = (1..=n).map(|rank| (all / rank as f64).ln().max(LEAST_WEIGHT));
    let sum: f64 = by_rank.clone().sum();
    let scaled = by_rank.map(|weight| weight * n as f64 / sum);
    std::iter::once(1.0)
        .chain(scaled)
        .map(|weight| weight / all)
        .collect()
}

/// The deviation of the kernel of each trial along one axis: the distance to the farther one of its neighbours, within
/// limits.
fn deviations(trials: &[&[Option<f64>]], axis: usize) -> Vec<f64> {
    let places = trials.iter().enumerate();
    let mut sorted: Vec<(f64, usize)> = places
        .filter_map(|(trial, units)| Some((units[axis]?, trial)))
        .collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let narrowest = (1.0 / (2.0 + NARROWING * trials.len() as f64)).max(NARROWEST);
    let mut deviations = vec![1.0; trials.len()];
    for (place, (unit, trial)) in sorted.iter().enumerate() {
        // A trial without neighbours reaches to the ends of the range.
        let end = |distance: f64| if sorted.len() == 1 { distance } else { 0.0 };
        let below = match place.checked_sub(1) {
            Some(left) => unit - sorted[left].0,
            None => end(*unit),
        };
        let above = match sorted.get(place + 1) {
            Some(right) => right.0 - unit,
            None => end(1.0 - unit),
        };
        deviations[*trial] = below.max(above).clamp(narrowest, 1.0);
    }
    deviations
}

fn normal(mean: f64, deviation: f64) -> Kernel {
    let mass = normal_cdf((1.0 - mean) / deviation) - normal_cdf(-mean / deviation);
    let scale = deviation * (2.0 * std::f64::consts::PI).sqrt() * mass;
    Kernel::Normal {
        mean,
        deviation,
        log_scale: scale.ln(),
    }
}

fn draw_normal(mean: f64, deviation: f64, stream: &mut Stream) -> f64 {
    // For every mean in [0, 1] and deviation up to 1, at least a third of the draws lies within [0, 1].
    for _ in 0..200 {
        let unit = mean + deviation * stream.normal();
        if (0.0..=1.0).contains(&unit) {
            return unit;
        }
    }
    mean
}

/// An index with these chances, which sum to 1.
fn pick(weights: &[f64], stream: &mut Stream) -> usize {
    let mut rest = stream.uniform();
    let found = weights.iter().position(|weight| {
        rest -= weight;
        rest < 0.0
    });
    found.unwrap_or(weights.len() - 1)
}

/// The index of the choice at `unit`.
fn choice(unit: f64, n: usize) -> usize {
    ((unit * n as f64) as usize).min(n - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn density(units: &[[Option<f64>; 2]]) -> Density {
        let space = SearchSpace::new(
            ["a", "b"].map(|key| (key.to_owned(), ParameterSpace::float(0.0, 1.0))),
        );
        let trials: Vec<&[Option<f64>]> = units.iter().map(|units| units.as_slice()).collect();
        Density::new(&space, &trials)
    }

    #[test]
    fn densities_integrate_to_one() {
        let n = 400;
        for units in [
            vec![],
            vec![[Some(0.0), Some(1.0)]],
            vec![
                [Some(0.2), Some(0.2)],
                [Some(0.2), None],
                [Some(0.9), Some(0.4)],
            ],
        ] {
            let density = density(&units);
            let middle = |step: usize| (step as f64 + 0.5) / n as f64;
            let integral: f64 = (0..n * n)
                .map(|step| {
                    let units = vec![middle(step / n), middle(step % n)];
                    density
                        .log_density(&Point {
                            units,
                            exists: vec![true; 2],
                        })
                        .exp()
                })
                .sum::<f64>()
                / (n * n) as f64;
            assert!((integral - 1.0).abs() < 1e-3, "{integral}");
        }
    }

    #[test]
    fn draws_follow_the_density() {
        let density = density(&[[Some(0.1), Some(0.9)], [Some(0.15), Some(0.8)]]);
        let mut stream = Stream::new(1, "test", 0, 0);
        let near = (0..4000)
            .map(|_| density.draw(&mut stream))
            .filter(|units| units[0] < 0.3 && units[1] > 0.6)
            .count();
        // Two of three components lie there, and 12 % of the flat one.
        assert!((2600..3200).contains(&near), "{near}");
    }

    #[test]
    fn a_mixture_of_choices_sums_to_one() {
        let choices = (0..3).map(crate::ParameterValue::Int);
        let space = SearchSpace::new([("c".to_owned(), ParameterSpace::categorical(choices))]);
        let trials: Vec<&[Option<f64>]> = vec![&[Some(0.5)], &[None]];
        let density = Density::new(&space, &trials);
        let chance = |index: usize| {
            let units = vec![(index as f64 + 0.5) / 3.0];
            density
                .log_density(&Point {
                    units,
                    exists: vec![true],
                })
                .exp()
        };
        let chances = [chance(0), chance(1), chance(2)];
        assert!((chances.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(chances[1] > chances[0] && chances[0] == chances[2]);
    }
}
