use std::{fs, sync::Arc};

use burn::tensor::Device;
use mlestar_data::{ImageSet, Origin};
use mlestar_train::logits;

use crate::{SIDE, Setup, normalization, pictures};

fn refused(change: impl FnOnce(&mut Setup)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(1);
    change(&mut setup);
    let message = setup.fit(folder.path()).unwrap_err().to_string();
    // Nothing is started.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{message}");
    message
}

#[test]
fn settings_out_of_range_are_refused_before_anything_is_written() {
    assert_eq!(
        refused(|setup| setup.training.epochs = 0),
        "epochs = 0 is out of range: it must be 1 to 100000"
    );
    assert_eq!(
        refused(|setup| setup.training.optimizer.learning_rate = f64::NAN),
        "optimizer.learning_rate = NaN is out of range: it must be above 0 and at most 10"
    );
    assert_eq!(
        refused(|setup| setup.threads = 0),
        "threads = 0 is out of range: it must be at least 1"
    );
    let message = refused(|setup| setup.augmentation.horizontal_flip_probability = 1.5);
    assert!(
        message.contains("horizontal_flip_probability") && message.contains("1.5"),
        "{message}"
    );
}

#[test]
fn sets_that_do_not_fit_are_refused() {
    let empty = || Arc::new(pictures(1, 3).select(&[]).unwrap());
    assert_eq!(
        refused(|setup| setup.train = empty()),
        "the training set is empty; it needs at least one image"
    );
    assert_eq!(
        refused(|setup| setup.validation = empty()),
        "the validation set is empty; it needs at least one image"
    );
    // A label without an output of the model can only come with more classes.
    assert_eq!(
        refused(|setup| {
            let classes = (0..4).map(|c| format!("class {c}")).collect();
            let origins = vec![Origin::Synthetic { index: 0 }];
            let pixels = vec![0; 3 * SIDE * SIDE];
            let set = ImageSet::new(classes, SIDE, SIDE, pixels, vec![3], origins);
            setup.validation = Arc::new(set.unwrap());
        }),
        "the validation set has 4 classes but the model was specified for 3 classes"
    );
    assert_eq!(
        refused(|setup| setup.spec = setup.spec.config().check(3, 8, 9).unwrap()),
        "the training set has images of 8x8 pixels but the model was specified for images of \
         8x9 pixels"
    );
}

#[test]
fn an_output_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("taken");
    fs::write(&file, "a file, not a folder").unwrap();
    let message = Setup::new(1).fit(&file).unwrap_err().to_string();
    assert!(message.contains("taken"), "{message}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "a file, not a folder");
}

#[test]
fn prediction_needs_a_batch() {
    let setup = Setup::new(1);
    let device = Device::flex();
    let model = setup.spec.init(0, &device);
    let error = logits(
        &model,
        &setup.validation,
        &normalization(),
        0,
        &device,
        &mut |_, _| (),
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "batch_size = 0 is out of range: it must be at least 1"
    );
}
