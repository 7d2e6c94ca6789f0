//! A small parser for the markup that this crate writes: it fails on anything unbalanced.

/// An element with its attributes, in document order.
#[derive(Debug, Clone, PartialEq)]
pub struct Element {
    pub name: String,
    pub attributes: Vec<(String, String)>,
    /// The elements around it, from the outside.
    pub parents: Vec<String>,
}

impl Element {
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// The contents of a document.
#[derive(Debug, Default)]
pub struct Document {
    pub elements: Vec<Element>,
    /// All text outside of tags, unescaped, each piece with its element.
    pub texts: Vec<(String, String)>,
}

impl Document {
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.elements
            .iter()
            .filter(move |element| element.name == name)
    }

    pub fn has_text(&self, wanted: &str) -> bool {
        self.texts.iter().any(|(_, text)| text.contains(wanted))
    }
}

/// HTML elements without an end tag.
const VOID: [&str; 4] = ["meta", "link", "img", "br"];

/// The only comments of a page: the text between them is filled in later.
const MARKS: [&str; 2] = ["!-- verdict -->", "!-- /verdict -->"];

/// Parses HTML or SVG as written by this crate.
pub fn parse(markup: &str) -> Result<Document, String> {
    let mut document = Document::default();
    let mut open: Vec<String> = Vec::new();
    let mut rest = markup.strip_prefix("<!DOCTYPE html>").unwrap_or(markup);
    while !rest.is_empty() {
        let Some(text_end) = rest.find('<') else {
            add_text(&mut document, &open, rest)?;
            break;
        };
        add_text(&mut document, &open, &rest[..text_end])?;
        rest = &rest[text_end + 1..];
        if let Some(after) = MARKS.iter().find_map(|mark| rest.strip_prefix(mark)) {
            rest = after;
            continue;
        }
        if let Some(after) = rest.strip_prefix('/') {
            let end = after.find('>').ok_or("an end tag does not end")?;
            let name = &after[..end];
            match open.pop() {
                Some(expected) if expected == name => {}
                other => return Err(format!("</{name}> closes {other:?}")),
            }
            rest = &after[end + 1..];
            continue;
        }
        let (element, closes_itself, after) = parse_tag(rest, &open)?;
        rest = after;
        if !closes_itself && !VOID.contains(&element.name.as_str()) {
            open.push(element.name.clone());
            if element.name == "style" {
                let end = rest.find("</style>").ok_or("a style does not end")?;
                rest = &rest[end..];
            }
        }
        document.elements.push(element);
    }
    if open.is_empty() {
        Ok(document)
    } else {
        Err(format!("not closed: {open:?}"))
    }
}

fn add_text(document: &mut Document, open: &[String], text: &str) -> Result<(), String> {
    if text.contains('>') {
        return Err(format!("a bare > in {text:?}"));
    }
    let text = unescape(text)?;
    if !text.trim().is_empty() {
        let parent = open.last().cloned().unwrap_or_default();
        document.texts.push((parent, text));
    }
    Ok(())
}

/// Parses what follows a `<`.
fn parse_tag<'a>(markup: &'a str, open: &[String]) -> Result<(Element, bool, &'a str), String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == ':';
    let name_end = markup.find(|c| !is_name(c)).ok_or("a tag does not end")?;
    let name = &markup[..name_end];
    if name.is_empty() {
        return Err(format!("a bare < before {:?}", markup.get(..20)));
    }
    let mut attributes: Vec<(String, String)> = Vec::new();
    let mut rest = &markup[name_end..];
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix("/>") {
            return Ok((element(name, attributes, open), true, after));
        }
        if let Some(after) = rest.strip_prefix('>') {
            return Ok((element(name, attributes, open), false, after));
        }
        let (key, after) = rest.split_once("=\"").ok_or("an attribute without value")?;
        if key.is_empty() || !key.chars().all(is_name) {
            return Err(format!("the attribute name {key:?} in <{name}>"));
        }
        let (value, after) = after.split_once('"').ok_or("a value does not end")?;
        if value.contains('<') {
            return Err(format!("a bare < in the value {value:?}"));
        }
        if attributes.iter().any(|(other, _)| other == key) {
            return Err(format!("{key} twice in <{name}>"));
        }
        attributes.push((key.to_string(), unescape(value)?));
        rest = after;
    }
}

fn element(name: &str, attributes: Vec<(String, String)>, open: &[String]) -> Element {
    Element {
        name: name.to_string(),
        attributes,
        parents: open.to_vec(),
    }
}

fn unescape(text: &str) -> Result<String, String> {
    let mut pieces = text.split('&');
    let mut plain = pieces.next().unwrap_or_default().to_string();
    for piece in pieces {
        let (entity, rest) = piece
            .split_once(';')
            .ok_or_else(|| format!("a bare & before {piece:?}"))?;
        plain.push(match entity {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" => '\'',
            other => return Err(format!("the entity {other:?}")),
        });
        plain.push_str(rest);
    }
    Ok(plain)
}

#[test]
fn the_parser_accepts_balanced_and_refuses_broken_markup() {
    let document = parse("<p class=\"a\">x &lt; y<br><b>z</b></p>").unwrap();
    assert_eq!(document.elements.len(), 3);
    assert_eq!(document.elements[0].attribute("class"), Some("a"));
    assert_eq!(document.elements[2].parents, ["p"]);
    assert!(document.has_text("x < y"));
    for broken in [
        "<p>",
        "</p>",
        "<p></b>",
        "<p a=b></p>",
        "<p a=\"<\"></p>",
        "a & b",
        "a > b",
        "<p a=\"1\" a=\"2\"></p>",
        "< p></p>",
    ] {
        assert!(parse(broken).is_err(), "{broken}");
    }
}
