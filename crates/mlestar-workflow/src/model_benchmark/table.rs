//! A benchmark as text.

use super::columns::{NOTES, UNSTABLE, about, cells, names};
use super::{BenchmarkRow, ModelBenchmark, ScenarioKind};
use crate::words::counted;
use std::fmt::Write;

/// The benchmark as a table for a terminal, one block for each scenario.
pub fn table(benchmark: &ModelBenchmark) -> String {
    let machine = &benchmark.machine;
    let images = benchmark.images().unwrap_or("no image");
    let mut text = format!(
        "{} ({} logical cores), with {images}\n",
        machine.cpu_model, machine.logical_cores
    );
    for scenario in ScenarioKind::ALL {
        let rows = benchmark.rows_of(scenario);
        if !rows.is_empty() {
            let _ = write!(
                text,
                "\n{}: {}\n{}",
                scenario.name(),
                about(scenario),
                block(&rows)
            );
        }
    }
    let [memory, unstable] = NOTES;
    let _ = write!(text, "\n{memory}\n");
    if text.contains(UNSTABLE) {
        let _ = writeln!(text, "{unstable}");
    }
    text
}

/// Rows with columns as wide as their widest cell.
fn block(rows: &[&BenchmarkRow]) -> String {
    let Some(first) = rows.first() else {
        return String::new();
    };
    let mut lines = vec![line(
        &["format", "precision", "threads"],
        names(first.scenario),
    )];
    let mut failures = Vec::new();
    for row in rows {
        let threads = row.threads.to_string();
        let of = [row.candidate.format(), row.candidate.precision(), &threads];
        match cells(row) {
            Ok(cells) => {
                let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
                lines.push(line(&of, &cells));
            }
            Err(reason) => failures.push(format!(
                "  {} {}, {}: error: {reason}\n",
                row.candidate.format(),
                row.candidate.precision(),
                counted(row.threads, "thread")
            )),
        }
    }
    let n_columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..n_columns)
        .map(|column| {
            let cells = lines.iter().filter_map(|line| line.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for line in &lines {
        let padded = line
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, width))| {
                let fill = " ".repeat(width - cell.chars().count());
                // Names to the left, figures to the right.
                match column < 2 {
                    true => format!("{cell}{fill}"),
                    false => format!("{fill}{cell}"),
                }
            });
        let padded: Vec<String> = padded.collect();
        let _ = writeln!(text, "  {}", padded.join("  ").trim_end());
    }
    text + &failures.concat()
}

fn line(of: &[&str], cells: &[&str]) -> Vec<String> {
    of.iter()
        .chain(cells)
        .map(|cell| (*cell).to_owned())
        .collect()
}
