use mlestar_random::Stream;

use crate::Description;

/// The effect of stochastic depth in one step (Huang et al. 2016, <https://arxiv.org/abs/1603.09382>): for
/// every block, in order, the factor of its branch, or `None` if the branch is skipped and the block only
/// passes on its input (or its shortcut). Plain blocks have no branch and ignore their entry.
///
/// Block `l` of `L` is skipped with probability `p * l / L`, with `p` the configuration's `stochastic_depth`,
/// for the whole batch, as in the paper. A branch that is kept is multiplied by `1 / (1 - p * l / L)`, so that
/// evaluation needs no factor. Drawn from (`seed`, `step`); empty if the configuration has it off.
///
/// ```
/// use mlestar_model::{ModelConfig, branch_factors};
///
/// let config = ModelConfig { stochastic_depth: 0.5, ..ModelConfig::reference() };
/// let factors = branch_factors(&config.check(10, 32, 32)?.description(), 1, 0);
/// assert_eq!(factors.len(), 6);
/// assert!(factors[5].is_none_or(|factor| factor == 2.0));
/// let off = ModelConfig::reference().check(10, 32, 32)?.description();
/// assert!(branch_factors(&off, 1, 0).is_empty());
/// # Ok::<(), mlestar_model::ModelError>(())
/// ```
#[must_use]
pub fn branch_factors(description: &Description, seed: u64, step: u64) -> Vec<Option<f64>> {
    let last_left_out = description.stochastic_depth;
    if last_left_out == 0.0 {
        return Vec::new();
    }
    let blocks = description
        .blocks
        .iter()
        .filter(|block| block.stage.is_some())
        .count();
    let mut draws = Stream::new(seed, "stochastic depth", 0, step);
    (1..=blocks)
        .map(|block| {
            let left_out = last_left_out * block as f64 / blocks as f64;
            (!draws.bernoulli(left_out)).then(|| 1.0 / (1.0 - left_out))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ModelConfig;

    #[test]
    fn later_blocks_are_left_out_more_often_and_the_mean_factor_is_one() {
        let config = ModelConfig {
            stochastic_depth: 0.6,
            ..ModelConfig::reference()
        };
        let description = config.check(10, 32, 32).unwrap().description();
        let steps = 4000;
        let mut sums = [0.0; 6];
        let mut left_out = [0; 6];
        for step in 0..steps {
            for (block, factor) in branch_factors(&description, 9, step).iter().enumerate() {
                sums[block] += factor.unwrap_or(0.0);
                left_out[block] += usize::from(factor.is_none());
            }
        }
        for (block, sum) in sums.iter().enumerate() {
            let mean = sum / steps as f64;
            assert!((mean - 1.0).abs() < 0.08, "block {block}: {mean}");
            let expected = 0.1 * (block + 1) as f64;
            let share = f64::from(left_out[block] as u32) / steps as f64;
            assert!((share - expected).abs() < 0.03, "block {block}: {share}");
        }
        assert_eq!(
            branch_factors(&description, 9, 5),
            branch_factors(&description, 9, 5)
        );
    }
}
