//! After its first run, the executor allocates no heap memory except for its results, in any precision; the predictor
//! writes predictions over earlier ones without any.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use mlestar_export::{Executor, FrozenModel, Precision, Prediction, Predictor};
use mlestar_model::ModelConfig;

use crate::models::{
    AVERAGES, MEAN, STD, attention_frozen, class_names, pooled_frozen, random_pictures,
    small_frozen, trained_like,
};
use crate::precisions::quantized;

/// Counts the allocations of each thread.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator as it is; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that has ended has no counter.
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[test]
fn a_second_call_allocates_its_result_alone() {
    let (spec, trained) = trained_like(ModelConfig::small(), 4, 32);
    let small = FrozenModel::freeze(&trained, &spec, (MEAN, STD), &class_names(4)).unwrap();
    // One thread, so that all of it is counted here.
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    let averaging = small_frozen(1).with_views(AVERAGES[2]);
    for model in [
        small_frozen(1),
        pooled_frozen(1),
        attention_frozen(1),
        averaging,
        small,
    ] {
        let executors = [
            Executor::new(&model),
            Executor::with_precision(&model, Precision::Bf16, 1).unwrap(),
            Executor::quantized(&quantized(&model, &[]), 1),
        ];
        let pictures = random_pictures(1, 40, model.height(), model.width());
        let one = &pictures[..pictures.len() / 40];
        let mut logits = vec![0.0; 40 * model.n_classes()];
        for executor in executors {
            pool.install(|| {
                executor.logits(&pictures, 40).unwrap();
                executor.logits(one, 1).unwrap();
                let before = ALLOCATIONS.get();
                executor.logits(&pictures, 40).unwrap();
                executor.logits(one, 1).unwrap();
                assert_eq!(ALLOCATIONS.get() - before, 2, "{executor:?}");
                executor.logits_into(&pictures, 40, &mut logits).unwrap();
                assert_eq!(ALLOCATIONS.get() - before, 2, "{executor:?}");
            });
        }
    }
}

#[test]
fn a_prediction_over_an_earlier_one_allocates_nothing() {
    let model = small_frozen(1);
    let pictures = random_pictures(2, 40, model.height(), model.width());
    let one = &pictures[..pictures.len() / 40];
    let size = [model.height(), model.width()];
    let predictor = Predictor::new(model);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    pool.install(|| {
        let (mut batch, mut alone) = (Vec::new(), Prediction::default());
        let mut before = 0;
        for _ in 0..3 {
            before = ALLOCATIONS.get();
            predictor
                .predict_batch_into(&pictures, 40, size, &mut batch)
                .unwrap();
            predictor
                .predict_into(one, size[0], size[1], &mut alone)
                .unwrap();
        }
        assert_eq!(ALLOCATIONS.get() - before, 0);
        assert_eq!(batch[0], alone);
        assert_eq!(
            batch,
            predictor
                .predict_batch(&pictures, 40, size[0], size[1])
                .unwrap()
        );
        let few = predictor.predict_batch_into(one, 1, size, &mut batch);
        assert!(few.is_ok() && batch.len() == 1);
        assert!(predictor.predict_into(one, 1, 1, &mut alone).is_err());
        assert_eq!(batch[0], alone);
    });
}
