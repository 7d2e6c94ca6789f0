use mlestar_random::Stream;

use crate::ModelConfig;

/// What stochastic depth does in one step (Huang et al. 2016, <https://arxiv.org/abs/1603.09382>): for
/// every block, in order, the factor of its branch, or `None` where the branch is left out and the block
/// passes its input (or its shortcut) on. Plain blocks have no branch, and take no notice of theirs.
///
/// Block `l` of `L` is left out with probability `p * l / L`, with `p` the configuration's
/// `stochastic_depth`, for the whole batch, as in the paper; a branch that stays is multiplied by
/// `1 / (1 - p * l / L)`, so that evaluation needs no factor. Drawn from (`seed`, `step`); empty
/// where the configuration has it off.
///
/// ```
/// use mlestar_model::{ModelConfig, branch_factors};
///
/// let config = ModelConfig { stochastic_depth: 0.5, ..ModelConfig::reference() };
/// let factors = branch_factors(&config, 1, 0);
/// assert_eq!(factors.len(), 6);
/// assert!(factors[5].is_none_or(|factor| factor == 2.0));
/// assert!(branch_factors(&ModelConfig::reference(), 1, 0).is_empty());
/// ```
#[must_use]
pub fn branch_factors(config: &ModelConfig, seed: u64, step: u64) -> Vec<Option<f64>> {
    if config.stochastic_depth == 0.0 {
        return Vec::new();
    }
    let blocks: usize = config.stages.iter().map(|stage| stage.blocks).sum();
    let mut draws = Stream::new(seed, "stochastic depth", 0, step);
    (1..=blocks)
        .map(|block| {
            let left_out = config.stochastic_depth * block as f64 / blocks as f64;
            (!draws.bernoulli(left_out)).then(|| 1.0 / (1.0 - left_out))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_blocks_are_left_out_more_often_and_the_mean_factor_is_one() {
        let config = ModelConfig {
            stochastic_depth: 0.6,
            ..ModelConfig::reference()
        };
        let steps = 4000;
        let mut sums = [0.0; 6];
        let mut left_out = [0; 6];
        for step in 0..steps {
            for (block, factor) in branch_factors(&config, 9, step).iter().enumerate() {
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
        assert_eq!(branch_factors(&config, 9, 5), branch_factors(&config, 9, 5));
    }
}
