//! MLPerf's server scenario: queries of one image arrive at random, whether the model is ready or not.

use serde::{Deserialize, Serialize};

use super::arrivals::Arrivals;
use super::clock::Clock;
use super::images::{Batches, Images};
use super::latency::Latency;
use super::model::MeasuredModel;
use super::process::CpuTime;
use super::quantile::quantile;
use super::rule::{Stability, StopRule, next_look};
use crate::error::ExportError;

/// The quantile that must stay within the limit, as in MLPerf.
const QUANTILE: f64 = 0.99;
/// Without a limit, this many times the median latency of one image, and at least [`LEAST_DEFAULT_LIMIT_MS`]: below
/// that, the limit would be about the operating system, which takes a core away for some milliseconds.
const DEFAULT_LIMIT: f64 = 5.0;
const LEAST_DEFAULT_LIMIT_MS: f64 = 10.0;
/// Single images that give that median and the capacity.
const PROBES: usize = 21;
/// Rates closer than this are not told apart.
const CLOSE: f64 = 1.05;
/// Rates tried at most in a search.
const MOST_TRIALS: usize = 10;
/// A rate that is above the limit by up to this factor is tried again: a few queries that wait together can make up
/// the last hundredth.
const NARROW: f64 = 1.5;
/// Rates tried at most afterwards, each this much lower than the one before.
const MOST_CONFIRMATIONS: usize = 5;
const LOWER: f64 = 0.95;
/// Times are sums and differences; one that is due may look this much early, in seconds.
const ROUNDING: f64 = 1e-9;
/// The queue grows without end if a query is late by this many limits and by this share of the time so far.
const LATE_LIMITS: f64 = 10.0;
const LATE_SHARE: f64 = 0.25;
/// The share of the time for a measurement before which the queue is not judged.
const SOON: f64 = 0.1;

/// What a server scenario asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerOptions {
    /// Arrivals per second; without it, the highest rate within the limit is searched.
    pub rate: Option<f64>,
    /// The limit of the 99th percentile, in milliseconds; without it, 10 ms, or five times the median latency of one
    /// image if that is more.
    pub limit_ms: Option<f64>,
    /// Waiting images that are answered together at most, at least 1.
    pub max_batch: usize,
    /// The seed of the arrivals.
    pub seed: u64,
    /// How long to measure, the search included. Its quantile does not matter: it is the 99th percentile.
    pub rule: StopRule,
}

/// The result of a server scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerResult {
    /// The limit of the 99th percentile, in milliseconds.
    pub limit_ms: f64,
    /// Whether the limit was set by the options; else it comes from the latency of one image.
    pub limit_was_given: bool,
    /// Arrivals per second: the given rate, or the highest one at which the 99th percentile was within the limit;
    /// absent if it was not at any rate.
    pub rate: Option<f64>,
    /// Latencies at that rate, from the scheduled arrival to the answer.
    pub latency: Option<Latency>,
    /// Whether the 99th percentile at that rate is within the limit.
    pub is_within_limit: bool,
    /// Whether the 99th percentile at that rate is stable.
    pub stability: Option<Stability>,
    /// Mean number of images that were answered together at that rate.
    pub mean_batch: Option<f64>,
    /// Cores in use at that rate; absent if it was too short for the clock of the system, or the system does not
    /// tell.
    pub cpu_cores: Option<f64>,
    /// Every rate that was tried, in order.
    pub trials: Vec<RateTrial>,
}

/// One rate of a search.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RateTrial {
    /// Arrivals per second.
    pub rate: f64,
    /// Answered queries.
    pub n: usize,
    /// Their 99th percentile, in milliseconds.
    pub p99_ms: f64,
    /// Whether it is within the limit.
    pub is_within_limit: bool,
}

/// Poisson arrivals in an open loop: a query's latency counts from its scheduled arrival, so that time in the queue
/// counts. One query after the other is answered in the order of arrival; those that wait are answered together, at
/// most [`ServerOptions::max_batch`].
///
/// Without a rate, it looks for the highest one whose 99th percentile is within the limit: by bisection below the
/// capacity, with a trial ending early only if the queue grows, and another one for a rate that was narrowly above the
/// limit. Half of the time is for the search; the other half measures the rate that was found, and a little less if
/// that proves too high.
///
/// # Errors
///
/// Those of the model; [`ExportError::InvalidArgument`] for a rate or limit that is not above 0, a batch of 0, or an
/// unusable rule.
pub fn server(
    model: &dyn MeasuredModel,
    images: &Images,
    options: &ServerOptions,
    clock: &dyn Clock,
) -> Result<ServerResult, ExportError> {
    options.check()?;
    let mut server = Server {
        model,
        batches: images.batches(options.max_batch)?,
        options,
        clock,
        n_trials: 0,
    };
    let (median_seconds, capacity) = server.probe()?;
    let default_ms = (DEFAULT_LIMIT * median_seconds * 1e3).max(LEAST_DEFAULT_LIMIT_MS);
    let limit_ms = options.limit_ms.unwrap_or(default_ms);
    let mut result = ServerResult {
        limit_ms,
        limit_was_given: options.limit_ms.is_some(),
        rate: None,
        latency: None,
        is_within_limit: false,
        stability: None,
        mean_batch: None,
        cpu_cores: None,
        trials: Vec::new(),
    };
    match options.rate {
        Some(rate) => server.measure(rate, options.rule.max_seconds, &mut result)?,
        None => server.search(capacity, &mut result)?,
    }
    Ok(result)
}

impl ServerOptions {
    fn check(&self) -> Result<(), ExportError> {
        for (what, value) in [("rate", self.rate), ("limit", self.limit_ms)] {
            if value.is_some_and(|value| !(value > 0.0 && value.is_finite())) {
                let reason = format!("it is {}, but must be above 0", value.unwrap_or_default());
                return Err(ExportError::argument(what, reason));
            }
        }
        match self.rule.problem() {
            Some(problem) => Err(ExportError::argument("stop rule", problem)),
            None => Ok(()),
        }
    }
}

struct Server<'a> {
    model: &'a dyn MeasuredModel,
    batches: Batches,
    options: &'a ServerOptions,
    clock: &'a dyn Clock,
    n_trials: u64,
}

/// What queries at one rate gave.
struct Served {
    times_ms: Vec<f64>,
    n_batches: usize,
}

impl Server<'_> {
    fn answer(&mut self, n: usize) -> Result<(), ExportError> {
        self.model.answer(self.batches.take(n), n)
    }

    /// The median time of one image, in seconds, and the images per second that can be answered at most.
    fn probe(&mut self) -> Result<(f64, f64), ExportError> {
        let most = self.options.max_batch;
        let mut median = |n: usize, times: usize| {
            self.answer(n)?;
            let mut seconds = Vec::new();
            for _ in 0..times {
                let begin = self.clock.seconds();
                self.answer(n)?;
                seconds.push(self.clock.seconds() - begin);
            }
            seconds.sort_by(f64::total_cmp);
            Ok::<_, ExportError>(quantile(&seconds, 0.5).max(1e-9))
        };
        let one = median(1, PROBES)?;
        let many = median(most, 3)?;
        Ok((one, (1.0 / one).max(most as f64 / many)))
    }

    /// Answers arrivals at `rate` until `is_over` says so, after each batch.
    fn serve(
        &mut self,
        rate: f64,
        mut is_over: impl FnMut(&[f64], f64) -> bool,
    ) -> Result<Served, ExportError> {
        let arrivals = Arrivals::new(rate, self.options.seed, self.n_trials);
        self.n_trials += 1;
        let mut arrivals = arrivals.peekable();
        let start = self.clock.seconds();
        let mut served = Served {
            times_ms: Vec::new(),
            n_batches: 0,
        };
        let mut waiting = Vec::new();
        loop {
            if let Some(next) = arrivals.peek() {
                self.clock.wait_until(start + next);
            }
            let now = self.clock.seconds() - start;
            waiting.clear();
            while waiting.len() < self.options.max_batch
                && let Some(arrival) = arrivals.next_if(|arrival| *arrival <= now + ROUNDING)
            {
                waiting.push(arrival);
            }
            if waiting.is_empty() {
                // A clock that woke early.
                continue;
            }
            self.answer(waiting.len())?;
            served.n_batches += 1;
            let now = self.clock.seconds() - start;
            let late = waiting.iter().map(|arrival| (now - arrival) * 1e3);
            served.times_ms.extend(late);
            if is_over(&served.times_ms, now) {
                return Ok(served);
            }
        }
    }

    /// Whether `rate` keeps the limit, as far as `seconds` can tell.
    fn tries(&mut self, rate: f64, limit_ms: f64, seconds: f64) -> Result<RateTrial, ExportError> {
        let min_n = self.options.rule.min_n;
        let mut is_hopeless = false;
        let served = self.serve(rate, |times_ms, now| {
            is_hopeless = now >= SOON * seconds && grows(times_ms, now, limit_ms);
            is_hopeless || now >= seconds && times_ms.len() >= min_n
        })?;
        let p99_ms = p99(&served.times_ms);
        Ok(RateTrial {
            rate,
            n: served.times_ms.len(),
            p99_ms,
            is_within_limit: !is_hopeless && p99_ms <= limit_ms,
        })
    }

    fn search(&mut self, capacity: f64, result: &mut ServerResult) -> Result<(), ExportError> {
        let half = 0.5 * self.options.rule.max_seconds;
        let (mut low, mut high) = (None, capacity);
        while result.trials.len() < MOST_TRIALS && low.is_none_or(|low| high / low > CLOSE) {
            let rate = match low {
                Some(low) => f64::sqrt(low * high),
                None => 0.5 * high,
            };
            let seconds = half / MOST_TRIALS as f64;
            let mut trial = self.tries(rate, result.limit_ms, seconds)?;
            result.trials.push(trial);
            if !trial.is_within_limit && trial.p99_ms <= NARROW * result.limit_ms {
                trial = self.tries(rate, result.limit_ms, seconds)?;
                result.trials.push(trial);
            }
            match trial.is_within_limit {
                true => low = Some(rate),
                false => high = rate,
            }
        }
        let Some(mut rate) = low else {
            return Ok(());
        };
        for _ in 0..MOST_CONFIRMATIONS {
            self.measure(rate, half, result)?;
            if result.is_within_limit {
                return Ok(());
            }
            rate *= LOWER;
        }
        // What was measured last broke the limit.
        result.rate = None;
        result.latency = None;
        result.stability = None;
        result.mean_batch = None;
        Ok(())
    }

    /// Measures one rate for at most `seconds`.
    fn measure(
        &mut self,
        rate: f64,
        seconds: f64,
        result: &mut ServerResult,
    ) -> Result<(), ExportError> {
        let rule = StopRule {
            quantile: QUANTILE,
            min_seconds: self.options.rule.min_seconds.min(seconds),
            max_seconds: seconds,
            ..self.options.rule
        };
        let limit_ms = result.limit_ms;
        let mut look = rule.min_n;
        let cpu = CpuTime::start();
        let served = self.serve(rate, |times_ms, now| {
            let n = times_ms.len();
            let is_hopeless = now >= SOON * seconds && grows(times_ms, now, limit_ms);
            if rule.must_end(n, now) || is_hopeless && n >= rule.min_n {
                return true;
            }
            if n < look || !rule.may_end(n, now) {
                return false;
            }
            look = next_look(n);
            rule.stability(times_ms).is_stable
        })?;
        result.cpu_cores = cpu.cores();
        let n = served.times_ms.len();
        let p99_ms = p99(&served.times_ms);
        result.rate = Some(rate);
        result.is_within_limit = p99_ms <= limit_ms;
        result.stability = Some(rule.stability(&served.times_ms));
        result.mean_batch = Some(n as f64 / served.n_batches as f64);
        result.latency = Latency::of(&served.times_ms, 0);
        result.trials.push(RateTrial {
            rate,
            n,
            p99_ms,
            is_within_limit: result.is_within_limit,
        });
        Ok(())
    }
}

/// Whether the last query, answered after `now` seconds, shows that the queue grows without end.
fn grows(times_ms: &[f64], now: f64, limit_ms: f64) -> bool {
    let last_ms = times_ms.last().copied().unwrap_or_default();
    last_ms > LATE_LIMITS * limit_ms && last_ms > LATE_SHARE * now * 1e3
}

fn sorted(times: &[f64]) -> Vec<f64> {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

fn p99(times: &[f64]) -> f64 {
    quantile(&sorted(times), QUANTILE)
}

#[cfg(test)]
mod tests {
    use super::super::testing::FakeModel;
    use super::*;

    fn options(rate: Option<f64>, limit_ms: f64, seconds: f64) -> ServerOptions {
        ServerOptions {
            rate,
            limit_ms: Some(limit_ms),
            max_batch: 1,
            seed: 5,
            rule: StopRule {
                min_seconds: seconds,
                ..StopRule::within(seconds, 0.99)
            },
        }
    }

    fn served(fake: &FakeModel, options: &ServerOptions) -> ServerResult {
        server(fake, &fake.images(), options, fake.clock()).unwrap()
    }

    /// Pollaczek and Khinchine for one server with a constant service time s: the mean time in the queue is
    /// `load / (2 (1 - load)) s`.
    #[test]
    fn the_queue_is_as_long_as_theory_says() {
        for load in [0.3, 0.6, 0.8] {
            let fake = FakeModel::new(0.01);
            let result = served(&fake, &options(Some(load / 0.01), 1e6, 3000.0));
            let latency = result.latency.unwrap();
            let expected = 10.0 * (1.0 + load / (2.0 * (1.0 - load)));
            let error = (latency.mean_ms / expected - 1.0).abs();
            assert!(error < 0.05, "{load}: {} {expected}", latency.mean_ms);
            assert!(latency.min_ms >= 10.0 - 1e-6);
            assert!((latency.n as f64 / (3000.0 * load / 0.01) - 1.0).abs() < 0.02);
            assert_eq!(result.mean_batch, Some(1.0));
        }
    }

    #[test]
    fn above_the_capacity_latency_grows_with_time() {
        let fake = FakeModel::new(0.01);
        let p50 = |seconds: f64| {
            let result = served(&fake, &options(Some(150.0), 1e9, seconds));
            assert!(!result.stability.unwrap().is_stable);
            result.latency.unwrap().p50.ms
        };
        let (short, long) = (p50(10.0), p50(40.0));
        // 150 arrive and 100 are answered: a query that is answered after t seconds came at 2 t / 3.
        assert!((short / 1667.0 - 1.0).abs() < 0.25, "{short}");
        assert!((long / short / 4.0 - 1.0).abs() < 0.25, "{short} {long}");
        // With a limit it does not go on to the end.
        let result = served(&fake, &options(Some(150.0), 50.0, 1000.0));
        assert!(!result.is_within_limit);
        // A tenth of the time, in which 100 per second are answered.
        let n = result.latency.unwrap().n;
        assert!((9_900..10_100).contains(&n), "{n}");
    }

    #[test]
    fn the_highest_rate_within_the_limit_is_found() {
        // A simulation with NumPy of 2 million queries has a 99th percentile of 48.7 ms at 55 per second, of 55.4 ms at
        // 60.
        let fake = FakeModel::new(0.01);
        let result = served(&fake, &options(None, 50.0, 4000.0));
        let rate = result.rate.unwrap();
        assert!(result.is_within_limit);
        assert!(result.latency.as_ref().unwrap().p99.ms <= 50.0);
        let above = served(&fake, &options(Some(1.25 * rate), 50.0, 4000.0));
        assert!(!above.is_within_limit, "{rate}: {:?}", above.latency);
        assert!((48.0..60.0).contains(&rate), "{rate}: {:?}", result.trials);
        assert!(result.trials.len() > 3);
    }

    #[test]
    fn no_rate_keeps_a_limit_below_the_time_of_one_image() {
        let fake = FakeModel::new(0.01);
        let result = served(&fake, &options(None, 9.0, 400.0));
        assert_eq!((result.rate, result.latency), (None, None));
        assert!(result.trials.iter().all(|trial| !trial.is_within_limit));
    }

    #[test]
    fn waiting_images_are_answered_together() {
        // Batches of 16 are answered at 16 / (7 + 16) ms = 696 per second, single ones at 125 per second.
        let fake = FakeModel::new(0.001).with_seconds_per_query(0.007);
        let together = ServerOptions {
            max_batch: 16,
            ..options(Some(400.0), 1000.0, 100.0)
        };
        let result = served(&fake, &together);
        assert!(result.is_within_limit);
        let mean_batch = result.mean_batch.unwrap();
        // At rate r, a batch of b takes as long as b arrivals: b = r (7 + b) ms, so b = 4.67.
        assert!((mean_batch - 4.67).abs() < 0.5, "{mean_batch}");
        let alone = served(&fake, &options(Some(400.0), 1000.0, 100.0));
        assert!(!alone.is_within_limit);
    }

    #[test]
    fn the_limit_comes_from_one_image_where_none_is_given() {
        let fake = FakeModel::new(0.01);
        let without = ServerOptions {
            limit_ms: None,
            ..options(Some(20.0), 1.0, 20.0)
        };
        let result = served(&fake, &without);
        assert!((result.limit_ms - 50.0).abs() < 1e-6 && !result.limit_was_given);
        let fast = FakeModel::new(0.001);
        assert_eq!(served(&fast, &without).limit_ms, 10.0);
    }

    #[test]
    fn nonsense_is_refused() {
        let fake = FakeModel::new(0.01);
        let refused = |options: ServerOptions| {
            server(&fake, &fake.images(), &options, fake.clock())
                .unwrap_err()
                .to_string()
        };
        let good = options(Some(1.0), 1.0, 1.0);
        assert!(
            refused(ServerOptions {
                rate: Some(0.0),
                ..good.clone()
            })
            .contains("rate")
        );
        assert!(
            refused(ServerOptions {
                limit_ms: Some(f64::NAN),
                ..good.clone()
            })
            .contains("limit")
        );
        assert!(
            refused(ServerOptions {
                max_batch: 0,
                ..good
            })
            .contains("at least 1")
        );
    }
}
