//! Predictions as text.

use crate::cli::arguments::PredictFormat;
use mlestar_export::RankedClass;
use serde::Serialize;

/// The prediction for one image.
pub(super) struct Answer {
    pub(super) name: String,
    /// The most probable classes, or why there are none.
    pub(super) result: Result<Ranked, String>,
}

/// The most probable classes of an image.
pub(super) struct Ranked {
    /// Whether the image is none of them.
    pub(super) none_of_these: bool,
    /// Most probable first.
    pub(super) classes: Vec<RankedClass>,
}

/// What a table calls an image that is none of the classes.
const NONE_OF_THESE: &str = "none of these";

/// Makes rows.
pub(super) struct Rows {
    format: PredictFormat,
    /// Classes that a row names.
    n_named: usize,
}

/// A line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    none_of_these: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answers: Option<&'a [RankedClass]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

impl Rows {
    /// With the `top` most probable of so many classes.
    pub(super) fn new(format: PredictFormat, top: usize, n_classes: usize) -> Self {
        Self {
            format,
            n_named: top.min(n_classes),
        }
    }

    /// The header before the first row.
    pub(super) fn head(&self) -> String {
        match self.format {
            PredictFormat::Csv => {
                let columns =
                    (1..=self.n_named).map(|rank| format!("class_{rank},probability_{rank},"));
                let columns: String = columns.collect();
                format!("file,{columns}none_of_these,error\n")
            }
            PredictFormat::Table | PredictFormat::Json => String::new(),
        }
    }

    /// The rows of a batch.
    pub(super) fn text(&self, answers: &[Answer]) -> String {
        match self.format {
            PredictFormat::Table => table(answers),
            PredictFormat::Json => answers.iter().map(json).collect(),
            PredictFormat::Csv => answers
                .iter()
                .map(|answer| csv(answer, self.n_named))
                .collect(),
        }
    }
}

fn table(answers: &[Answer]) -> String {
    let width = |text: &str| text.chars().count();
    let names = answers
        .iter()
        .map(|answer| width(&answer.name))
        .max()
        .unwrap_or(0);
    let firsts = answers
        .iter()
        .flat_map(|answer| Some(first_word(answer.result.as_ref().ok()?)));
    let classes = firsts.map(width).max().unwrap_or(0);
    let row = |answer: &Answer| {
        let name = &answer.name;
        match &answer.result {
            Err(reason) => format!("{name:<names$}  error: {reason}\n"),
            Ok(ranked) => {
                let mut row = format!("{name:<names$}  {:<classes$}", first_word(ranked));
                for (place, class) in ranked.classes.iter().enumerate() {
                    let probability = class.probability;
                    row += &match place {
                        0 if !ranked.none_of_these => format!("  {probability:.4}"),
                        _ => format!("  {} {probability:.4}", class.class),
                    };
                }
                row + "\n"
            }
        }
    };
    answers.iter().map(row).collect()
}

/// What a row says first.
fn first_word(ranked: &Ranked) -> &str {
    match ranked.classes.first() {
        Some(first) if !ranked.none_of_these => &first.class,
        _ => NONE_OF_THESE,
    }
}

fn json(answer: &Answer) -> String {
    let ranked = answer.result.as_ref().ok();
    let line = Line {
        file: &answer.name,
        none_of_these: ranked.map(|ranked| ranked.none_of_these),
        answers: ranked.map(|ranked| ranked.classes.as_slice()),
        error: answer.result.as_ref().err().map(String::as_str),
    };
    // Texts and finite numbers always have a form.
    serde_json::to_string(&line).unwrap_or_default() + "\n"
}

/// A row with the columns of `n` classes.
fn csv(answer: &Answer, n: usize) -> String {
    let mut cells = vec![quoted(&answer.name)];
    let ranked = answer.result.as_ref().ok();
    let classes = ranked.map_or(&[][..], |ranked| &ranked.classes);
    for place in 0..n {
        match classes.get(place) {
            Some(class) => cells.extend([quoted(&class.class), class.probability.to_string()]),
            None => cells.extend([String::new(), String::new()]),
        }
    }
    cells.push(ranked.map_or_else(String::new, |ranked| ranked.none_of_these.to_string()));
    let reason = answer.result.as_ref().err();
    cells.push(reason.map(|reason| quoted(reason)).unwrap_or_default());
    cells.join(",") + "\n"
}

/// RFC 4180.
fn quoted(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers() -> Vec<Answer> {
        let class = |class_index, class: &str, probability| RankedClass {
            class_index,
            class: class.into(),
            probability,
        };
        vec![
            Answer {
                name: "a, b.png".into(),
                result: Ok(Ranked {
                    none_of_these: false,
                    classes: vec![class(1, "fire \"ant\"", 0.75), class(0, "bee", 0.25)],
                }),
            },
            Answer {
                name: "cat.png".into(),
                result: Ok(Ranked {
                    none_of_these: true,
                    classes: vec![class(0, "bee", 0.625), class(1, "fire \"ant\"", 0.375)],
                }),
            },
            Answer {
                name: "c.png".into(),
                result: Err("the file is empty".into()),
            },
        ]
    }

    fn all(format: PredictFormat) -> String {
        let rows = Rows::new(format, 3, 2);
        rows.head() + &rows.text(&answers())
    }

    #[test]
    fn every_format_says_the_same() {
        insta::assert_snapshot!(all(PredictFormat::Table), @r#"
        a, b.png  fire "ant"     0.7500  bee 0.2500
        cat.png   none of these  bee 0.6250  fire "ant" 0.3750
        c.png     error: the file is empty
        "#);
        insta::assert_snapshot!(all(PredictFormat::Json), @r#"
        {"file":"a, b.png","none_of_these":false,"answers":[{"class_index":1,"class":"fire \"ant\"","probability":0.75},{"class_index":0,"class":"bee","probability":0.25}]}
        {"file":"cat.png","none_of_these":true,"answers":[{"class_index":0,"class":"bee","probability":0.625},{"class_index":1,"class":"fire \"ant\"","probability":0.375}]}
        {"file":"c.png","error":"the file is empty"}
        "#);
        insta::assert_snapshot!(all(PredictFormat::Csv), @r#"
        file,class_1,probability_1,class_2,probability_2,none_of_these,error
        "a, b.png","fire ""ant""",0.75,bee,0.25,false,
        cat.png,bee,0.625,"fire ""ant""",0.375,true,
        c.png,,,,,,the file is empty
        "#);
    }
}
