//! MLPerf's single stream: one image after the other, as on a device with one user.

use super::clock::Clock;
use super::images::Images;
use super::model::MeasuredModel;
use super::rule::StopRule;
use super::stream::{StreamResult, stream};
use crate::error::ExportError;

/// The latency of one image, in a closed loop: the next image comes when the one before has its answer.
///
/// ```
/// use mlestar_export::Predictor;
/// use mlestar_export::benchmark::{Images, StopRule, SystemClock, single_stream};
#[doc = include_str!("../doc_model.in")]
/// let model = Predictor::new(model);
/// let rule = StopRule { max_n: 50, ..StopRule::within(1.0, 0.9) };
/// let result = single_stream(&model, &Images::noise(&model, 0), &rule, &SystemClock::start())?;
/// assert!((10..=50).contains(&result.latency.n));
/// assert!(result.latency.p50.ms <= result.latency.p99.ms);
/// # Ok::<(), mlestar_export::ExportError>(())
/// ```
///
/// # Errors
///
/// Those of the model; [`ExportError::InvalidArgument`] for an unusable rule.
pub fn single_stream(
    model: &dyn MeasuredModel,
    images: &Images,
    rule: &StopRule,
    clock: &dyn Clock,
) -> Result<StreamResult, ExportError> {
    stream(model, images, 1, rule, clock)
}

#[cfg(test)]
mod tests {
    use super::super::testing::FakeModel;
    use super::*;

    #[test]
    fn the_latency_is_that_of_the_model() {
        let fake = FakeModel::new(0.004);
        let rule = StopRule {
            max_n: 1000,
            ..StopRule::within(20.0, 0.9)
        };
        let result = single_stream(&fake, &fake.images(), &rule, fake.clock()).unwrap();
        assert!(result.stability.is_stable);
        // Stable at the first look after a quarter of the time.
        assert!(
            (result.seconds - 4.0).abs() < 1e-9 || result.seconds > 4.9,
            "{}",
            result.seconds
        );
        for quantile in [result.latency.p50, result.latency.p99] {
            assert!((quantile.ms - 4.0).abs() < 1e-6);
        }
        assert!((result.images_per_second - 250.0).abs() < 1e-3);
        assert_eq!(fake.n_answered(), result.latency.n + rule.warm_up);
    }

    #[test]
    fn a_measurement_ends_at_its_time_even_if_it_is_not_stable() {
        // Twice as slow from the 31st image on: the 90th percentile has a narrow interval, but the median drifts.
        let fake = FakeModel::new(0.004).slower_from(30, 2.0);
        let rule = StopRule {
            warm_up: 0,
            ..StopRule::within(0.5, 0.9)
        };
        let result = single_stream(&fake, &fake.images(), &rule, fake.clock()).unwrap();
        assert!(!result.stability.is_stable, "{:?}", result.stability);
        assert!((0.5..0.51).contains(&result.seconds), "{}", result.seconds);
    }

    #[test]
    fn a_failing_model_and_a_useless_rule_are_errors() {
        let fake = FakeModel::new(0.001).failing_at(25);
        let rule = StopRule::within(1.0, 0.9);
        let error = single_stream(&fake, &fake.images(), &rule, fake.clock()).unwrap_err();
        assert!(error.to_string().contains("fails on purpose"), "{error}");
        let rule = StopRule { min_n: 0, ..rule };
        let error = single_stream(&fake, &fake.images(), &rule, fake.clock()).unwrap_err();
        assert!(error.to_string().contains("stop rule"), "{error}");
    }
}
