//! Sobol's sequence with a scrambling.

use mlestar_random::Stream;

use super::sobol_table::DIMENSIONS;
use super::{Propose, Request};

/// Point `number` of the sequence, each dimension scrambled for itself. Dimensions after the 64th are random.
pub(super) struct Sobol;

impl Propose for Sobol {
    fn propose(&self, request: &Request<'_>) -> Vec<f64> {
        // A repeated suggestion takes a point far along the sequence.
        let number = request.number + (request.attempt << 20);
        point(request.seed, number as u32, request.space)
    }
}

/// Point `number` of the sequence that belongs to `seed`.
fn point(seed: u64, number: u32, space: &crate::space::SearchSpace) -> Vec<f64> {
    let coordinate = |(dimension, (key, _)): (usize, (&str, _))| {
        let mut stream = Stream::new(seed, &format!("tune/sobol/{key}"), 0, 0);
        match directions(dimension) {
            Some(directions) => {
                let bits = scrambled(sobol(&directions, number), stream.next_u32());
                (f64::from(bits) + 0.5) / 4_294_967_296.0
            }
            None => Stream::new(seed, &format!("tune/{key}"), u64::from(number), 0).uniform(),
        }
    };
    space.iter().enumerate().map(coordinate).collect()
}

/// The 32 direction numbers of a dimension, from 0.
fn directions(dimension: usize) -> Option<[u32; 32]> {
    let mut numbers = [0_u32; 32];
    let Some(table) = dimension.checked_sub(1) else {
        for (bit, number) in numbers.iter_mut().enumerate() {
            *number = 1 << (31 - bit);
        }
        return Some(numbers);
    };
    let (polynomial, initial) = DIMENSIONS.get(table)?;
    let degree = initial.len();
    for bit in 0..32 {
        numbers[bit] = match initial.get(bit) {
            Some(first) => first << (31 - bit),
            None => {
                let mut number = numbers[bit - degree] ^ (numbers[bit - degree] >> degree);
                for back in 1..degree {
                    if polynomial >> (degree - back) & 1 == 1 {
                        number ^= numbers[bit - back];
                    }
                }
                number
            }
        };
    }
    Some(numbers)
}

fn sobol(directions: &[u32; 32], number: u32) -> u32 {
    let of_bit = |(bit, direction): (usize, &u32)| direction * (number >> bit & 1);
    directions
        .iter()
        .enumerate()
        .map(of_bit)
        .fold(0, |a, b| a ^ b)
}

/// Owen's scrambling: the value of each bit decides how the lower ones are flipped. The permutation is the hash of Laine and
/// Karras (2011) in the form of Burley (2020), "Practical Hash-based Owen Scrambling".
fn scrambled(bits: u32, seed: u32) -> u32 {
    let mut x = bits.reverse_bits();
    x ^= x.wrapping_mul(0x3d20_adea);
    x = x.wrapping_add(seed);
    x = x.wrapping_mul((seed >> 16) | 1);
    x ^= x.wrapping_mul(0x0552_6c56);
    x ^= x.wrapping_mul(0x53a2_2864);
    x.reverse_bits()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::{ParameterSpace, SearchSpace};

    #[test]
    fn the_first_points_are_those_of_the_published_sequence() {
        // scipy.stats.qmc.Sobol(4, scramble=False).random(8), whose order is that of the Gray code.
        let expected = [
            [0.0, 0.0, 0.0, 0.0],
            [0.5, 0.5, 0.5, 0.5],
            [0.75, 0.25, 0.25, 0.25],
            [0.25, 0.75, 0.75, 0.75],
            [0.375, 0.375, 0.625, 0.875],
            [0.875, 0.875, 0.125, 0.375],
            [0.625, 0.125, 0.875, 0.625],
            [0.125, 0.625, 0.375, 0.125],
        ];
        for (number, point) in expected.iter().enumerate() {
            let gray = (number ^ (number >> 1)) as u32;
            for (dimension, value) in point.iter().enumerate() {
                let bits = sobol(&directions(dimension).unwrap(), gray);
                assert_eq!(
                    f64::from(bits) / 4_294_967_296.0,
                    *value,
                    "{number} {dimension}"
                );
            }
        }
    }

    /// Each elementary interval of the first 2^k points holds one point, in every dimension, also when scrambled.
    #[test]
    fn every_dimension_is_stratified() {
        let space = SearchSpace::new(
            (0..64).map(|key| (format!("{key:02}"), ParameterSpace::float(0.0, 1.0))),
        );
        let points: Vec<Vec<f64>> = (0..64).map(|number| point(5, number, &space)).collect();
        for dimension in 0..64 {
            let mut counts = [0; 64];
            for point in &points {
                counts[(point[dimension] * 64.0) as usize] += 1;
            }
            assert_eq!(counts, [1; 64], "dimension {dimension}");
        }
    }
}
