//! A part of the images.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// Shard `index` of `count`, from 1: neighbouring images in their order, so that the rows of all shards one after the
/// other are the rows of a single run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    count: usize,
}

impl Shard {
    /// Which of `n` images belong to it. Shards differ by one image at most.
    pub fn range(self, n: usize) -> Range<usize> {
        let begin = |index: usize| {
            let (n, index, count) = (n as u128, index as u128, self.count as u128);
            // At most `n`.
            (n * index / count) as usize
        };
        begin(self.index - 1)..begin(self.index)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/');
        let numbers =
            parts.and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
        match numbers {
            Some((index, count)) if (1..=count).contains(&index) => Ok(Self { index, count }),
            _ => Err(format!(
                "{text:?} is no shard I/N, from 1/N to N/N, such as 3/8"
            )),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.index, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shards_are_counted_from_one() {
        let shard: Shard = "3/8".parse().unwrap();
        assert_eq!(shard.to_string(), "3/8");
        assert_eq!(shard.range(16), 4..6);
        for text in ["0/8", "9/8", "1/0", "1", "a/b", "-1/2", "1/2/3", ""] {
            assert!(text.parse::<Shard>().unwrap_err().contains("I/N"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_image_is_in_one_shard_and_shards_are_even(n in 0_usize..10_000, count in 1_usize..300) {
            let mut next = 0;
            for index in 1..=count {
                let range = Shard { index, count }.range(n);
                prop_assert_eq!(range.start, next);
                prop_assert!(range.len() == n / count || range.len() == n.div_ceil(count));
                next = range.end;
            }
            prop_assert_eq!(next, n);
        }
    }
}
