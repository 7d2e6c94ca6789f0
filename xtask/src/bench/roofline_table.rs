//! The result of `bench roofline` as Markdown.

use super::DEBUG_WARNING;
use super::roofline::{Roofline, Row};

/// A table, and above it the peaks to which its shares refer.
pub fn render(roofline: &Roofline) -> String {
    let mut text = head(roofline);
    text.push_str(
        "| layer | times | pass | algorithm | ms | GFLOP/s as if direct | GFLOP/s made | of gemm | \
         GB/s compulsory |\n|---|---:|---|---|---:|---:|---:|---:|---:|\n",
    );
    for row in &roofline.rows {
        text.push_str(&line(row, roofline.peaks.gemm_gflops));
    }
    text
}

fn head(roofline: &Roofline) -> String {
    let warning = match cfg!(debug_assertions) {
        true => format!("WARNING: {DEBUG_WARNING}.\n\n"),
        false => String::new(),
    };
    format!(
        "{warning}f32, batches of {}, {} threads, medians; {}; {}.\n\n\
         Measured peaks: {:.1} GFLOP/s (`gemm`, 1024^3), {:.1} GB/s (triad). \"times\" is how often \
         the reference network has the layer; \"made\" counts the multiplications that the algorithm \
         makes, without its transforms.\n\n",
        roofline.batch,
        roofline.threads,
        roofline.hardware.describe(),
        roofline.date,
        roofline.peaks.gemm_gflops,
        roofline.peaks.memory_gbytes_per_second,
    )
}

fn line(row: &Row, gemm_gflops: f64) -> String {
    let gflops = |multiply_adds: u64| 2.0 * multiply_adds as f64 / row.seconds / 1e9;
    let made = gflops(row.real_multiply_adds);
    format!(
        "| {} | {} | {} | {} | {:.3} | {:.1} | {:.1} | {:.2} | {:.1} |\n",
        row.layer,
        row.n_in_network,
        row.pass.name(),
        row.algorithm,
        row.seconds * 1e3,
        gflops(row.direct_multiply_adds),
        made,
        made / gemm_gflops,
        row.compulsory_bytes as f64 / row.seconds / 1e9,
    )
}

#[cfg(test)]
mod tests {
    use super::super::kernel_work::Pass;
    use super::*;

    #[test]
    fn rates_and_shares_follow_from_time_and_work() {
        let row = Row {
            layer: "64->64 @16",
            n_in_network: 3,
            pass: Pass::Forward,
            algorithm: "Winograd",
            seconds: 0.002,
            direct_multiply_adds: 400_000_000,
            real_multiply_adds: 100_000_000,
            compulsory_bytes: 50_000_000,
        };
        assert_eq!(
            line(&row, 200.0),
            "| 64->64 @16 | 3 | forward | Winograd | 2.000 | 400.0 | 100.0 | 0.50 | 25.0 |\n"
        );
    }
}
