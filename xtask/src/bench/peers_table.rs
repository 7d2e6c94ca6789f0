//! The report of `bench peers` as Markdown.

use super::peer_output::Peer;
use super::report::{Figures, Outcome, PeerSource, Report, Round};
use mlestar_eval::median;
use mlestar_export::Precision;

/// A column: its title, the position of its figure, and how to write it.
struct Column {
    title: &'static str,
    value: fn(&Figures) -> Option<f64>,
    decimals: usize,
    is_better_when_higher: bool,
}

const MEBIBYTE: f64 = 1_048_576.0;

const COLUMNS: [Column; 4] = [
    Column {
        title: "training step, images/s",
        value: |figures| figures.training_images_per_second,
        decimals: 1,
        is_better_when_higher: true,
    },
    Column {
        title: "inference, images/s",
        value: |figures| figures.inference_images_per_second,
        decimals: 1,
        is_better_when_higher: true,
    },
    Column {
        title: "one image, ms",
        value: |figures| figures.single_picture_ms,
        decimals: 3,
        is_better_when_higher: false,
    },
    Column {
        title: "peak memory of training, MiB",
        value: |figures| {
            figures
                .training_peak_memory_bytes
                .map(|bytes| bytes as f64 / MEBIBYTE)
        },
        decimals: 0,
        is_better_when_higher: false,
    },
];

impl Column {
    fn cell(&self, figures: &Figures) -> String {
        let value = (self.value)(figures);
        value.map_or_else(
            || "-".to_owned(),
            |value| format!("{value:.*}", self.decimals),
        )
    }

    /// The ratio of ours to the best peer of the round in the same precision, above 1 if ours is better, whether a
    /// higher or a lower figure is better.
    fn advantage(&self, round: &Round, precision: Precision) -> Option<f64> {
        let ours = match precision {
            Precision::F32 => (self.value)(&round.ours)?,
            _ => (self.value)(round.ours_in.get(precision.name())?)?,
        };
        let peers = Peer::ALL
            .into_iter()
            .filter(|peer| peer.precision() == precision)
            .filter_map(|peer| round.peers.get(peer.name()))
            .filter_map(|figures| (self.value)(figures));
        match self.is_better_when_higher {
            true => peers.max_by(f64::total_cmp).map(|best| ours / best),
            false => peers.min_by(f64::total_cmp).map(|best| best / ours),
        }
    }
}

/// A table, and below it the conditions of its figures.
pub fn render(report: &Report) -> String {
    let titles = COLUMNS.map(|column| column.title.to_owned());
    let mut text = row("program", &titles);
    text.push_str("|---|---:|---:|---:|---:|\n");
    text.push_str(&figures_row("ours", &report.ours));
    for (name, figures) in &report.ours_in {
        text.push_str(&figures_row(&format!("ours, {name}"), figures));
    }
    for peer in &report.peers {
        match &peer.outcome {
            Outcome::Measured(figures) => text.push_str(&figures_row(peer.name, figures)),
            Outcome::NotAvailable(reason) => text.push_str(&unavailable_row(peer.name, reason)),
        }
    }
    if report.peer_source != PeerSource::None {
        for precision in Precision::ALL {
            let is_measured = |round: &Round| {
                precision == Precision::F32 || round.ours_in.contains_key(precision.name())
            };
            if report.rounds.iter().any(is_measured) {
                text.push_str(&advantage_row(report, precision));
            }
        }
    }
    text.push('\n');
    text.push_str(&facts(report));
    text
}

fn row(name: &str, cells: &[String]) -> String {
    format!("| {name} | {} |\n", cells.join(" | "))
}

fn figures_row(name: &str, figures: &Figures) -> String {
    row(name, &COLUMNS.map(|column| column.cell(figures)))
}

fn unavailable_row(name: &str, reason: &str) -> String {
    // A bar would end the cell, and a line break the row.
    let reason = reason.replace('|', "\\|").replace(['\n', '\r'], " ");
    let mut cells = COLUMNS.map(|_| "-".to_owned());
    cells[0] = format!("not available: {reason}");
    row(name, &cells)
}

fn advantage_row(report: &Report, precision: Precision) -> String {
    let cells = COLUMNS.map(|column| {
        let rounds = report.rounds.iter();
        let all: Vec<f64> = rounds
            .filter_map(|round| column.advantage(round, precision))
            .collect();
        let lowest = all.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = all.iter().copied().fold(0.0, f64::max);
        let several = all.len() > 1;
        match median(&all) {
            Some(times) if several => format!("{times:.2} ({lowest:.2} to {highest:.2})"),
            Some(times) => format!("{times:.2}"),
            None => "-".to_owned(),
        }
    });
    let name = precision.name();
    row(
        &format!("ours / best peer in {name} (above 1: ours is better)"),
        &cells,
    )
}

fn facts(report: &Report) -> String {
    let source = match report.peer_source {
        PeerSource::SameRun => "peers measured first",
        PeerSource::Saved => "peers read from saved outputs",
        PeerSource::None => "no peers",
    };
    let medians = match report.rounds.len() {
        1 => "medians of one round".to_owned(),
        rounds => format!("medians of {rounds} rounds"),
    };
    let mut lines = vec![
        format!(
            "The {} network on 3x{side}x{side} images, f32 if a row names no other precision, batches of {}, {} threads; {medians}, {source}; {}.",
            report.network,
            report.batch,
            report.threads,
            report.date,
            side = report.side
        ),
        format!("Hardware: {}.", report.hardware.describe()),
    ];
    if !report.versions.is_empty() {
        let versions = report.versions.iter();
        let versions: Vec<String> = versions
            .map(|version| format!("{} {}", version.name, version.version))
            .collect();
        lines.push(format!("Versions: {}.", versions.join(", ")));
    }
    lines.push(format!("Command: `{}`", report.command));
    lines.extend(report.notes.iter().cloned());
    lines.iter().map(|line| format!("- {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::hardware::Hardware;
    use super::super::peer_output::Version;
    use super::super::report::PeerRow;
    use super::*;
    use std::collections::BTreeMap;

    fn figures(training: f64, inference: f64, single: f64, bytes: u64) -> Figures {
        Figures {
            training_images_per_second: Some(training),
            inference_images_per_second: Some(inference),
            single_picture_ms: Some(single),
            training_peak_memory_bytes: Some(bytes),
        }
    }

    fn report() -> Report {
        let onnx = Figures {
            training_images_per_second: None,
            training_peak_memory_bytes: None,
            ..figures(0.0, 700.0, 2.006, 0)
        };
        let peer = |name, outcome| PeerRow { name, outcome };
        Report {
            date: "2026-01-31".to_owned(),
            command: "cargo run --release -p xtask -- bench peers".to_owned(),
            hardware: Hardware {
                cpu_model: "A Processor".to_owned(),
                logical_cores: 2,
                simd_level: "avx2",
                os: "Linux".to_owned(),
                rustc_version: Some("rustc 1.95.0".to_owned()),
            },
            threads: 2,
            network: "reference".to_owned(),
            side: 32,
            batch: 128,
            debug_assertions: false,
            ours: figures(150.0, 1400.0, 4.012, 1 << 30),
            ours_in: BTreeMap::new(),
            rounds: vec![round(150.0, 1400.0)],
            peer_source: PeerSource::SameRun,
            peers: vec![
                peer(
                    "PyTorch eager, contiguous",
                    Outcome::Measured(figures(100.0, 444.1, 4.441, 2 << 30)),
                ),
                peer(
                    "PyTorch compiled, contiguous",
                    Outcome::NotAvailable("no `c++` | no `g++`\nin PATH".to_owned()),
                ),
                peer("ONNX Runtime", Outcome::Measured(onnx)),
            ],
            versions: vec![Version {
                name: "torch".to_owned(),
                version: "2.15.0".to_owned(),
            }],
            notes: vec!["A note.".to_owned()],
        }
    }

    fn round(training: f64, inference: f64) -> Round {
        let torch = figures(100.0, 444.1, 4.441, 2 << 30);
        let onnx = Figures {
            training_images_per_second: None,
            training_peak_memory_bytes: None,
            ..figures(0.0, 700.0, 2.006, 0)
        };
        Round {
            ours: figures(training, inference, 4.012, 1 << 30),
            ours_in: BTreeMap::new(),
            peers: [("PyTorch eager, contiguous", torch), ("ONNX Runtime", onnx)].into(),
        }
    }

    #[test]
    fn rounds_give_the_median_lead_and_how_far_it_varied() {
        let mut report = report();
        report.rounds = [(150.0, 1400.0), (90.0, 2100.0), (120.0, 700.0)]
            .map(|(training, inference)| round(training, inference))
            .into();
        let text = render(&report);
        let row = "| 1.20 (0.90 to 1.50) | 2.00 (1.00 to 3.00) | 0.50 (0.50 to 0.50) | 2.00 (2.00 to 2.00) |";
        assert!(text.contains(row), "{text}");
        assert!(text.contains("medians of 3 rounds"), "{text}");
    }

    #[test]
    fn figures_reasons_ratios_and_facts_are_shown() {
        insta::assert_snapshot!(render(&report()));
    }

    #[test]
    fn without_peers_there_is_no_ratio() {
        let mut report = report();
        report.peers.clear();
        report.peer_source = PeerSource::None;
        let text = render(&report);
        assert!(
            text.contains("| ours | 150.0 | 1400.0 | 4.012 | 1024 |"),
            "{text}"
        );
        assert!(!text.contains("best peer"), "{text}");
    }

    #[test]
    fn a_report_is_json_with_reasons_beside_figures() {
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!(json["ours"]["training_images_per_second"], 150.0);
        assert_eq!(json["peers"][0]["measured"]["single_picture_ms"], 4.441);
        assert!(json["peers"][1]["not_available"].is_string());
        assert_eq!(json["peer_source"], "same_run");
    }
}
