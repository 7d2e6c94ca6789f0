//! A random forest of regression trees (Breiman, 2001) whose predictions can be averaged over some columns.

/// Trees of a forest.
const N_TREES: usize = 64;
/// The seed is fixed, because the forest is part of a report that must not change.
const SEED: u64 = 0;

/// Trees, each grown on rows drawn with replacement.
pub(crate) struct Forest {
    trees: Vec<Tree>,
}

impl Forest {
    /// A forest that predicts `values` from `rows`. There must be at least one row, and all rows must have the
    /// same length.
    pub(crate) fn grow(rows: &[Vec<f64>], values: &[f64]) -> Self {
        let mut random = fastrand::Rng::with_seed(SEED);
        let n = rows.len();
        let trees = (0..N_TREES).map(|_| {
            let drawn: Vec<usize> = (0..n).map(|_| random.usize(0..n)).collect();
            Tree::grow(rows, values, &drawn, &mut random)
        });
        Self {
            trees: trees.collect(),
        }
    }

    /// The prediction of the forest if `columns` have the values of `row` and the others are averaged out.
    pub(crate) fn marginal(&self, columns: &[usize], row: &[f64]) -> f64 {
        let predicted = self.trees.iter().map(|tree| tree.marginal(columns, row));
        predicted.sum::<f64>() / self.trees.len() as f64
    }
}

enum Tree {
    Leaf(f64),
    Split {
        split: Split,
        /// Shares of the rows at this node that went to either side.
        shares: [f64; 2],
        /// At most the threshold, and above it.
        branches: Box<[Tree; 2]>,
    },
}

#[derive(Clone, Copy)]
struct Split {
    column: usize,
    threshold: f64,
}

impl Split {
    fn is_below(self, row: &[f64]) -> bool {
        row[self.column] <= self.threshold
    }
}

impl Tree {
    /// Grows a tree on some of the rows, split until the values of a leaf are equal.
    fn grow(
        rows: &[Vec<f64>],
        values: &[f64],
        drawn: &[usize],
        random: &mut fastrand::Rng,
    ) -> Self {
        let n = drawn.len() as f64;
        let mean = drawn.iter().map(|row| values[*row]).sum::<f64>() / n;
        if drawn.iter().all(|row| values[*row] == values[drawn[0]]) {
            return Self::Leaf(mean);
        }
        let Some(split) = best_split(rows, values, drawn, mean, random) else {
            return Self::Leaf(mean);
        };
        let (below, above): (Vec<usize>, Vec<usize>) =
            drawn.iter().partition(|row| split.is_below(&rows[**row]));
        if below.is_empty() || above.is_empty() {
            return Self::Leaf(mean);
        }
        Self::Split {
            split,
            shares: [below.len() as f64 / n, above.len() as f64 / n],
            branches: Box::new([below, above].map(|part| Self::grow(rows, values, &part, random))),
        }
    }

    fn marginal(&self, columns: &[usize], row: &[f64]) -> f64 {
        match self {
            Self::Leaf(mean) => *mean,
            Self::Split {
                split,
                shares: [share_below, share_above],
                branches,
            } => {
                let [below, above] = &**branches;
                match columns.contains(&split.column) {
                    true if split.is_below(row) => below.marginal(columns, row),
                    true => above.marginal(columns, row),
                    false => {
                        share_below * below.marginal(columns, row)
                            + share_above * above.marginal(columns, row)
                    }
                }
            }
        }
    }
}

/// The split of some random columns that reduces the sum of squares most; `None` if none does.
fn best_split(
    rows: &[Vec<f64>],
    values: &[f64],
    drawn: &[usize],
    mean: f64,
    random: &mut fastrand::Rng,
) -> Option<Split> {
    let candidates = some_columns(rows[0].len(), random);
    let squares = drawn.iter().map(|row| (values[*row] - mean).powi(2));
    let squares: f64 = squares.sum();
    let mut best = (0.0, None);
    for column in candidates {
        let mut places: Vec<f64> = drawn.iter().map(|row| rows[*row][column]).collect();
        places.sort_by(f64::total_cmp);
        places.dedup();
        for pair in places.windows(2) {
            let threshold = f64::midpoint(pair[0], pair[1]);
            let split = Split { column, threshold };
            let [below, above] = sums_of_squares(rows, values, drawn, split);
            let gain = squares - below - above;
            if gain > best.0 {
                best = (gain, Some(split));
            }
        }
    }
    best.1
}

/// Random columns in random order; their number is the square root of all, rounded up.
fn some_columns(n: usize, random: &mut fastrand::Rng) -> Vec<usize> {
    let n_wanted = ((n as f64).sqrt().ceil() as usize).clamp(1, n);
    let mut columns: Vec<usize> = (0..n).collect();
    for at in 0..n_wanted {
        columns.swap(at, random.usize(at..n));
    }
    columns.truncate(n_wanted);
    columns
}

/// The sums of the squared distances from the mean on both sides of a split; NaN for a side without rows.
fn sums_of_squares(rows: &[Vec<f64>], values: &[f64], drawn: &[usize], split: Split) -> [f64; 2] {
    let mut sides = [(0.0, 0.0, 0.0); 2];
    for row in drawn {
        let value = values[*row];
        let side = &mut sides[usize::from(!split.is_below(&rows[*row]))];
        *side = (side.0 + value, side.1 + value * value, side.2 + 1.0);
    }
    sides.map(|(sum, squares, n)| squares - sum * sum / n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_that_is_averaged_out_counts_by_its_rows() {
        let rows = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]].map(|row| row.to_vec());
        let values = [1.0, 2.0, 3.0, 4.0];
        let mut random = fastrand::Rng::with_seed(1);
        let tree = Tree::grow(&rows, &values, &[0, 1, 2, 3, 3], &mut random);
        for (row, value) in rows.iter().zip(values) {
            assert_eq!(tree.marginal(&[0, 1], row), value);
        }
        // The mean of all five.
        assert!((tree.marginal(&[], &rows[0]) - 14.0 / 5.0).abs() < 1e-12);
        assert!(matches!(
            Tree::grow(&rows, &values, &[2, 2], &mut random),
            Tree::Leaf(3.0)
        ));
    }
}
