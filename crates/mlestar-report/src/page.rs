use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::blocks::{Badge, Block, TRIAL_STYLE};
use crate::verdict_header;

/// The style sheet of every page. It is included in the page, because a page is one file.
const STYLE: &str = include_str!("style.css");

/// A page: a header, sections and a footer, rendered to one self-contained HTML file.
///
/// The file needs no other file: styles and charts are inline, images are data URIs. A script is in it only with a
/// [`TrialTable`](crate::TrialTable), and it can be read without one. It follows the reader's light or dark setting and prints on paper.
///
/// ```
/// use mlestar_report::{Badge, KeyFigure, Page, Section};
///
/// let html = Page::new("Evaluation")
///     .project("MLE-Star")
///     .subtitle("run quickstart")
///     .badge(Badge::good("PASS"))
///     .section(Section::new("Overall").block(vec![
///         KeyFigure::new("accuracy", "0.9612").interval("95%: 0.9521 to 0.9687"),
///     ]))
///     .render();
/// assert!(html.starts_with("<!DOCTYPE html>"));
/// assert!(html.contains("0.9612"));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The title: the largest heading.
    pub title: String,
    /// The name of the project, above the title; may be empty.
    pub project: String,
    /// A line below the title; may be empty.
    pub subtitle: String,
    /// The overall status.
    pub badge: Option<Badge>,
    /// Facts in the header: seed, device, version.
    pub facts: Vec<(String, String)>,
    /// The sections.
    pub sections: Vec<Section>,
    /// The last line; may be empty.
    pub footer: String,
}

/// A section of a [`Page`]: a heading and blocks.
#[derive(Debug, Clone, Default)]
pub struct Section {
    /// Its heading, from which the name of its anchor is made.
    pub title: String,
    /// A line below the heading; may be empty.
    pub intro: String,
    /// Its blocks, from the top.
    pub blocks: Vec<Block>,
}

impl Section {
    /// A section without blocks.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            ..Self::default()
        }
    }

    /// A line below the heading.
    pub fn intro(mut self, text: impl Into<String>) -> Self {
        self.intro = text.into();
        self
    }

    /// Adds a block.
    pub fn block(mut self, block: impl Into<Block>) -> Self {
        self.blocks.push(block.into());
        self
    }

    fn render(&self, id: &str) -> Markup {
        html! {
            section id=(id) aria-labelledby={ (id) "-title" } {
                h2 id={ (id) "-title" } { (self.title) }
                @if !self.intro.is_empty() { p class="intro" { (self.intro) } }
                @for block in &self.blocks { (block.render()) }
            }
        }
    }
}

impl Page {
    /// A page without sections.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            ..Self::default()
        }
    }

    /// The name of the project, above the title.
    pub fn project(mut self, name: impl Into<String>) -> Self {
        self.project = name.into();
        self
    }

    /// A line below the title.
    pub fn subtitle(mut self, text: impl Into<String>) -> Self {
        self.subtitle = text.into();
        self
    }

    /// The overall status.
    pub fn badge(mut self, badge: impl Into<Badge>) -> Self {
        self.badge = Some(badge.into());
        self
    }

    /// Adds a fact to the header.
    pub fn fact(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.facts.push((name.into(), value.into()));
        self
    }

    /// Adds a section.
    pub fn section(mut self, section: Section) -> Self {
        self.sections.push(section);
        self
    }

    /// The last line of the page.
    pub fn footer(mut self, text: impl Into<String>) -> Self {
        self.footer = text.into();
        self
    }

    /// The complete HTML file.
    ///
    /// Equal pages give equal text: it does not depend on the time or the machine.
    pub fn render(&self) -> String {
        let ids = self.section_ids();
        let document = html! {
            (DOCTYPE)
            html lang="en" {
                (self.head())
                body {
                    a class="skip" href="#content" { "Skip to content" }
                    (self.header())
                    @if self.sections.len() >= 3 {
                        nav aria-label="Sections" {
                            ul {
                                @for (section, id) in self.sections.iter().zip(&ids) {
                                    li { a href={ "#" (id) } { (section.title) } }
                                }
                            }
                        }
                    }
                    main id="content" {
                        @for (section, id) in self.sections.iter().zip(&ids) { (section.render(id)) }
                    }
                    @if !self.footer.is_empty() { footer { p { (self.footer) } } }
                }
            }
        };
        document.into_string()
    }

    fn head(&self) -> Markup {
        let title = if self.project.is_empty() {
            self.title.clone()
        } else {
            format!("{} · {}", self.title, self.project)
        };
        html! {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                // An empty icon keeps browsers from asking the server for one.
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(STYLE)) @if self.has_trials() { (PreEscaped(TRIAL_STYLE)) } }
            }
        }
    }

    fn has_trials(&self) -> bool {
        let mut blocks = self.sections.iter().flat_map(|section| &section.blocks);
        blocks.any(|block| matches!(block, Block::Trials(_)))
    }

    fn header(&self) -> Markup {
        html! {
            header {
                @if !self.project.is_empty() { p class="project" { (self.project) } }
                div class="title-line" {
                    h1 { (self.title) }
                    @if let Some(badge) = &self.badge { (badge.render()) }
                }
                @if !self.subtitle.is_empty() { p class="subtitle" { (self.subtitle) } }
                @if !self.facts.is_empty() {
                    dl class="facts" {
                        @for (name, value) in &self.facts {
                            div { dt { (name) } dd { (value) } }
                        }
                    }
                }
                (PreEscaped(verdict_header::empty()))
            }
        }
    }

    /// Anchors made from the titles: lowercase words joined by `-`, numbered where they repeat.
    fn section_ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = Vec::with_capacity(self.sections.len());
        for section in &self.sections {
            let base = slug(&section.title);
            let mut id = base.clone();
            let mut number = 2;
            while ids.contains(&id) || id == "content" {
                id = format!("{base}-{number}");
                number += 1;
            }
            ids.push(id);
        }
        ids
    }
}

fn slug(title: &str) -> String {
    let mut slug = String::new();
    for character in title.chars() {
        if character.is_ascii_alphanumeric() {
            slug.push(character.to_ascii_lowercase());
        } else if !slug.ends_with('-') && !slug.is_empty() {
            slug.push('-');
        }
        if slug.len() >= 60 {
            break;
        }
    }
    let trimmed = slug.trim_end_matches('-');
    if trimmed.is_empty() {
        "section".to_string()
    } else {
        trimmed.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_are_unique_and_plain() {
        let page = Page::new("x")
            .section(Section::new("Per class: recall!"))
            .section(Section::new("Per class recall"))
            .section(Section::new("分類"))
            .section(Section::new("Content"));
        assert_eq!(
            page.section_ids(),
            [
                "per-class-recall",
                "per-class-recall-2",
                "section",
                "content-2"
            ]
        );
    }

    #[test]
    fn equal_pages_render_equally() {
        let page = || Page::new("t").section(Section::new("a").block(Block::paragraph("p")));
        assert_eq!(page().render(), page().render());
    }
}
