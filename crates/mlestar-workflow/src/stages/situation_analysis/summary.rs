//! The short form of the analysis, and the list of quality findings.

use super::advice::Advice;
use super::artifact::{
    ChallengeTitle, ChannelSummary, ClassBalance, ClassCount, FindingGroup, KindTotal,
    QualityFindings, QualitySummary, Resolution, SplitSummary, Summary,
};
use super::challenges::Challenge;
use super::measurements::{Measurements, SPLITS};
use crate::words::counted;
use mlestar_data::describe::Description;
use mlestar_data::load::SourceReport;
use mlestar_data::quality::{FindingKind, QualityReport};
use mlestar_data::{ImageSet, SplitName};

/// Findings of one kind that are listed with their origins.
const MOST_LISTED: usize = 50;

/// What the summary is made of.
pub(super) struct Parts<'a> {
    pub(super) measurements: &'a Measurements,
    pub(super) train: &'a Description,
    pub(super) source: &'a SourceReport,
    pub(super) challenges: &'a [Challenge],
    pub(super) preprocessing: &'a [Advice],
    pub(super) augmentation: &'a [Advice],
}

pub(super) fn summarise(parts: &Parts<'_>) -> Summary {
    let measurements = parts.measurements;
    Summary {
        n_images: measurements.n_all(),
        n_classes: measurements.classes.len(),
        splits: SPLITS
            .map(|split| split_summary(measurements, split))
            .to_vec(),
        class_balance: class_balance(measurements),
        channels: parts.train.channels.iter().map(channel_summary).collect(),
        resolution: Resolution {
            height: measurements.height,
            width: measurements.width,
            channels: ImageSet::CHANNELS,
            resize_rule: parts.source.resize_rule.clone(),
        },
        quality: quality_summary(measurements),
        n_challenges: parts.challenges.len(),
        challenges: parts.challenges.iter().map(title_of).collect(),
        n_preprocessing_recommendations: parts.preprocessing.len(),
        n_augmentation_recommendations: parts.augmentation.len(),
    }
}

fn split_summary(measurements: &Measurements, split: SplitName) -> SplitSummary {
    let n_images = measurements.n_pictures(split);
    let counts = measurements.class_counts.of(split);
    SplitSummary {
        name: split,
        n_images,
        classes: measurements
            .classes
            .iter()
            .zip(counts)
            .map(|(name, count)| ClassCount {
                name: name.clone(),
                n_images: *count,
                fraction: *count as f64 / n_images.max(1) as f64,
            })
            .collect(),
    }
}

fn class_balance(measurements: &Measurements) -> ClassBalance {
    let (largest_class, n_largest) = measurements.extreme_class(false);
    let (smallest_class, n_smallest) = measurements.extreme_class(true);
    let imbalance_ratio = measurements.imbalance_ratio();
    let statement = match imbalance_ratio {
        None => "at least one class has no training image".to_owned(),
        Some(_) if n_largest == n_smallest => {
            format!(
                "all classes have {}: exactly balanced",
                counted(n_smallest, "training image")
            )
        }
        Some(ratio) => format!(
            "between {n_smallest} ({smallest_class}) and {n_largest} ({largest_class}) training images per \
            class: a ratio of {ratio:.3}"
        ),
    };
    let classes = measurements.classes.iter();
    ClassBalance {
        imbalance_ratio,
        largest_class: largest_class.to_owned(),
        n_largest,
        smallest_class: smallest_class.to_owned(),
        n_smallest,
        absent_classes: classes
            .zip(&measurements.class_counts.train)
            .filter(|(_, count)| **count == 0)
            .map(|(name, _)| name.clone())
            .collect(),
        statement,
    }
}

fn channel_summary(channel: &mlestar_data::describe::ChannelDescription) -> ChannelSummary {
    ChannelSummary {
        name: channel.name.clone(),
        mean: channel.mean,
        std: channel.std,
        min: channel.min,
        max: channel.max,
    }
}

fn quality_summary(measurements: &Measurements) -> QualitySummary {
    let by_kind: Vec<KindTotal> = FindingKind::ALL
        .into_iter()
        .map(|kind| KindTotal {
            kind,
            n_findings: measurements.n_findings(&[kind]),
        })
        .filter(|total| total.n_findings > 0)
        .collect();
    QualitySummary {
        n_checked: measurements.n_all(),
        n_findings: by_kind.iter().map(|total| total.n_findings).sum(),
        by_kind,
    }
}

fn title_of(challenge: &Challenge) -> ChallengeTitle {
    ChallengeTitle {
        id: challenge.id.clone(),
        title: challenge.title.clone(),
        severity: challenge.severity,
    }
}

/// The findings by kind, the first of each listed.
pub(super) fn list_findings(report: &QualityReport) -> QualityFindings {
    let groups = FindingKind::ALL
        .into_iter()
        .map(|kind| FindingGroup {
            kind,
            title: kind.title().to_owned(),
            n_findings: report.count(kind),
            listed: report.of(kind).take(MOST_LISTED).cloned().collect(),
        })
        .filter(|group| group.n_findings > 0)
        .collect();
    QualityFindings {
        n_checked: report.n_checked,
        thresholds: report.thresholds.clone(),
        groups,
        notes: report.notes.clone(),
    }
}
