//! `bench roofline`.

use super::arguments::RooflineOptions;
use super::error::BenchError;
use super::hardware::Hardware;
use super::kernel_work::{ALGORITHMS, Pass, Work};
use super::layers::{LAYERS, Layer};
use super::peaks::Peaks;
use super::timing::{Effort, median_seconds};
use super::{date, roofline_table, warn_of_debug_assertions};
use mlestar::cli::set_threads;
use mlestar_kernels::{Algorithm, Conv2dShape};

/// Everything in the table.
#[derive(Debug)]
pub struct Roofline {
    pub date: String,
    pub hardware: Hardware,
    pub threads: usize,
    pub batch: usize,
    pub peaks: Peaks,
    pub rows: Vec<Row>,
}

/// One pass of one layer with one algorithm.
#[derive(Debug)]
pub struct Row {
    pub layer: &'static str,
    pub n_in_network: u64,
    pub pass: Pass,
    pub algorithm: &'static str,
    pub seconds: f64,
    /// Multiply-adds of the direct algorithm.
    pub direct_multiply_adds: u64,
    /// Multiply-adds of this algorithm, without its transforms.
    pub real_multiply_adds: u64,
    pub compulsory_bytes: u64,
}

pub fn run(options: &RooflineOptions) -> Result<(), BenchError> {
    warn_of_debug_assertions();
    let threads = set_threads(options.threads)?;
    let batch = usize::from(options.batch);
    let peaks = Peaks::measure(threads);
    let mut rows = Vec::new();
    for layer in &LAYERS {
        eprintln!("{}", layer.name);
        rows.extend(measure(layer, batch)?);
    }
    let roofline = Roofline {
        date: date::today(),
        hardware: Hardware::detect(),
        threads,
        batch,
        peaks,
        rows,
    };
    print!("{}", roofline_table::render(&roofline));
    Ok(())
}

fn measure(layer: &Layer, batch: usize) -> Result<Vec<Row>, BenchError> {
    let shape = layer.shape(batch);
    let mut rows = Vec::new();
    for (algorithm, name) in ALGORITHMS {
        if !algorithm.applies(&shape) {
            continue;
        }
        let mut work = Work::new(shape, algorithm)?;
        for pass in Pass::ALL {
            rows.push(Row {
                layer: layer.name,
                n_in_network: layer.n_in_network,
                pass,
                algorithm: name,
                seconds: median_seconds(Effort::KERNEL, || work.run(pass))?,
                direct_multiply_adds: shape.multiply_adds(),
                real_multiply_adds: real_multiply_adds(&shape, algorithm),
                compulsory_bytes: compulsory_bytes(&shape, pass),
            });
        }
    }
    Ok(rows)
}

/// F(4x4, 3x3) needs 36 multiplications for a 4x4 tile of results and a pair of channels, in every pass; tiles
/// over the edge count fully.
fn real_multiply_adds(shape: &Conv2dShape, algorithm: Algorithm) -> u64 {
    if matches!(algorithm, Algorithm::Direct | Algorithm::DirectBfloat16) {
        return shape.multiply_adds();
    }
    let [height, width] = shape.output();
    let tiles = shape.n * height.div_ceil(4) * width.div_ceil(4);
    (36 * tiles * shape.channels_in * shape.channels_out) as u64
}

/// Bytes that must cross the memory bus if nothing is cached before and everything during the pass: input,
/// weights and output, once each.
fn compulsory_bytes(shape: &Conv2dShape, pass: Pass) -> u64 {
    let [height, width] = shape.output();
    // A kernel smaller than its stride skips pixels, but a gradient still writes zeros to them.
    let read: usize = std::iter::zip(shape.input, [height, width])
        .zip(std::iter::zip(shape.kernel, shape.stride))
        .map(|((side, result), (kernel, stride))| match kernel < stride {
            true => result * kernel,
            false => side,
        })
        .product();
    let input = match pass {
        Pass::InputGradient => shape.input_len(),
        _ => shape.n * read * shape.channels_in,
    };
    (size_of::<f32>() * (input + shape.output_len() + shape.weight_len())) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlestar_model::ModelConfig;

    #[test]
    fn the_layers_are_those_of_the_reference_network() {
        let multiply_adds: u64 = LAYERS
            .iter()
            .map(|layer| layer.n_in_network * layer.shape(1).multiply_adds())
            .sum();
        let summary = ModelConfig::reference()
            .check(10, 32, 32)
            .unwrap()
            .summary();
        assert_eq!(multiply_adds + 2560, summary.multiply_adds_per_image);
    }

    #[test]
    fn winograd_makes_a_quarter_of_the_multiplications_of_whole_tiles() {
        let whole = Conv2dShape::square(2, [8, 8], [16, 32], 3, 1, 1);
        let direct = real_multiply_adds(&whole, Algorithm::Direct);
        assert_eq!(direct, whole.multiply_adds());
        assert_eq!(real_multiply_adds(&whole, Algorithm::Winograd) * 4, direct);
        let edge = Conv2dShape::square(1, [5, 5], [16, 16], 3, 1, 1);
        assert_eq!(real_multiply_adds(&edge, Algorithm::Winograd), 4 * 36 * 256);
    }

    #[test]
    fn compulsory_traffic_counts_each_tensor_once_and_skipped_pixels_never() {
        let shape = Conv2dShape::square(2, [4, 4], [3, 5], 3, 1, 1);
        let values = 2 * 16 * 3 + 2 * 16 * 5 + 3 * 5 * 9;
        for pass in Pass::ALL {
            assert_eq!(compulsory_bytes(&shape, pass), 4 * values);
        }
        let shortcut = Conv2dShape::square(1, [4, 4], [3, 5], 1, 2, 0);
        assert_eq!(
            compulsory_bytes(&shortcut, Pass::Forward),
            4 * (12 + 20 + 15)
        );
        let gradient = compulsory_bytes(&shortcut, Pass::InputGradient);
        assert_eq!(gradient, 4 * (48 + 20 + 15));
    }

    #[test]
    fn every_pass_of_every_layer_can_be_measured() {
        for layer in &LAYERS {
            let shape = layer.shape(1);
            for (algorithm, _) in ALGORITHMS {
                if algorithm.applies(&shape) {
                    let mut work = Work::new(shape, algorithm).unwrap();
                    for pass in Pass::ALL {
                        work.run(pass).unwrap();
                    }
                }
            }
        }
    }
}
