//! Bagged regression trees (Breiman, 1996) over the unit cube, and the functional ANOVA of its trees.

use mlestar_random::Stream;

/// Trees of a forest.
const N_TREES: u64 = 64;
/// Rows that each tree is grown on, at most: it bounds the time that long studies take.
const MOST_ROWS: usize = 2000;
/// The seed is fixed, because the forest is part of a report that must not change.
const SEED: u64 = 0;

/// Rows of coordinates in `[0, 1]` with a value each.
pub(crate) struct Samples<'a> {
    /// All of the same length, at least one.
    pub(crate) rows: &'a [Vec<f64>],
    /// One for each row.
    pub(crate) values: &'a [f64],
    /// For each column the number of equal cells that its coordinates are the middles of; 0 if every coordinate is possible.
    pub(crate) n_cells: &'a [u64],
}

/// For each column the share of the variance over the unit cube that it explains alone (main effects of a functional ANOVA;
/// Hutter, Hoos and Leyton-Brown, 2014): the mean over trees, each grown on rows drawn with replacement. `None` if no tree
/// varies.
pub(crate) fn main_effects(samples: &Samples<'_>) -> Option<Vec<f64>> {
    let n = samples.rows.len();
    let n_columns = samples.n_cells.len();
    let mut sums = vec![0.0; n_columns];
    let mut n_trees = 0.0;
    for tree in 0..N_TREES {
        let mut random = Stream::new(SEED, "importance", tree, 0);
        let mut drawn: Vec<usize> = (0..n.min(MOST_ROWS))
            .map(|_| random.below(n as u64) as usize)
            .collect();
        let mut leaves = Vec::new();
        let whole = vec![[0.0, 1.0]; n_columns];
        grow(samples, &mut drawn, whole, &mut leaves);
        if let Some(shares) = shares(&leaves, n_columns) {
            n_trees += 1.0;
            sums.iter_mut()
                .zip(shares)
                .for_each(|(sum, share)| *sum += share);
        }
    }
    (n_trees > 0.0).then(|| sums.into_iter().map(|sum| sum / n_trees).collect())
}

/// A box in which a tree predicts the same value.
struct Leaf {
    value: f64,
    /// From and to, for each column.
    sides: Vec<[f64; 2]>,
}

impl Leaf {
    fn volume(&self) -> f64 {
        self.sides.iter().map(|[from, to]| to - from).product()
    }
}

#[derive(Clone, Copy)]
struct Split {
    column: usize,
    threshold: f64,
}

/// Splits a box until the values of its rows are equal, and adds the boxes that come out.
fn grow(samples: &Samples<'_>, drawn: &mut [usize], sides: Vec<[f64; 2]>, leaves: &mut Vec<Leaf>) {
    let mut open = vec![(drawn, sides)];
    while let Some((drawn, sides)) = open.pop() {
        let sum: f64 = drawn.iter().map(|row| samples.values[*row]).sum();
        let value = sum / drawn.len() as f64;
        let Some(split) = best_split(samples, drawn, value) else {
            leaves.push(Leaf { value, sides });
            continue;
        };
        let place = |row: &usize| samples.rows[*row][split.column];
        drawn.sort_by(|a, b| place(a).total_cmp(&place(b)));
        let n_below = drawn.partition_point(|row| place(row) < split.threshold);
        let (below, above) = drawn.split_at_mut(n_below);
        let mut sides_above = sides.clone();
        let mut sides_below = sides;
        sides_below[split.column][1] = split.threshold;
        sides_above[split.column][0] = split.threshold;
        open.push((below, sides_below));
        open.push((above, sides_above));
    }
}

/// The split that reduces the sum of squares most; `None` if none does.
fn best_split(samples: &Samples<'_>, drawn: &[usize], mean: f64) -> Option<Split> {
    let first = samples.values[drawn[0]];
    if drawn.iter().all(|row| samples.values[*row] == first) {
        return None;
    }
    let n = drawn.len() as f64;
    let mut best = (0.0, None);
    for (column, n_cells) in samples.n_cells.iter().enumerate() {
        let mut sorted: Vec<(f64, f64)> = drawn
            .iter()
            .map(|row| (samples.rows[*row][column], samples.values[*row] - mean))
            .collect();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
        let total: f64 = sorted.iter().map(|(_, value)| value).sum();
        let mut below = 0.0;
        for (index, pair) in sorted.windows(2).enumerate() {
            below += pair[0].1;
            if pair[0].0 >= pair[1].0 {
                continue;
            }
            let n_below = (index + 1) as f64;
            let gain = below * below / n_below + (total - below).powi(2) / (n - n_below);
            let threshold = threshold(pair[0].0, pair[1].0, *n_cells);
            // Values outside the range lie on the border of the cube, beyond which there is nothing.
            if gain > best.0 && threshold > 0.0 && threshold < 1.0 {
                best = (gain, Some(Split { column, threshold }));
            }
        }
    }
    best.1
}

/// Halfway between two coordinates; between cells at the border of the cell that is nearest to it.
fn threshold(below: f64, above: f64, n_cells: u64) -> f64 {
    let middle = f64::midpoint(below, above);
    let n = n_cells as f64;
    match n_cells > 0 {
        true => ((middle * n).round() / n).clamp(below, above),
        // Two neighbouring numbers have nothing between them.
        false if middle <= below => above,
        false => middle,
    }
}

/// The share of each column in the variance of a tree; `None` if it predicts the same everywhere.
fn shares(leaves: &[Leaf], n_columns: usize) -> Option<Vec<f64>> {
    let volumes: Vec<f64> = leaves.iter().map(Leaf::volume).collect();
    let weighted = leaves.iter().zip(&volumes);
    let mean: f64 = weighted
        .clone()
        .map(|(leaf, volume)| volume * leaf.value)
        .sum();
    let squares = weighted.map(|(leaf, volume)| volume * (leaf.value - mean).powi(2));
    let total: f64 = squares.sum();
    let of_column = |column| main_variance(leaves, &volumes, mean, column) / total;
    (total > 0.0).then(|| (0..n_columns).map(of_column).collect())
}

/// The variance of a tree's prediction over one column, all others averaged out.
fn main_variance(leaves: &[Leaf], volumes: &[f64], mean: f64, column: usize) -> f64 {
    let sides = leaves.iter().flat_map(|leaf| leaf.sides[column]);
    let mut borders: Vec<f64> = sides.collect();
    borders.sort_by(f64::total_cmp);
    borders.dedup();
    let place = |border: f64| borders.partition_point(|other| *other < border);
    // How the averaged prediction changes at each border.
    let mut changes = vec![0.0; borders.len()];
    for (leaf, volume) in leaves.iter().zip(volumes) {
        let [from, to] = leaf.sides[column];
        let height = (leaf.value - mean) * volume / (to - from);
        changes[place(from)] += height;
        changes[place(to)] -= height;
    }
    let mut height = 0.0;
    let pieces = borders.windows(2).zip(changes);
    pieces
        .map(|(border, change)| {
            height += change;
            (border[1] - border[0]) * height * height
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(value: f64, sides: &[[f64; 2]]) -> Leaf {
        let sides = sides.to_vec();
        Leaf { value, sides }
    }

    /// By hand: the tree is 0 for x < 1/4, else 1 for y < 1/2 and 3 above. Its mean is 3/2, its variance 3/4 * (1/2 + 9/2) - 9/4
    /// = 3/2. Over x alone it is 0 and 2: variance 3/4. Over y alone 3/4 and 9/4: variance 9/16.
    #[test]
    fn the_shares_of_a_tree_are_those_computed_by_hand() {
        let leaves = [
            leaf(0.0, &[[0.0, 0.25], [0.0, 1.0]]),
            leaf(1.0, &[[0.25, 1.0], [0.0, 0.5]]),
            leaf(3.0, &[[0.25, 1.0], [0.5, 1.0]]),
        ];
        let found = shares(&leaves, 2).unwrap();
        assert!((found[0] - 0.75 / 1.5).abs() < 1e-12, "{found:?}");
        assert!((found[1] - 0.5625 / 1.5).abs() < 1e-12, "{found:?}");
        assert!(shares(&[leaf(2.0, &[[0.0, 1.0]])], 1).is_none());
    }

    #[test]
    fn boxes_of_a_tree_fill_the_cube_and_hold_their_rows() {
        let mut random = Stream::new(3, "forest", 0, 0);
        let rows: Vec<Vec<f64>> = (0..50)
            .map(|_| vec![random.uniform(), (random.below(4) as f64 + 0.5) / 4.0])
            .collect();
        let values: Vec<f64> = rows.iter().map(|row| row[0] * row[1]).collect();
        let samples = Samples {
            rows: &rows,
            values: &values,
            n_cells: &[0, 4],
        };
        let mut leaves = Vec::new();
        let mut drawn: Vec<usize> = (0..50).collect();
        grow(&samples, &mut drawn, vec![[0.0, 1.0]; 2], &mut leaves);
        let volume: f64 = leaves.iter().map(Leaf::volume).sum();
        assert!((volume - 1.0).abs() < 1e-12, "{volume}");
        for (row, value) in rows.iter().zip(&values) {
            let holds = |leaf: &&Leaf| {
                leaf.sides
                    .iter()
                    .zip(row)
                    .all(|([from, to], place)| from <= place && place < to)
            };
            let found: Vec<f64> = leaves.iter().filter(holds).map(|leaf| leaf.value).collect();
            assert_eq!(found, [*value]);
        }
        // Cells are never cut.
        let borders = leaves.iter().flat_map(|leaf| leaf.sides[1]);
        assert!(
            borders
                .into_iter()
                .all(|border| (border * 4.0).fract() == 0.0)
        );
    }
}
