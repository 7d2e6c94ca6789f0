//! Batches computed in parts.

use mlestar_train::ClassWeights;

use crate::Setup;

/// Batch normalisation uses the statistics of each part. The sums therefore agree only if these equal those of
/// the batch: if each part contains each image equally often.
#[test]
fn equal_parts_give_the_gradient_of_the_batch() {
    let mut whole = Setup::new(2);
    whole.spec = {
        let mut config = whole.spec.config().clone();
        config.dropout = 0.0;
        config
            .check(crate::CLASSES, crate::SIDE, crate::SIDE)
            .unwrap()
    };
    whole.augmentation = mlestar_data::augment::AugmentationConfig::default();
    // Sixteen times the same image.
    let base = crate::pictures(5, 1);
    whole.train = std::sync::Arc::new(base.select(&[0; 16]).unwrap());
    whole.validation = crate::pictures(2, 30);
    whole.training.class_weights = Some(ClassWeights::List(vec![1.0, 2.0, 3.0]));
    let mut parts = whole.clone();
    parts.training.accumulation_steps = 4;
    let fit = |setup: &Setup| setup.fit(tempfile::tempdir().unwrap().path()).unwrap();
    let (whole, parts) = (fit(&whole), fit(&parts));
    for (a, b) in whole.history.iter().zip(&parts.history) {
        assert!((a.train_loss - b.train_loss).abs() < 1e-5, "{a:?} {b:?}");
        let relative = (a.gradient_norm_mean - b.gradient_norm_mean) / a.gradient_norm_mean;
        assert!(relative.abs() < 1e-3, "{a:?} {b:?}");
    }
}
