//! Whether the images that come resemble those of the training.

mod index;

use crate::drift::index::{least_images, population_stability_index};
use mlestar_export::package::{Histogram, ImageStatistics, TrainingData};
use std::sync::{Mutex, PoisonError};

/// The images of a window, at least. Two windows are compared with the training: the one that fills and the one
/// before.
const WINDOW: u64 = 5_000;

/// Counts of the images that came.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Counts {
    n: u64,
    brightness: Vec<u64>,
    contrast: Vec<u64>,
    classes: Vec<u64>,
}

impl Counts {
    /// None yet, in the bins of the training data.
    fn new(training: &TrainingData) -> Self {
        Self {
            n: 0,
            brightness: vec![0; training.brightness.counts.len()],
            contrast: vec![0; training.contrast.counts.len()],
            classes: vec![0; training.predicted_classes.len()],
        }
    }

    fn add(&mut self, training: &TrainingData, image: ImageStatistics, class: usize) {
        let in_bin = |bins: &mut Vec<u64>, histogram: &Histogram, value| {
            if let Some(n) = bins.get_mut(histogram.bin(value)) {
                *n += 1;
            }
        };
        self.n += 1;
        in_bin(&mut self.brightness, &training.brightness, image.brightness);
        in_bin(&mut self.contrast, &training.contrast, image.contrast);
        if let Some(n) = self.classes.get_mut(class) {
            *n += 1;
        }
    }
}

/// The drift of one property.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drift {
    /// `brightness`, `contrast` or `classes`.
    pub of: &'static str,
    /// Population stability index; `None` while there are fewer than `least_images`.
    pub psi: Option<f64>,
    /// Images that it takes; `None` if the training had too few images for any number.
    pub least_images: Option<u64>,
}

/// Compares the latest images with the training data.
#[derive(Debug)]
pub struct DriftMonitor(Option<Monitor>);

#[derive(Debug)]
struct Monitor {
    training: TrainingData,
    window: u64,
    least: [Option<u64>; 3],
    /// The window that fills, and the one before.
    counts: Mutex<[Counts; 2]>,
}

impl DriftMonitor {
    /// A monitor that has seen nothing. Without `training` it stays silent.
    pub fn new(training: Option<TrainingData>) -> Self {
        Self(training.map(|training| {
            let all = [
                &training.brightness.counts,
                &training.contrast.counts,
                &training.predicted_classes,
            ];
            let least = all.map(|bins| least_images(bins.len(), bins.iter().sum()));
            let none = Counts::new(&training);
            Monitor {
                window: least.iter().flatten().copied().fold(WINDOW, u64::max),
                least,
                counts: Mutex::new([none.clone(), none]),
                training,
            }
        }))
    }

    /// An image came and was predicted as `class`.
    pub fn add(&self, image: ImageStatistics, class: usize) {
        let Some(monitor) = &self.0 else {
            return;
        };
        let mut counts = monitor
            .counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if counts[0].n >= monitor.window {
            counts.swap(0, 1);
            counts[0] = Counts::new(&monitor.training);
        }
        counts[0].add(&monitor.training, image, class);
    }

    /// The number of images in both windows, and the drift of each property; empty without training statistics.
    pub fn judge(&self) -> (u64, Vec<Drift>) {
        let Some(monitor) = &self.0 else {
            return (0, Vec::new());
        };
        let [now, before] = &*monitor
            .counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let training = &monitor.training;
        let sum =
            |a: &[u64], b: &[u64]| -> Vec<u64> { a.iter().zip(b).map(|(a, b)| a + b).collect() };
        let n = now.n + before.n;
        let properties = [
            (
                "brightness",
                &training.brightness.counts,
                sum(&now.brightness, &before.brightness),
            ),
            (
                "contrast",
                &training.contrast.counts,
                sum(&now.contrast, &before.contrast),
            ),
            (
                "classes",
                &training.predicted_classes,
                sum(&now.classes, &before.classes),
            ),
        ];
        let drifts =
            properties
                .into_iter()
                .zip(monitor.least)
                .map(|((of, expected, found), least)| {
                    let is_enough = least.is_some_and(|least| n >= least);
                    Drift {
                        of,
                        psi: is_enough.then(|| population_stability_index(expected, &found)),
                        least_images: least,
                    }
                });
        (n, drifts.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(step: u64) -> ImageStatistics {
        ImageStatistics {
            brightness: (step * 37 % 256) as f64,
            contrast: (step * 53 % 128) as f64,
        }
    }

    fn training() -> TrainingData {
        let images: Vec<ImageStatistics> = (0..1024).map(image).collect();
        let of = |value: fn(&ImageStatistics) -> f64| {
            Histogram::of(&images.iter().map(value).collect::<Vec<_>>())
        };
        TrainingData {
            brightness: of(|image| image.brightness),
            contrast: of(|image| image.contrast),
            predicted_classes: vec![500; 2],
        }
    }

    #[test]
    fn it_speaks_only_of_enough_images_and_then_truly() {
        let monitor = DriftMonitor::new(Some(training()));
        monitor.add(image(0), 0);
        let (n, drifts) = monitor.judge();
        assert_eq!((n, drifts.len()), (1, 3));
        assert!(drifts.iter().all(|drift| drift.psi.is_none()));
        for step in 1..2000 {
            monitor.add(image(step), (step % 2) as usize);
        }
        let (_, drifts) = monitor.judge();
        assert!(
            drifts
                .iter()
                .all(|drift| drift.psi.is_some_and(|psi| psi < 0.02)),
            "{drifts:?}"
        );
        // Dark images of one class, until nothing else is in the windows.
        for _ in 0..3 * WINDOW {
            monitor.add(
                ImageStatistics {
                    brightness: 3.0,
                    contrast: 64.0,
                },
                1,
            );
        }
        let (n, drifts) = monitor.judge();
        assert!((WINDOW..=2 * WINDOW).contains(&n));
        assert!(
            drifts
                .iter()
                .all(|drift| drift.psi.is_some_and(|psi| psi > 0.25)),
            "{drifts:?}"
        );
    }

    #[test]
    fn without_statistics_it_is_silent() {
        let monitor = DriftMonitor::new(None);
        monitor.add(image(1), 1);
        assert_eq!(monitor.judge(), (0, Vec::new()));
    }
}
