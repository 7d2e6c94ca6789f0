//! Numbers and nouns in messages.

/// A number with its noun: `1 image`, `2 images`, `3 classes`. The last word of `noun` takes the plural.
///
/// ```
/// use mlestar_workflow::words::counted;
///
/// assert_eq!(counted(1, "test image"), "1 test image");
/// assert_eq!(counted(0, "test image"), "0 test images");
/// assert_eq!(counted(3, "class"), "3 classes");
/// assert_eq!(counted(2, "epoch"), "2 epochs");
/// assert_eq!(counted(2, "criterion"), "2 criteria");
/// ```
pub fn counted(n: usize, noun: &str) -> String {
    let plural = |stem: &str, ending: &str| format!("{n} {stem}{ending}");
    match noun
        .strip_suffix("ion")
        .filter(|_| noun.ends_with("criterion"))
    {
        _ if n == 1 => format!("1 {noun}"),
        Some(stem) => plural(stem, "ia"),
        None if ["s", "x", "sh", "tch"]
            .iter()
            .any(|end| noun.ends_with(end)) =>
        {
            plural(noun, "es")
        }
        None => plural(noun, "s"),
    }
}
