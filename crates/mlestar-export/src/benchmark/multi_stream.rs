//! MLPerf's multi-stream: several images at once, as from several cameras.

use super::clock::Clock;
use super::images::Images;
use super::model::MeasuredModel;
use super::rule::StopRule;
use super::stream::{StreamResult, stream};
use crate::error::ExportError;

/// The latency of a query of `images_per_query` images, in a closed loop. MLPerf uses 8.
///
/// # Errors
///
/// Those of the model; [`ExportError::InvalidArgument`] for a query without images or an unusable rule.
pub fn multi_stream(
    model: &dyn MeasuredModel,
    images: &Images,
    images_per_query: usize,
    rule: &StopRule,
    clock: &dyn Clock,
) -> Result<StreamResult, ExportError> {
    stream(model, images, images_per_query, rule, clock)
}

#[cfg(test)]
mod tests {
    use super::super::testing::FakeModel;
    use super::*;

    #[test]
    fn a_query_takes_as_long_as_its_images() {
        let fake = FakeModel::new(0.001);
        let rule = StopRule::within(1.0, 0.99);
        let result = multi_stream(&fake, &fake.images(), 8, &rule, fake.clock()).unwrap();
        assert_eq!(result.images_per_query, 8);
        assert!((result.latency.p90.ms - 8.0).abs() < 1e-6);
        assert!((result.images_per_second - 1000.0).abs() < 1e-3);
        let error = multi_stream(&fake, &fake.images(), 0, &rule, fake.clock()).unwrap_err();
        assert!(error.to_string().contains("at least 1"), "{error}");
    }
}
