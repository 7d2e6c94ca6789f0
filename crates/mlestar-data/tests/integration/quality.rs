//! The quality check and the description: planted flaws are found, clean images are not reported.

use mlestar_data::describe::describe;
use mlestar_data::quality::{
    Finding, FindingKind, QualityConfig, QualityReport, check, check_with,
};
use mlestar_data::synthetic::{FlawKind, SyntheticConfig, SyntheticData, generate};
use mlestar_data::{ImageSet, ImageSplits, Origin, SplitName};
use mlestar_random::Stream;
use proptest::prelude::*;
use std::collections::HashSet;

type Places = HashSet<(SplitName, usize)>;

fn found(report: &QualityReport, kind: FindingKind) -> Places {
    report
        .of(kind)
        .map(|finding| (finding.split, finding.index))
        .collect()
}

fn planted(data: &SyntheticData, is: impl Fn(&FlawKind) -> bool) -> Places {
    let flaws = data.flaws.iter().filter(|flaw| is(&flaw.kind));
    flaws.map(|flaw| (flaw.split, flaw.index)).collect()
}

#[test]
fn planted_flaws_are_found_without_false_alarms() {
    let data = generate(&SyntheticConfig::default(), 42).unwrap();
    let report = check(&data.splits);
    assert_eq!(report.n_checked, [4000, 1000, 2000]);
    for (kind, expected) in [
        (
            FindingKind::ExactDuplicate,
            planted(&data, |kind| {
                matches!(kind, FlawKind::ExactDuplicate { .. })
            }),
        ),
        (
            FindingKind::Leakage,
            planted(&data, |kind| matches!(kind, FlawKind::Leaked { .. })),
        ),
        (
            FindingKind::NearDuplicate,
            planted(&data, |kind| matches!(kind, FlawKind::NearDuplicate { .. })),
        ),
        (
            FindingKind::Blank,
            planted(&data, |kind| matches!(kind, FlawKind::Blank)),
        ),
        (
            FindingKind::OverDark,
            planted(&data, |kind| matches!(kind, FlawKind::OverDark)),
        ),
    ] {
        assert_eq!(found(&report, kind), expected, "{kind}");
    }
    for kind in [
        FindingKind::NearLeakage,
        FindingKind::OverBright,
        FindingKind::LowContrast,
    ] {
        assert_eq!(report.count(kind), 0, "{kind}");
    }
    let mislabelled = planted(&data, |kind| matches!(kind, FlawKind::Mislabelled { .. }));
    let suspected = found(&report, FindingKind::SuspectedMislabel);
    let n_right = suspected.intersection(&mislabelled).count();
    assert!(n_right >= 5, "{n_right} of {} suspicions", suspected.len());
    // By chance it would be less than one in a hundred.
    assert!(
        n_right * 5 >= suspected.len(),
        "{n_right} of {} suspicions",
        suspected.len()
    );
    assert!(report.neighbour_accuracy.unwrap() > 0.5);
}

#[test]
fn findings_carry_their_evidence() {
    let data = generate(&SyntheticConfig::default(), 7).unwrap();
    let report = check(&data.splits);
    for Finding {
        kind,
        split,
        index,
        origin,
        class,
        value,
        threshold,
        related,
        ..
    } in &report.findings
    {
        let (_, set) = data
            .splits
            .named()
            .into_iter()
            .find(|(name, _)| name == split)
            .unwrap();
        assert_eq!(*origin, set.origin(*index).to_string());
        assert_eq!(*class, set.classes()[set.label(*index) as usize]);
        let beyond = match kind {
            FindingKind::SuspectedMislabel | FindingKind::OverBright => value >= threshold,
            _ => value <= threshold,
        };
        assert!(beyond, "{kind}: {value} {threshold}");
        let is_pair = !matches!(
            kind,
            FindingKind::Blank
                | FindingKind::OverDark
                | FindingKind::OverBright
                | FindingKind::LowContrast
        );
        assert_eq!(related.is_some(), is_pair);
    }
    for flaw in &data.flaws {
        if let FlawKind::ExactDuplicate { source } = flaw.kind {
            let mut duplicates = report.of(FindingKind::ExactDuplicate);
            let finding = duplicates
                .find(|f| (f.split, f.index) == (flaw.split, flaw.index))
                .unwrap();
            assert_eq!(finding.related.as_ref().unwrap().index, source);
        }
    }
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(
        serde_json::from_str::<QualityReport>(&text).unwrap(),
        report
    );
}

fn classes(n: usize) -> std::sync::Arc<[String]> {
    (0..n).map(|class| format!("class {class}")).collect()
}

fn set(n_classes: usize, side: usize, pixels: Vec<u8>, labels: Vec<u32>) -> ImageSet {
    let origins = (0..labels.len() as u64)
        .map(|index| Origin::Synthetic { index })
        .collect();
    ImageSet::new(classes(n_classes), side, side, pixels, labels, origins).unwrap()
}

/// Images with two straight edges, nearly horizontal for label 0 and nearly vertical for label 1.
fn edges(labels: &[u32], seed: u64) -> ImageSet {
    let mut pixels = Vec::new();
    for (index, label) in labels.iter().enumerate() {
        let mut stream = Stream::new(seed, "edges", 0, index as u64);
        let (low, high) = (stream.range_f32(0.0, 110.0), stream.range_f32(140.0, 230.0));
        let (at, slope) = (stream.range_f32(10.0, 22.0), stream.range_f32(-0.3, 0.3));
        for _ in 0..3 {
            for y in 0..32 {
                for x in 0..32 {
                    let (along, across) = if *label == 0 { (x, y) } else { (y, x) };
                    let is_above = across as f32 > at + slope * (along as f32 - 16.0);
                    let level = if is_above { high } else { low };
                    pixels.push((level + stream.range_f32(0.0, 20.0)) as u8);
                }
            }
        }
    }
    set(2, 32, pixels, labels.to_vec())
}

/// `set` with the label of `index` swapped between 0 and 1.
fn with_wrong_label(source: &ImageSet, index: usize) -> ImageSet {
    let pixels = (0..source.len())
        .flat_map(|index| source.pixels(index).to_vec())
        .collect();
    let mut labels = source.labels().to_vec();
    labels[index] = 1 - labels[index];
    set(2, 32, pixels, labels)
}

#[test]
fn a_wrong_label_among_clear_classes_is_the_only_suspicion() {
    let labels: Vec<u32> = (0..120).map(|index| index % 2).collect();
    let splits = ImageSplits {
        train: with_wrong_label(&edges(&labels, 1), 17),
        validation: with_wrong_label(&edges(&labels[..20], 2), 4),
        test: edges(&labels[..20], 3),
    };
    let report = check(&splits);
    let expected = [(SplitName::Train, 17), (SplitName::Validation, 4)]
        .into_iter()
        .collect();
    assert_eq!(found(&report, FindingKind::SuspectedMislabel), expected);
    let suspicion = report
        .of(FindingKind::SuspectedMislabel)
        .find(|f| f.split == SplitName::Train)
        .unwrap();
    assert_eq!(
        (
            suspicion.class.as_str(),
            suspicion.suggested_class.as_deref()
        ),
        ("class 0", Some("class 1"))
    );
    assert!(report.neighbour_accuracy.unwrap() > 0.95);

    let strict = QualityConfig {
        min_neighbour_accuracy: 0.999,
        ..QualityConfig::default()
    };
    let report = check_with(&splits, &strict).unwrap();
    assert_eq!(report.count(FindingKind::SuspectedMislabel), 0);
    assert!(
        report.notes[0].starts_with("no label is suspected"),
        "{:?}",
        report.notes
    );

    let limited = QualityConfig {
        max_suspected_mislabels: 1,
        max_references: 40,
        ..QualityConfig::default()
    };
    let report = check_with(&splits, &limited).unwrap();
    assert_eq!(report.count(FindingKind::SuspectedMislabel), 1);
    assert_eq!(report.notes.len(), 2, "{:?}", report.notes);
}

#[test]
fn a_copy_with_another_label_or_in_another_split_says_so() {
    let base = edges(&[0, 1, 0, 1], 5);
    let pixels = [base.pixels(0), base.pixels(1), base.pixels(0)].concat();
    let splits = ImageSplits {
        train: set(2, 32, pixels, vec![0, 1, 1]),
        validation: base.select(&[2]).unwrap(),
        test: base.select(&[1, 3]).unwrap(),
    };
    let report = check(&splits);
    let conflict = report.of(FindingKind::LabelConflict).next().unwrap();
    assert_eq!((conflict.split, conflict.index), (SplitName::Train, 2));
    assert_eq!(
        conflict.detail,
        "the same bytes as synthetic#0 of train, which has the label class 0"
    );
    let leak = report.of(FindingKind::Leakage).next().unwrap();
    assert_eq!((leak.split, leak.index), (SplitName::Test, 0));
    assert_eq!(leak.detail, "the same bytes as synthetic#1 of train");
    for (kind, n) in [
        (FindingKind::LabelConflict, 1),
        (FindingKind::ExactDuplicate, 0),
        (FindingKind::Leakage, 1),
    ] {
        assert_eq!(report.count(kind), n, "{kind}");
    }
}

/// Copies in several classes are each reported for their own class and for the other one.
#[test]
fn a_copy_of_its_own_class_and_of_another_is_both() {
    let base = edges(&[0], 5);
    let copy = |labels: Vec<u32>| set(2, 32, base.pixels(0).repeat(labels.len()), labels);
    let splits = ImageSplits {
        train: copy(vec![0, 1, 1]),
        validation: copy(vec![]),
        test: copy(vec![1]),
    };
    let report = check(&splits);
    let places = |kind| {
        let mut places: Vec<_> = found(&report, kind).into_iter().collect();
        places.sort_unstable();
        places
    };
    use SplitName::{Test, Train};
    assert_eq!(places(FindingKind::ExactDuplicate), [(Train, 2)]);
    assert_eq!(places(FindingKind::Leakage), [(Test, 0)]);
    assert_eq!(
        places(FindingKind::LabelConflict),
        [(Train, 1), (Train, 2), (Test, 0)]
    );
    let leak = report.of(FindingKind::Leakage).next().unwrap();
    assert_eq!(leak.detail, "the same bytes as synthetic#1 of train");
}

/// Strokes as on a clock's display, white on black, shifted, rotated and of different brightness and width.
fn strokes(class: u32, stream: &mut Stream) -> Vec<u8> {
    // Top, upper left, upper right, middle, lower left, lower right, bottom.
    const SEGMENTS: [[f32; 4]; 7] = [
        [-4.0, -7.0, 4.0, -7.0],
        [-4.0, -7.0, -4.0, 0.0],
        [4.0, -7.0, 4.0, 0.0],
        [-4.0, 0.0, 4.0, 0.0],
        [-4.0, 0.0, -4.0, 7.0],
        [4.0, 0.0, 4.0, 7.0],
        [-4.0, 7.0, 4.0, 7.0],
    ];
    const LIT: [u8; 10] = [
        0b111_0111, 0b010_0100, 0b101_1101, 0b110_1101, 0b010_1110, 0b110_1011, 0b111_1011,
        0b010_0101, 0b111_1111, 0b110_1111,
    ];
    let (x, y) = (stream.range_f32(12.0, 19.0), stream.range_f32(12.0, 19.0));
    let (turn, size) = (stream.range_f32(-0.25, 0.25), stream.range_f32(0.85, 1.15));
    let (width, level) = (stream.range_f32(1.0, 2.0), stream.range_f32(170.0, 255.0));
    let mut plane = vec![0_u8; 32 * 32];
    for (place, value) in plane.iter_mut().enumerate() {
        let (dx, dy) = ((place % 32) as f32 - x, (place / 32) as f32 - y);
        let px = (dx * turn.cos() + dy * turn.sin()) / size;
        let py = (dy * turn.cos() - dx * turn.sin()) / size;
        let lit = SEGMENTS
            .iter()
            .enumerate()
            .filter(|(bit, _)| LIT[class as usize] >> bit & 1 == 1);
        let distance = lit
            .map(|(_, [x0, y0, x1, y1])| {
                let (cx, cy) = (px.clamp(*x0, *x1), py.clamp(*y0, *y1));
                (px - cx).hypot(py - cy)
            })
            .fold(f32::INFINITY, f32::min);
        *value = (level * (width - distance + 0.5).clamp(0.0, 1.0)) as u8;
    }
    plane.repeat(3)
}

/// In the flat areas of digits, noise of one grey level must not decide what is a copy.
#[test]
fn planted_copies_among_digits_are_found_and_digits_of_one_class_are_no_copies() {
    let mut stream = Stream::new(4, "digits", 0, 0);
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for class in 0..10 {
        for _ in 0..120 {
            pixels.extend(strokes(class, &mut stream));
            labels.push(class);
        }
    }
    let n_drawn = labels.len();
    for class in 0..10 {
        let start = class as usize * 120 * 3072;
        let copy: Vec<u8> = pixels[start..start + 3072]
            .iter()
            .map(|level| {
                level
                    .saturating_add(stream.below(4) as u8)
                    .saturating_sub(stream.below(4) as u8)
            })
            .collect();
        pixels.extend(copy);
        labels.push(class);
    }
    let empty = set(10, 32, vec![], vec![]);
    let splits = ImageSplits {
        train: set(10, 32, pixels, labels),
        validation: empty.clone(),
        test: empty,
    };
    let report = check(&splits);
    let copies: Vec<(usize, usize)> = report
        .of(FindingKind::NearDuplicate)
        .map(|finding| (finding.index, finding.related.as_ref().unwrap().index))
        .collect();
    let is_planted = |(copy, original): &&(usize, usize)| {
        *copy >= n_drawn && *original == (copy - n_drawn) * 120
    };
    let n_planted = copies.iter().filter(is_planted).count();
    assert!(n_planted >= 9, "{n_planted} of 10: {copies:?}");
    let n_others = copies.len() - n_planted;
    assert!(n_others * 50 < splits.train.len(), "{n_others} others");
    // That they are dark is reported once, for the set.
    assert_eq!(report.count(FindingKind::OverDark), 0);
    let about_dark: Vec<&String> = report
        .notes
        .iter()
        .filter(|note| note.contains("a mean brightness below 0.08"))
        .collect();
    assert_eq!(about_dark.len(), 1, "{:?}", report.notes);
}

/// Names and images of scenes of six frames each; `alike` frames show their scene, others only noise.
fn scenes(alike: bool) -> ImageSplits {
    let mut splits: [(Vec<u8>, Vec<u32>, Vec<Origin>); 3] = Default::default();
    for scene in 0..12_u64 {
        for frame in 0..6_u64 {
            let mut noise = Stream::new(scene, "frame", 0, frame);
            let mut content = match alike {
                true => Stream::new(scene, "scene", 0, 0),
                false => Stream::new(scene, "scene", 0, frame + 1),
            };
            let cells: Vec<f32> = (0..64).map(|_| content.range_f32(20.0, 220.0)).collect();
            let plane: Vec<u8> = (0..32 * 32)
                .map(|place| {
                    let cell = cells[place / 32 / 4 * 8 + place % 32 / 4];
                    (cell + noise.range_f32(-20.0, 20.0)) as u8
                })
                .collect();
            let (pixels, labels, origins) = &mut splits[[0, 0, 1, 0, 2, 0][frame as usize]];
            pixels.extend(plane.repeat(3));
            labels.push((scene % 2) as u32);
            origins.push(Origin::File(
                format!("c/scene{scene:02}_{frame}.jpg").into(),
            ));
        }
    }
    let [train, validation, test] = splits.map(|(pixels, labels, origins)| {
        ImageSet::new(classes(2), 32, 32, pixels, labels, origins).unwrap()
    });
    ImageSplits {
        train,
        validation,
        test,
    }
}

#[test]
fn sequences_that_the_split_cuts_are_found_where_their_frames_are_alike() {
    let report = check(&scenes(true));
    let n_cut = |split| {
        let cut = report.of(FindingKind::CutSequence);
        cut.filter(|finding| finding.split == split).count()
    };
    assert_eq!(
        (n_cut(SplitName::Validation), n_cut(SplitName::Test)),
        (12, 12)
    );
    let first = report.of(FindingKind::CutSequence).next().unwrap();
    assert_eq!(first.detail, "counts on from c/scene00_1.jpg of train");
    assert!(report.sequences.unwrap().neighbour_more_alike > 0.95);
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.contains("taken for sequences"))
    );

    // Numbers alone mean nothing: most datasets number their files.
    let report = check(&scenes(false));
    assert_eq!(report.count(FindingKind::CutSequence), 0);
    let likeness = report.sequences.unwrap();
    assert!(
        likeness.n_compared >= 20 && !likeness.shows_sequences(),
        "{likeness:?}"
    );
}

#[test]
fn bright_and_faint_pictures_are_told_apart() {
    let mut stream = Stream::new(1, "faint", 0, 0);
    let mut noisy = |base: u8, spread: u64| -> Vec<u8> {
        (0..3 * 16 * 16)
            .map(|_| base + stream.below(spread) as u8)
            .collect()
    };
    let pixels = [
        noisy(245, 11),
        noisy(100, 12),
        noisy(0, 12),
        noisy(100, 2),
        noisy(10, 240),
    ]
    .concat();
    let empty = set(1, 16, vec![], vec![]);
    let splits = ImageSplits {
        train: set(1, 16, pixels, vec![0; 5]),
        validation: empty.clone(),
        test: empty,
    };
    let kinds: Vec<_> = check(&splits)
        .findings
        .iter()
        .map(|f| (f.kind, f.index))
        .collect();
    assert_eq!(
        kinds,
        [
            (FindingKind::Blank, 3),
            (FindingKind::OverDark, 2),
            (FindingKind::OverBright, 0),
            (FindingKind::LowContrast, 1),
        ]
    );
}

#[test]
fn ugly_sets_are_described_and_checked_without_a_panic() {
    let empty = set(3, 1, vec![], vec![]);
    let one_pixel = set(3, 1, vec![1, 2, 3], vec![2]);
    let all_equal = set(3, 5, vec![77; 40 * 75], vec![0; 40]);
    let narrow = ImageSet::new(
        classes(2),
        2,
        40,
        vec![9; 2 * 240],
        vec![0, 1],
        vec![
            Origin::Synthetic { index: 0 },
            Origin::Synthetic { index: 1 },
        ],
    )
    .unwrap();
    for train in [&empty, &one_pixel, &all_equal, &narrow] {
        let splits = ImageSplits {
            train: train.clone(),
            validation: empty.clone(),
            test: one_pixel.clone(),
        };
        let report = check(&splits);
        assert_eq!(report.count(FindingKind::SuspectedMislabel), 0);
        assert_eq!(describe(train).n_images, train.len());
        serde_json::to_string(&(report, describe(train))).unwrap();
    }
    let splits = ImageSplits {
        train: all_equal.clone(),
        validation: empty.clone(),
        test: empty,
    };
    let report = check(&splits);
    assert_eq!(report.count(FindingKind::ExactDuplicate), 39);
    assert_eq!(report.count(FindingKind::NearDuplicate), 0);
    assert_eq!(report.count(FindingKind::Blank), 40);
}

#[test]
fn large_sets_are_sampled_and_the_report_says_so() {
    let data = generate(
        &SyntheticConfig {
            n_train: 300,
            n_validation: 100,
            n_test: 100,
            ..SyntheticConfig::default()
        },
        3,
    )
    .unwrap();
    let few = QualityConfig {
        max_compared_pictures: 50,
        max_references: 100,
        ..QualityConfig::default()
    };
    let report = check_with(&data.splits, &few).unwrap();
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.contains("sample of 50")),
        "{:?}",
        report.notes
    );
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.contains("at most 10 per class")),
        "{:?}",
        report.notes
    );
}

#[test]
fn thresholds_out_of_range_are_refused() {
    let data = generate(
        &SyntheticConfig {
            n_train: 10,
            n_validation: 10,
            n_test: 10,
            ..SyntheticConfig::default()
        }
        .without_flaws(),
        3,
    )
    .unwrap();
    let base = QualityConfig::default();
    for (config, expected) in [
        (
            QualityConfig {
                blank_std: f64::NAN,
                ..base.clone()
            },
            "quality.blank_std is NaN",
        ),
        (
            QualityConfig {
                dark_brightness: 20.0,
                ..base.clone()
            },
            "quality.dark_brightness is 20",
        ),
        (
            QualityConfig {
                near_duplicate_bits: 65,
                ..base.clone()
            },
            "quality.near_duplicate_bits is 65",
        ),
        (
            QualityConfig {
                max_compared_pictures: 1,
                ..base.clone()
            },
            "quality.max_compared_pictures is 1",
        ),
        (
            QualityConfig {
                neighbours: 0,
                ..base.clone()
            },
            "quality.neighbours is 0",
        ),
        (
            QualityConfig {
                neighbour_agreement: 0.5,
                ..base.clone()
            },
            "quality.neighbour_agreement is 0.5",
        ),
        (
            QualityConfig {
                max_references: 0,
                ..base.clone()
            },
            "quality.max_references is 0",
        ),
    ] {
        let message = check_with(&data.splits, &config).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn channel_statistics_equal_two_passes_in_f64(n in 1_usize..700, seed: u64) {
        let mut stream = Stream::new(seed, "pixels", 0, 0);
        let pixels: Vec<u8> = (0..n * 12).map(|_| stream.next_u32() as u8).collect();
        let labels = (0..n as u32).map(|index| index % 3).collect();
        let description = describe(&set(3, 2, pixels.clone(), labels));
        for (channel, found) in description.channels.iter().enumerate() {
            let values: Vec<f64> = pixels
                .chunks_exact(12)
                .flat_map(|picture| &picture[channel * 4..][..4])
                .map(|level| f64::from(*level) / 255.0)
                .collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
            prop_assert!((found.mean.unwrap() - mean).abs() < 1e-12);
            prop_assert!((found.std.unwrap() - variance.sqrt()).abs() < 1e-12);
            prop_assert_eq!(found.histogram.iter().sum::<u64>(), 4 * n as u64);
        }
    }
}
