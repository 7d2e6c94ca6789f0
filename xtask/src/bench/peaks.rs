//! The peak performance of the machine: multiplications and memory traffic.

use super::timing::{Effort, sorted_seconds};
use rayon::prelude::*;
use std::convert::Infallible;
use std::hint::black_box;

/// Rows, columns and depth of the matrix product: large enough to amortise packing.
const GEMM_SIDE: usize = 1024;
/// Values in each of the triad's three arrays, 128 MiB: no cache holds them.
const TRIAD_LEN: usize = 32 << 20;
/// Values per task of a thread.
const TRIAD_CHUNK: usize = 1 << 16;

const PEAK_EFFORT: Effort = Effort {
    warm_up_runs: 3,
    fewest_runs: 9,
    fewest_seconds: 1.0,
};

/// The highest figures seen.
#[derive(Debug, Clone, Copy)]
pub struct Peaks {
    /// The `gemm` crate on f32 matrices, two operations per multiply-add.
    pub gemm_gflops: f64,
    /// `a[i] = b[i] + s * c[i]`, 12 bytes per value.
    pub memory_gbytes_per_second: f64,
}

impl Peaks {
    pub fn measure(threads: usize) -> Self {
        Self {
            gemm_gflops: gemm_gflops(threads),
            memory_gbytes_per_second: triad_gbytes_per_second(),
        }
    }
}

fn gemm_gflops(threads: usize) -> f64 {
    let n = GEMM_SIDE;
    let lhs = vec![0.5_f32; n * n];
    let rhs = vec![0.25_f32; n * n];
    let mut product = vec![0.0_f32; n * n];
    let seconds = fastest(|| multiply(n, &lhs, &rhs, &mut product, threads));
    black_box(&product);
    2.0 * (n * n * n) as f64 / seconds / 1e9
}

/// `product = lhs * rhs`, all `n` x `n` and column-major.
fn multiply(n: usize, lhs: &[f32], rhs: &[f32], product: &mut [f32], threads: usize) {
    assert!([lhs.len(), rhs.len(), product.len()] == [n * n; 3]);
    // SAFETY: with a column stride of n and a row stride of 1 the largest index read or written is n * n - 1,
    // inside the slices as asserted; `product` is borrowed mutably, so it does not overlap the others.
    unsafe {
        gemm::gemm(
            n,
            n,
            n,
            product.as_mut_ptr(),
            n as isize,
            1,
            false,
            lhs.as_ptr(),
            n as isize,
            1,
            rhs.as_ptr(),
            n as isize,
            1,
            0.0_f32,
            1.0_f32,
            false,
            false,
            false,
            gemm::Parallelism::Rayon(threads),
        );
    }
}

fn triad_gbytes_per_second() -> f64 {
    let factor = black_box(3.0_f32);
    let b = vec![1.0_f32; TRIAD_LEN];
    let c = vec![2.0_f32; TRIAD_LEN];
    let mut a = vec![0.0_f32; TRIAD_LEN];
    let seconds = fastest(|| {
        a.par_chunks_mut(TRIAD_CHUNK)
            .zip(b.par_chunks(TRIAD_CHUNK))
            .zip(c.par_chunks(TRIAD_CHUNK))
            .for_each(|((a, b), c)| {
                for ((a, b), c) in a.iter_mut().zip(b).zip(c) {
                    *a = b + factor * c;
                }
            });
    });
    black_box(&a);
    let bytes = 3 * size_of::<f32>() * TRIAD_LEN;
    bytes as f64 / seconds / 1e9
}

/// The peak is what the machine reaches undisturbed: the shortest time.
fn fastest(mut work: impl FnMut()) -> f64 {
    let seconds = sorted_seconds(PEAK_EFFORT, || {
        work();
        Ok::<(), Infallible>(())
    });
    let Ok(seconds) = seconds;
    seconds[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_product_that_is_timed_is_the_product() {
        let lhs = [1.0, 2.0, 3.0, 4.0];
        let rhs = [5.0, 6.0, 7.0, 8.0];
        let mut product = [f32::NAN; 4];
        multiply(2, &lhs, &rhs, &mut product, 1);
        assert_eq!(product, [23.0, 34.0, 31.0, 46.0]);
    }
}
