//! The part of a page's header that says how gates were judged, filled in after the page was written.

use maud::{Markup, html};
use mlestar_gates::{StageVerdict, Status, Verdict};
use std::borrow::Cow;
use std::ops::Range;

use crate::blocks::{Badge, Link};

/// Where the part begins in every page.
const BEGIN: &str = "<!-- verdict -->";
/// Where it ends.
const END: &str = "<!-- /verdict -->";
/// How many unmet criteria are written out; the summary has all of them.
const MOST_SHOWN: usize = 4;

/// What the header of a stage's page says about its gate and about the run that it belongs to.
///
/// A page is written before its gate is judged, and the verdict can change later, with a new limit for
/// example. Therefore a page has one delimited part for it, which [`fill`](VerdictHeader::fill) replaces and
/// which [`without_verdict`] takes out.
///
/// ```
/// use mlestar_gates::{StageVerdict, Status};
/// use mlestar_report::{Link, Page, VerdictHeader, without_verdict};
///
/// let page = Page::new("Evaluation").render();
/// let header = VerdictHeader {
///     stage: StageVerdict { stage: "evaluation".into(), verdicts: Vec::new() },
///     run: Status::Fail,
///     unmet_elsewhere: vec![Link::new("6 Refinement", "../6-refinement/refinement_report.html")],
///     summary: Link::new("Summary of the run", "../summary.html"),
///     previous: None,
///     next: None,
/// };
/// let filled = header.fill(&page).expect("every page has the part");
/// assert!(filled.contains("6 Refinement"));
/// assert_eq!(without_verdict(filled.as_bytes()), without_verdict(page.as_bytes()));
/// ```
#[derive(Debug, Clone)]
pub struct VerdictHeader {
    /// The verdicts of the page's own stage.
    pub stage: StageVerdict,
    /// The status of the whole run.
    pub run: Status,
    /// The other stages whose gates are not met.
    pub unmet_elsewhere: Vec<Link>,
    /// The page about the whole run.
    pub summary: Link,
    /// The page of the stage before; none for the first. One without a page has an empty path.
    pub previous: Option<Link>,
    /// The page of the stage after; none for the last. One without a page has an empty path.
    pub next: Option<Link>,
}

impl VerdictHeader {
    /// `page` with this in its header, in place of what stood there; `None` for a text without the part,
    /// which is no page of this crate, or an altered one.
    pub fn fill(&self, page: &str) -> Option<String> {
        let inner = inner(page.as_bytes())?;
        let mut filled = page.to_owned();
        filled.replace_range(inner, &self.render().into_string());
        Some(filled)
    }

    fn render(&self) -> Markup {
        let counts = self.stage.counts();
        let unmet: Vec<_> = self.stage.unmet().collect();
        html! {
            section class="gate" aria-label="Verdict" {
                p class="gate-line" {
                    (Badge::from(self.stage.status()).render())
                    span { "Gate of this stage: " (counts.pass) " of " (counts.total()) " criteria met" }
                    span class="gate-run" { "Run " (Badge::from(self.run).render()) }
                }
                @if !unmet.is_empty() {
                    ul class="gate-unmet" {
                        @for (index, verdict) in unmet.iter().take(MOST_SHOWN).enumerate() {
                            li {
                                strong { (verdict.status.as_str()) } " " (verdict.message)
                                @if let Some(remedy) = new_remedy(&unmet, index) {
                                    span class="remedy" { "What to do: " (remedy) }
                                }
                            }
                        }
                        @if unmet.len() > MOST_SHOWN {
                            li { "and " (unmet.len() - MOST_SHOWN) " more, all in the summary" }
                        }
                    }
                }
                @if !self.unmet_elsewhere.is_empty() {
                    p class="gate-elsewhere" {
                        "Not met elsewhere: "
                        @for (index, link) in self.unmet_elsewhere.iter().enumerate() {
                            @if index > 0 { ", " }
                            (link_or_text(link))
                        }
                    }
                }
                @if !self.stage.verdicts.is_empty() {
                    details {
                        summary { "Criteria and limits" }
                        ul { @for verdict in &self.stage.verdicts { li { (verdict.message) } } }
                    }
                }
                p class="gate-links" {
                    @if let Some(link) = &self.previous { span { "← " (link_or_text(link)) } }
                    (link_or_text(&self.summary))
                    @if let Some(link) = &self.next { span { (link_or_text(link)) " →" } }
                }
            }
        }
    }
}

/// What to do about an unmet criterion, if neither its message nor the criterion before it says so.
fn new_remedy<'a>(unmet: &[&'a Verdict], index: usize) -> Option<&'a str> {
    let remedy = unmet[index].criterion.remedy.as_str();
    let before = index
        .checked_sub(1)
        .map(|index| unmet[index].criterion.remedy.as_str());
    let is_new =
        !remedy.is_empty() && before != Some(remedy) && !unmet[index].message.contains(remedy);
    is_new.then_some(remedy)
}

fn link_or_text(link: &Link) -> Markup {
    match link.path.is_empty() {
        true => html! { span class="muted" { (link.text) } },
        false => link.render(),
    }
}

/// The part with nothing in it, as a page is written.
pub(crate) fn empty() -> String {
    format!("{BEGIN}{END}")
}

/// The text of a page without what its verdict part holds, which is what stays the same however often the
/// gates are judged. A text that does not have the part exactly once is given back whole.
pub fn without_verdict(page: &[u8]) -> Cow<'_, [u8]> {
    match inner(page) {
        Some(inner) => {
            let mut rest = page[..inner.start].to_vec();
            rest.extend_from_slice(&page[inner.end..]);
            Cow::Owned(rest)
        }
        None => Cow::Borrowed(page),
    }
}

/// What stands between the two marks, each of which must be there once.
fn inner(page: &[u8]) -> Option<Range<usize>> {
    let begin = only(page, BEGIN.as_bytes())? + BEGIN.len();
    let end = only(page, END.as_bytes())?;
    (begin <= end).then_some(begin..end)
}

/// Where `mark` is, if it is there exactly once.
fn only(page: &[u8], mark: &[u8]) -> Option<usize> {
    let mut places = page
        .windows(mark.len())
        .enumerate()
        .filter(|(_, window)| *window == mark)
        .map(|(place, _)| place);
    match (places.next(), places.next()) {
        (Some(place), None) => Some(place),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Page, Section};

    fn header(n_unmet: usize) -> VerdictHeader {
        use mlestar_gates::{Criterion, Evidence, Limit, Unit, judge};
        let criterion = Criterion {
            id: "accuracy".into(),
            title: "accuracy <of> & all".into(),
            limit: Limit::AtLeast(0.9),
            unit: Unit::Fraction,
            remedy: "train longer".into(),
        };
        let verdict = judge(&criterion, Evidence::missing("a.json", "it did not run"));
        VerdictHeader {
            stage: StageVerdict {
                stage: "evaluation".into(),
                verdicts: vec![verdict; n_unmet],
            },
            run: Status::Fail,
            unmet_elsewhere: Vec::new(),
            summary: Link::new("Summary of the run", "../summary.html"),
            previous: Some(Link::new("4 Implementation", "../4/a.html")),
            next: Some(Link::new("6 Refinement", "")),
        }
    }

    #[test]
    fn filling_changes_the_part_and_nothing_else() {
        let page = Page::new("Evaluation").section(Section::new("A")).render();
        assert!(without_verdict(page.as_bytes()).len() == page.len());
        let first = header(2).fill(&page).unwrap();
        let second = header(9).fill(&first).unwrap();
        assert_ne!(first, second);
        assert_eq!(header(2).fill(&second).unwrap(), first);
        for filled in [&first, &second] {
            assert_eq!(&*without_verdict(filled.as_bytes()), page.as_bytes());
        }
        assert!(second.contains("and 5 more, all in the summary"));
        // The same advice once.
        assert_eq!(second.matches("train longer").count(), 1);
        assert!(second.contains("accuracy &lt;of&gt; &amp; all"));
        assert!(second.contains("href=\"../summary.html\"") && second.contains("← "));
        // A stage without a page is named, but no link.
        assert!(second.contains("<span class=\"muted\">6 Refinement</span> →"));
    }

    #[test]
    fn an_edit_outside_of_the_part_or_of_its_marks_is_seen() {
        let page = header(1).fill(&Page::new("Evaluation").render()).unwrap();
        let bytes = |text: &str| without_verdict(text.as_bytes()).into_owned();
        let whole = bytes(&page);
        assert_eq!(
            bytes(&page.replace("criteria met", "criteria passed")),
            whole
        );
        for edited in [
            page.replace("<h1>Evaluation</h1>", "<h1>Evaluatiom</h1>"),
            page.replace(END, ""),
            page.replace(BEGIN, ""),
            // A mark that was moved, so that more of the page lies between the two.
            page.replace(BEGIN, "")
                .replace("<h1>", &format!("{BEGIN}<h1>")),
            // A second part somewhere else.
            page.replace("<h1>", &format!("{}<h1>", empty())),
        ] {
            assert_ne!(edited, page);
            assert_ne!(bytes(&edited), whole, "{edited}");
        }
    }

    #[test]
    fn what_is_no_page_is_left_alone() {
        for text in ["", "<html></html>", "<!-- /verdict --><!-- verdict -->"] {
            assert!(header(1).fill(text).is_none(), "{text}");
            assert_eq!(&*without_verdict(text.as_bytes()), text.as_bytes());
        }
    }
}
