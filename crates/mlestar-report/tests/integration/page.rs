//! A page with every kind of block: its snapshot, and properties of every page.

use mlestar_gates::{Criterion, Evidence, Limit, Measurement, StageVerdict, Unit, judge};
use mlestar_report::charts::{ClassBars, class_bars};
use mlestar_report::{
    Badge, Block, Callout, Cell, ChartFigure, Code, Column, Definition, KeyFigure, Link, Page,
    Picture, PictureGrid, Row, Section, StageStep, Table, Tone, VerdictHeader, thumbnail,
};

use crate::markup::{Document, parse};

fn gate() -> StageVerdict {
    let criterion = |id: &str, limit, unit| Criterion {
        id: id.to_string(),
        title: id.replace('_', " "),
        limit,
        unit,
        remedy: format!("improve {id}"),
    };
    let accuracy = criterion("accuracy", Limit::AtLeast(0.85), Unit::Fraction);
    let size = criterion("model_size", Limit::AtMost(50e6), Unit::Bytes);
    let documented = criterion("documentation", Limit::Equals(1.0), Unit::Flag);
    let gap = criterion("overfitting_gap", Limit::AtMost(0.05), Unit::Fraction);
    let recall = criterion("recall", Limit::AtLeast(0.7), Unit::Fraction);
    let mut stage = StageVerdict {
        stage: "evaluation".to_string(),
        verdicts: vec![
            judge(
                &accuracy,
                Evidence::measured(
                    Measurement::with_interval(0.8312, [0.8237, 0.8384]),
                    ["predictions.csv"],
                ),
            ),
            judge(
                &size,
                Evidence::measured(Measurement::exact(11_146_024.0), ["model.onnx"]),
            ),
            judge(
                &documented,
                Evidence::missing("MODEL.md", "stage 7 has not run"),
            ),
            judge(
                &gap,
                Evidence::Contradiction {
                    file: "metrics.json".to_string(),
                    claimed: 0.01,
                    recomputed: 0.08,
                    what: "gap".to_string(),
                },
            ),
            judge(
                &recall,
                Evidence::Altered {
                    file: "predictions.csv".to_string(),
                    recorded: "aa".to_string(),
                    found: "bb".to_string(),
                },
            ),
        ],
    };
    // Another crate tests the words of the messages.
    for verdict in &mut stage.verdicts {
        verdict.message = format!("message of {}", verdict.criterion.id);
    }
    stage
}

fn page_with_everything() -> Page {
    let classes = ["cat".to_string(), "dog".to_string()];
    let chart = class_bars(&ClassBars {
        title: "Recall",
        value_label: "recall (fraction)",
        classes: &classes,
        values: &[0.5, 0.9],
        intervals: None,
        limit: None,
        range: Some([0.0, 1.0]),
    })
    .unwrap();
    let picture = thumbnail(&[200, 10, 10, 10, 10, 200], 1, 2).unwrap();
    Page::new("Evaluation")
        .project("MLE-Star")
        .subtitle("run 7")
        .badge(Badge::bad("FAIL"))
        .fact("seed", "42")
        .section(
            Section::new("Overview")
                .intro("Where the run stands.")
                .block(vec![
                    StageStep::new(1, "Situation analysis", Badge::good("PASS"))
                        .note("2.1 s")
                        .href("1-situation-analysis/report.html"),
                    StageStep::new(2, "Task definition", Badge::neutral("not run")),
                ])
                .block(vec![
                    KeyFigure::new("accuracy", "0.8312")
                        .unit("fraction")
                        .interval("95%: 0.8237 to 0.8384")
                        .badge(Badge::bad("FAIL")),
                ])
                .block(Callout::warning("Look", "at this"))
                .block(gate()),
        )
        .section(
            Section::new("Classes")
                .block(Block::columns([
                    ChartFigure::new(chart)
                        .caption("Whiskers are absent.")
                        .into(),
                    Table::new("Recall of each class")
                        .column(Column::text("class"))
                        .column(Column::number("recall", "fraction"))
                        .column(Column::text("status"))
                        .row(
                            Row::new([
                                Cell::from("cat"),
                                Cell::from("0.5000"),
                                Badge::bad("low").into(),
                            ])
                            .highlight(Tone::Bad),
                        )
                        .row(Row::new([Cell::Code("dog".to_string()), Cell::Empty]))
                        .note("Of the test images.")
                        .into(),
                ]))
                .block(
                    PictureGrid::new("Mistakes").picture(
                        Picture::new(picture, "a cat on a mat")
                            .truth("cat")
                            .predicted("dog")
                            .confidence(0.83)
                            .caption("test #3"),
                    ),
                ),
        )
        .section(
            Section::new("Reference")
                .block(Block::heading("Set-up"))
                .block(Block::paragraph("A paragraph."))
                .block(Block::list(["one", "two"]))
                .block(vec![Definition::new("seed", "42")])
                .block(Code::new("a = 1\nb = 2").caption("run.toml"))
                .block(vec![
                    Link::new("predictions", "5 evaluation/predictions.csv").note("rows"),
                ]),
        )
        .footer("The end.")
}

/// Line breaks between tags make differences readable; the style sheet and the shapes of charts have their own
/// tests.
fn normalised(html: &str) -> String {
    let cut = |text: &str, from: &str, to: &str, with: &str| {
        let start = text.find(from).unwrap() + from.len();
        let end = start + text[start..].find(to).unwrap();
        format!("{}{with}{}", &text[..start], &text[end..])
    };
    let html = cut(html, "<style>", "</style>", "...");
    let html = cut(&html, "</desc>", "</svg>", "...");
    let html = cut(&html, "data:image/png;base64,", "\"", "...");
    html.replace("><", ">\n<")
}

fn everything() -> (String, Document) {
    let html = page_with_everything().render();
    let document = parse(&html).unwrap();
    (html, document)
}

#[test]
fn the_page_is_as_it_was() {
    let (html, _) = everything();
    insta::assert_snapshot!(normalised(&html));
}

#[test]
fn a_verdict_filled_in_later_is_good_markup() {
    let header = VerdictHeader {
        stage: gate(),
        run: gate().status(),
        unmet_elsewhere: vec![
            Link::new("2 Task <definition>", "../2/a.html"),
            Link::new("6 Refinement (has not run)", ""),
        ],
        summary: Link::new("Summary of the run", "../summary.html"),
        previous: Some(Link::new("4 Implementation", "../4/a.html")),
        next: None,
    };
    let (page, _) = everything();
    let filled = header.fill(&page).unwrap();
    let document = parse(&filled).unwrap();
    for text in [
        "message of accuracy",
        "2 Task <definition>",
        " criteria met",
    ] {
        assert!(document.has_text(text), "{text} is not there");
    }
    let before = parse(&page).unwrap();
    let links = |document: &Document| document.named("a").count();
    assert_eq!(links(&document), links(&before) + 3);
}

#[test]
fn the_page_asks_for_nothing_from_elsewhere() {
    let (html, document) = everything();
    assert_eq!(document.named("script").count(), 0);
    for element in &document.elements {
        if let Some(source) = element.attribute("src") {
            assert!(source.starts_with("data:image/"), "{source}");
        }
        assert!(
            !element
                .attributes
                .iter()
                .any(|(key, _)| key.starts_with("on"))
        );
    }
    for link in document.named("link") {
        assert_eq!(link.attribute("href"), Some("data:,"));
    }
    let style_start = html.find("<style>").unwrap();
    let style = &html[style_start..html.find("</style>").unwrap()];
    assert!(!style.contains("url(") && !style.contains("@import"));
    assert!(style.contains("prefers-color-scheme:dark") && style.contains("@media print"));
}

#[test]
fn the_page_can_be_read_without_seeing_it() {
    let (_, document) = everything();
    let html = document.named("html").next().unwrap();
    assert_eq!(html.attribute("lang"), Some("en"));
    assert_eq!(document.named("h1").count(), 1);
    assert_eq!(document.named("main").count(), 1);
    let captions = document.named("caption").count();
    assert_eq!(captions, document.named("table").count());
    for head in document.named("th") {
        assert_eq!(head.attribute("scope"), Some("col"));
    }
    for image in document.named("img") {
        assert!(image.attribute("alt").is_some_and(|alt| !alt.is_empty()));
    }
    for svg in document.named("svg") {
        assert_eq!(svg.attribute("role"), Some("img"));
        assert!(
            svg.attribute("aria-label")
                .is_some_and(|label| !label.is_empty())
        );
    }
    let mut level = 0;
    for element in &document.elements {
        let heading = element
            .name
            .strip_prefix('h')
            .and_then(|text| text.parse::<u32>().ok());
        if let Some(heading) = heading {
            assert!(heading <= level + 1, "h{heading} after h{level}");
            level = heading;
        }
    }
}

#[test]
fn anchors_lead_to_sections() {
    let (_, document) = everything();
    let ids: Vec<&str> = document
        .elements
        .iter()
        .filter_map(|e| e.attribute("id"))
        .collect();
    for (index, id) in ids.iter().enumerate() {
        assert!(!ids[..index].contains(id), "{id} twice");
    }
    let anchors = document
        .named("a")
        .filter_map(|a| a.attribute("href")?.strip_prefix('#'));
    let anchors: Vec<&str> = anchors.collect();
    assert_eq!(anchors, ["content", "overview", "classes", "reference"]);
    assert!(anchors.iter().all(|anchor| ids.contains(anchor)));
}

#[test]
fn verdicts_show_value_limit_margin_and_remedy() {
    let (_, document) = everything();
    for text in [
        "0.8312",
        "0.8237",
        "≥ 0.8500",
        "-0.0188",
        "11.1 MB",
        "≤ 50 MB",
        "= yes",
        "improve accuracy",
        "predictions.csv",
        "MISSING",
        "PASS",
        "metrics.json",
        "0.0100",
    ] {
        assert!(document.has_text(text), "{text}");
    }
    assert!(
        !document.has_text("improve model_size"),
        "a met criterion needs no remedy"
    );
}

#[test]
fn rows_that_are_short_or_long_keep_the_table_rectangular() {
    let table = Table::new("t")
        .column(Column::text("a"))
        .column(Column::text("b"))
        .row(Row::new(["1"]))
        .row(Row::new(["1", "2", "3"]))
        .row(Row::new(Vec::<Cell>::new()));
    let html = Page::new("p")
        .section(Section::new("s").block(table))
        .render();
    let document = parse(&html).unwrap();
    assert_eq!(document.named("th").count(), 3);
    assert_eq!(document.named("td").count(), 9);
}

#[test]
fn empty_blocks_are_still_a_page() {
    let section = Section::new("")
        .block(Table::new(""))
        .block(PictureGrid::new(""))
        .block(Vec::<StageVerdict>::new())
        .block(Vec::<KeyFigure>::new())
        .block(Vec::<StageStep>::new())
        .block(Vec::<Link>::new())
        .block(Block::columns([]))
        .block(StageVerdict {
            stage: String::new(),
            verdicts: Vec::new(),
        });
    let html = Page::new("").section(section).render();
    let document = parse(&html).unwrap();
    assert!(document.has_text("No images."));
    assert!(document.has_text("This stage has no criteria."));
    assert!(parse(&Page::default().render()).is_ok());
}
