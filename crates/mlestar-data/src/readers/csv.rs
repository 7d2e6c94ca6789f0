//! Comma-separated values, by RFC 4180: fields in quotes may hold commas, line ends and doubled quotes.
//!
//! The crate `csv` reads a file whose quote is not closed as one long field, without an error; here the line is named.

/// A record and the number of its first line, from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub line: usize,
    pub fields: Vec<String>,
}

/// The records of a text; empty lines are skipped, and so is a byte order mark.
///
/// # Errors
/// The line and the problem: a quote that is not closed, or text after a closing quote.
pub(super) fn records(text: &str) -> Result<Vec<Record>, (usize, String)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut records = Vec::new();
    let mut characters = text.chars().peekable();
    let mut line = 1;
    while characters.peek().is_some() {
        let mut record = Record {
            line,
            fields: Vec::new(),
        };
        loop {
            let mut field = String::new();
            if characters.next_if_eq(&'"').is_some() {
                quoted(&mut characters, &mut field, &mut line)
                    .ok_or_else(|| (record.line, "a quote (\") is not closed".to_string()))?;
                if characters
                    .peek()
                    .is_some_and(|c| !matches!(c, ',' | '\r' | '\n'))
                {
                    let problem = "a closing quote (\") is followed by more text; write a quote inside quotes twice";
                    return Err((line, problem.to_string()));
                }
            } else {
                while let Some(c) = characters.next_if(|c| !matches!(c, ',' | '\r' | '\n')) {
                    field.push(c);
                }
            }
            record.fields.push(field);
            if characters.next_if_eq(&',').is_none() {
                break;
            }
        }
        characters.next_if_eq(&'\r');
        characters.next_if_eq(&'\n');
        line += 1;
        if record.fields != [""] {
            records.push(record);
        }
    }
    Ok(records)
}

/// The rest of a field in quotes; `None` if it does not end.
fn quoted(
    characters: &mut std::iter::Peekable<std::str::Chars<'_>>,
    field: &mut String,
    line: &mut usize,
) -> Option<()> {
    loop {
        match characters.next()? {
            '"' if characters.next_if_eq(&'"').is_some() => field.push('"'),
            '"' => return Some(()),
            c => {
                *line += usize::from(c == '\n');
                field.push(c);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fields(text: &str) -> Vec<Vec<String>> {
        let records = records(text).unwrap();
        records.into_iter().map(|record| record.fields).collect()
    }

    #[test]
    fn quotes_line_ends_and_gaps() {
        assert_eq!(
            fields("\u{feff}a,b\r\n\"x, \"\"y\"\"\",\r\n\n,last"),
            [["a", "b"], ["x, \"y\"", ""], ["", "last"]]
        );
        assert_eq!(fields(""), Vec::<Vec<String>>::new());
        let found = records("a\n\"b\nb\"\nc").unwrap();
        assert_eq!(
            found.iter().map(|record| record.line).collect::<Vec<_>>(),
            [1, 2, 4]
        );
        assert_eq!(records("a\n\"b").unwrap_err().0, 2);
        assert_eq!(records("a\n\"b\"c").unwrap_err().0, 2);
    }

    proptest! {
        #[test]
        fn any_fields_survive(table in prop::collection::vec(prop::collection::vec("[a,\"\n\r é]{0,5}", 2..4), 0..5)) {
            let text: String = table
                .iter()
                .map(|row| {
                    let quoted = row.iter().map(|field| format!("\"{}\"", field.replace('"', "\"\"")));
                    quoted.collect::<Vec<_>>().join(",") + "\n"
                })
                .collect();
            prop_assert_eq!(fields(&text), table);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[a,\"\r\n]{0,30}") {
            let _ = records(&text);
        }
    }
}
