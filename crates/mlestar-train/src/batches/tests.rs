use burn::tensor::Device;
use mlestar_data::{
    ImageSet, Origin,
    augment::{AugmentationConfig, PaddingMode},
    loader::LoaderConfig,
    normalization::Normalization,
};
use mlestar_random::Stream;
use proptest::prelude::*;

use super::*;

fn set(n: usize, [height, width]: [usize; 2]) -> Arc<ImageSet> {
    let mut stream = Stream::new(n as u64, "pictures", 0, 0);
    let pixels = (0..n * 3 * height * width).map(|_| stream.next_u32() as u8);
    let labels = (0..n as u32).map(|index| index % 2).collect();
    let origins = (0..n as u64).map(|index| Origin::Synthetic { index });
    let classes = ["a", "b"].map(String::from).into();
    let set = ImageSet::new(
        classes,
        height,
        width,
        pixels.collect(),
        labels,
        origins.collect(),
    );
    Arc::new(set.unwrap())
}

fn normalization() -> Normalization {
    Normalization::new([0.4914, 0.4822, 0.4465], [0.247, 0.2435, 0.2616]).unwrap()
}

fn loader(set: &Arc<ImageSet>, augmentation: &AugmentationConfig, batch_size: usize) -> Loader {
    let config = LoaderConfig {
        batch_size,
        seed: 5,
        ..LoaderConfig::default()
    };
    Loader::new(
        Arc::clone(set),
        Some(augmentation.clone()),
        normalization(),
        config,
    )
    .unwrap()
}

/// The largest difference between batches prepared on a device and on the host.
fn difference(loader: &Loader, resident: &ResidentPictures, epoch: u64) -> f32 {
    let means = loader
        .area_spans()
        .map(|spans| AreaMeans::new(spans, resident.device()));
    let plans = loader.plans_from(epoch, 0);
    let mut largest = 0.0_f32;
    for (plan, batch) in plans.zip(loader.epoch(epoch)) {
        let images = resident.images(&plan, means.as_ref());
        assert_eq!(images.dims(), [batch.n, 3, batch.height, batch.width]);
        assert_eq!((plan.labels, plan.indices), (batch.labels, batch.indices));
        let images: Vec<f32> = images.into_data().iter::<f32>().collect();
        for (device, host) in images.iter().zip(&batch.images) {
            largest = largest.max((device - host).abs());
            assert!(!device.is_nan());
        }
    }
    largest
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_device_augments_as_the_host_does(
        n in 1_usize..12, batch_size in 1_usize..7,
        height in 1_usize..9, width in 1_usize..9, padding in 0_usize..4, hole in 0_usize..9,
        reflects: bool, jitter in proptest::bool::weighted(0.4), shrinks: bool,
        (warps, rotation_degrees, zoom) in (proptest::bool::weighted(0.5), 0.0..180.0, 0.0..1.0),
        pictures_at_once in 1_usize..14, epoch in 0_u64..9,
    ) {
        let side = height.min(width);
        let half_width = if jitter { 0.4 } else { 0.0 };
        let augmentation = AugmentationConfig {
            random_crop_padding: padding % side,
            padding_mode: if reflects { PaddingMode::Reflect } else { PaddingMode::Zero },
            horizontal_flip_probability: 0.5,
            cutout_size: hole % (side + 1),
            rotation_degrees: if warps { rotation_degrees } else { 0.0 },
            zoom: if warps { zoom } else { 0.0 },
            warp_probability: 0.7,
            brightness: half_width,
            contrast: half_width,
            saturation: half_width,
            ..AugmentationConfig::default()
        };
        let set = set(n, [height, width]);
        let device = Device::flex().autodiff();
        let bytes = pictures_at_once * (height * width + 1) * 4;
        let resident =
            ResidentPictures::in_chunks(&set, &normalization(), &device, bytes).unwrap();
        let mut loader = loader(&set, &augmentation, batch_size);
        if shrinks {
            loader = loader.shrunk_to([height.div_ceil(2), (3 * width).div_ceil(4)]).unwrap();
        }
        let limit = if jitter || shrinks || warps { 1e-5 } else { 0.0 };
        let found = difference(&loader, &resident, epoch);
        prop_assert!(found <= limit, "{}", found);
    }
}

#[test]
fn pictures_stay_on_the_host_of_a_cpu_unless_asked() {
    let set = set(4, [3, 3]);
    let device = Device::flex().autodiff();
    for (memory, expected) in [
        (PictureMemory::Auto, false),
        (PictureMemory::Host, false),
        (PictureMemory::Device, true),
    ] {
        let loader = loader(&set, &AugmentationConfig::default(), 2);
        let source = BatchSource::new(loader, memory, &device).unwrap();
        assert_eq!(source.is_resident(), expected);
        let batches: Vec<StepBatch> = source.epoch_from(1, 1, [3, 3]).unwrap().collect();
        let [batch] = batches.as_slice() else {
            panic!("one of two batches is left");
        };
        assert_eq!(matches!(batch.pictures, Pictures::Device(_)), expected);
        let sample = source.sample(1, [3, 3]).unwrap().unwrap();
        assert_eq!(sample.n, 2);
    }
}

#[test]
fn a_gpu_keeps_what_is_not_too_large_and_fits() {
    use PictureMemory::{Auto, Device, Host};
    let gib = 1 << 30;
    assert!(is_resident(Auto, false, gib) && !is_resident(Auto, false, gib + 1));
    assert!(!is_resident(Auto, true, 1) && !is_resident(Host, false, 1));
    assert!(is_resident(Device, false, gib + 1) && is_resident(Device, true, 1));

    let full = || -> Result<u8, TrainError> { panic!("out of memory") };
    assert_eq!(uploaded(Auto, full).unwrap(), None);
    let error = uploaded(Device, full).unwrap_err();
    assert!(matches!(error, TrainError::OutOfMemory { .. }), "{error}");
    let lost = || {
        Err::<u8, _>(TrainError::Device {
            action: "copying",
            message: "lost".into(),
        })
    };
    assert!(uploaded(Auto, lost).is_err());
    assert_eq!(uploaded(Auto, || Ok(7)).unwrap(), Some(7));
}
