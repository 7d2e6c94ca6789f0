//! Class names from folder names: normalised Unicode, in natural order.

use std::cmp::Ordering;

use unicode_normalization::UnicodeNormalization;

/// A name in composed form (NFC). A name can be written composed or decomposed, and file systems differ in
/// which form they keep; both mean the same class.
///
/// ```
/// use mlestar_data::readers::class_names::composed;
/// assert_eq!(composed("cafe\u{301}"), "caf\u{e9}");
/// ```
pub fn composed(name: &str) -> String {
    name.nfc().collect()
}

/// The natural order of names: numbers by value (2 before 10), everything else by code points.
///
/// ```
/// use mlestar_data::readers::class_names::natural_order;
/// let mut names = ["10", "9b", "1", "2", "a10", "a9"];
/// names.sort_by(|a, b| natural_order(a, b));
/// assert_eq!(names, ["1", "2", "9b", "10", "a9", "a10"]);
/// ```
pub fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    loop {
        match (left.is_empty(), right.is_empty()) {
            // Names with equal parts differ in leading zeros.
            (true, true) => return a.cmp(b),
            (true, false) => return Ordering::Less,
            (false, true) => return Ordering::Greater,
            (false, false) => {}
        }
        let (part, rest) = first_part(left);
        let (other_part, other_rest) = first_part(right);
        match compare_parts(part, other_part) {
            Ordering::Equal => (left, right) = (rest, other_rest),
            order => return order,
        }
    }
}

/// The digits or the other characters at the start of a name, and the rest.
fn first_part(name: &str) -> (&str, &str) {
    let is_number = name.starts_with(|c: char| c.is_ascii_digit());
    let end = name
        .find(|c: char| c.is_ascii_digit() != is_number)
        .unwrap_or(name.len());
    name.split_at(end)
}

fn compare_parts(a: &str, b: &str) -> Ordering {
    let is_number = |part: &str| part.starts_with(|c: char| c.is_ascii_digit());
    if !(is_number(a) && is_number(b)) {
        return a.cmp(b);
    }
    // Numbers of any length: without leading zeros the longer one is larger.
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_order_is_total(a in "[a0-9.]{0,6}", b in "[a0-9.]{0,6}", c in "[a0-9.]{0,6}") {
            prop_assert_eq!(natural_order(&a, &b), natural_order(&b, &a).reverse());
            prop_assert_eq!(natural_order(&a, &b).is_eq(), a == b);
            if natural_order(&a, &b).is_le() && natural_order(&b, &c).is_le() {
                prop_assert!(natural_order(&a, &c).is_le());
            }
        }

        #[test]
        fn numbers_are_in_order_of_their_value(a in any::<u32>(), b in any::<u32>()) {
            prop_assert_eq!(natural_order(&a.to_string(), &b.to_string()), a.cmp(&b));
            prop_assert_eq!(natural_order(&format!("x{a}.y"), &format!("x{b}.y")), a.cmp(&b));
        }
    }

    #[test]
    fn leading_zeros_do_not_make_two_names_equal() {
        assert_eq!(natural_order("01", "1"), Ordering::Less);
        assert_eq!(natural_order("002", "10"), Ordering::Less);
        assert_eq!(natural_order("1", "1"), Ordering::Equal);
    }
}
