//! Commands as a user would type them.

/// `program` with these arguments, quoted for a shell where they need it.
pub fn command_line(program: &str, arguments: impl Iterator<Item = String>) -> String {
    let mut line = program.to_owned();
    for argument in arguments {
        let is_plain = !argument.is_empty()
            && argument
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_./=,:+".contains(c));
        line.push(' ');
        match is_plain {
            true => line.push_str(&argument),
            false => line.push_str(&format!("'{}'", argument.replace('\'', "'\\''"))),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_can_be_pasted() {
        let words = ["bench", "peers", "--json", "my file's.json", ""];
        assert_eq!(
            command_line("mlestar", words.map(str::to_owned).into_iter()),
            "mlestar bench peers --json 'my file'\\''s.json' ''"
        );
    }
}
