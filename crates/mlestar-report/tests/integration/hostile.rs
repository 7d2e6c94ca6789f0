//! Others choose class names and file names: nothing in them becomes markup.

use mlestar_gates::{Criterion, Evidence, Limit, StageVerdict, Unit, judge};
use mlestar_report::{
    Badge, Block, Callout, Cell, ChartFigure, Code, Column, Definition, KeyFigure, Link, Page,
    Picture, PictureGrid, Row, Section, StageStep, Table,
};

use crate::charts::every_chart;
use crate::markup::parse;

/// A page in which every text is `text`.
pub fn page_of(text: &str) -> Page {
    let criterion = Criterion {
        id: text.to_string(),
        title: text.to_string(),
        limit: Limit::AtLeast(0.5),
        unit: Unit::Other(text.to_string()),
        remedy: text.to_string(),
    };
    let charts = every_chart(&[text.to_string(), "b".to_string()], &[0.25, 0.75], text);
    let mut section = Section::new(text)
        .intro(text)
        .block(Block::heading(text))
        .block(Block::paragraph(text))
        .block(Block::list([text]))
        .block(vec![
            KeyFigure::new(text, text)
                .unit(text)
                .interval(text)
                .badge(Badge::info(text)),
        ])
        .block(
            Table::new(text)
                .column(Column::number(text, text))
                .row(Row::new([
                    Cell::from(text),
                    Cell::Code(text.to_string()),
                    Badge::caution(text).into(),
                    Link::new(text, text).into(),
                ]))
                .note(text),
        )
        .block(
            PictureGrid::new(text).picture(
                Picture::new(text, text)
                    .caption(text)
                    .truth(text)
                    .predicted(text)
                    .confidence(0.5),
            ),
        )
        .block(StageVerdict {
            stage: text.to_string(),
            verdicts: vec![judge(&criterion, Evidence::missing(text, text))],
        })
        .block(Callout::failure(text, text))
        .block(Code::new(text).caption(text))
        .block(vec![
            StageStep::new(1, text, Badge::good(text))
                .note(text)
                .href(text),
        ])
        .block(vec![Link::new(text, text).note(text)])
        .block(vec![Definition::new(text, text)]);
    for svg in charts {
        section = section.block(ChartFigure::new(svg).caption(text));
    }
    Page::new(text)
        .project(text)
        .subtitle(text)
        .badge(Badge::bad(text))
        .fact(text, text)
        .section(section.clone())
        .section(section.clone())
        .section(section)
        .footer(text)
}

#[test]
fn hostile_texts_stay_texts() {
    let plain = parse(&page_of("plain").render()).unwrap();
    let names = |document: &crate::markup::Document| -> Vec<String> {
        let of_text = |name: &str| !["text", "polyline", "circle", "rect", "line"].contains(&name);
        let all = document.elements.iter().map(|element| element.name.clone());
        all.filter(|name| of_text(name)).collect()
    };
    for hostile in [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' onmouseover='alert(1)",
        "</svg></style><script>",
        "]]><!--",
        "&lt;b&gt; &amp; &",
        "</title><b>",
    ] {
        let html = page_of(hostile).render();
        let document = parse(&html).unwrap_or_else(|error| panic!("{hostile}: {error}"));
        assert_eq!(document.named("script").count(), 0);
        assert!(document.has_text(hostile), "{hostile} is shown as it is");
        let of_page: Vec<String> = names(&document);
        assert_eq!(of_page, names(&plain), "{hostile} adds no elements");
        for element in &document.elements {
            assert!(
                !element
                    .attributes
                    .iter()
                    .any(|(key, _)| key.starts_with("on"))
            );
        }
    }
}

#[test]
fn hostile_addresses_become_no_links() {
    for hostile in [
        "javascript:alert(1)",
        " javascript:alert(1)",
        "JAVASCRIPT:x",
        "data:text/html,<b>",
        "//host/x",
    ] {
        let document = parse(&page_of(hostile).render()).unwrap();
        for link in document.named("a") {
            let href = link.attribute("href").unwrap();
            assert!(href.starts_with('#'), "{href}");
        }
        assert_eq!(document.named("img").count(), 0, "no image from {hostile}");
    }
}

#[test]
fn very_long_and_foreign_names_are_drawn() {
    let long = "w".repeat(5000);
    for name in [
        long.as_str(),
        "漢字クラス",
        "🐈\u{200D}⬛",
        "\u{202E}txet",
        "e\u{301}",
        "\0\u{7}\u{1b}[31m",
    ] {
        for svg in every_chart(&[name.to_string(), "b".to_string()], &[0.25, 0.75], name) {
            let document = parse(svg.as_str()).unwrap();
            let controls = |c: char| c.is_control() && c != '\n';
            assert!(!svg.as_str().contains(controls), "{name:?}");
            for (parent, text) in &document.texts {
                let limit = if parent == "text" { 200 } else { usize::MAX };
                assert!(text.chars().count() < limit, "{parent}: {text}");
            }
        }
    }
}
