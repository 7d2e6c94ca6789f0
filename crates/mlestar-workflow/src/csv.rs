//! CSV lists for spreadsheets and scripts, as in RFC 4180.

/// A header and rows of cells. Cells with a comma, a quotation mark or a line break are quoted.
pub(crate) fn csv<const N: usize>(
    head: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut text = line(head);
    for row in rows {
        text.push_str(&line(row.each_ref().map(String::as_str)));
    }
    text
}

fn line<const N: usize>(cells: [&str; N]) -> String {
    format!("{}\r\n", cells.map(quoted).join(","))
}

fn quoted(cell: &str) -> String {
    match cell.contains(['"', ',', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_commas_quotes_and_line_breaks_stay_one_cell() {
        let row = |file: &str| [file.to_owned(), "cat".to_owned()];
        let rows = [
            row("a, b.png"),
            row("\"x\".png"),
            row("two\nlines"),
            row(r"caf\xe9.png"),
        ];
        assert_eq!(
            csv(["file", "class"], rows),
            "file,class\r\n\"a, b.png\",cat\r\n\"\"\"x\"\".png\",cat\r\n\"two\nlines\",cat\r\ncaf\\xe9.png,cat\r\n"
        );
    }
}
