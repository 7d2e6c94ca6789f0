use maud::{Markup, html};

use crate::format;

/// One picture of a [`PictureGrid`].
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// `data:image/...;base64,...`, see [`thumbnail`](crate::thumbnail). Anything else is not
    /// shown, so that a page never asks for another file.
    pub data_uri: String,
    /// What the picture shows, for readers who do not see it.
    pub alt: String,
    /// Where it is from, or what was done to it; may be empty.
    pub caption: String,
    /// The class that it has.
    pub truth: Option<String>,
    /// The class that was predicted.
    pub predicted: Option<String>,
    /// Probability (0 to 1) given to the predicted class.
    pub confidence: Option<f64>,
}

impl Picture {
    /// A picture with its text alternative.
    pub fn new(data_uri: impl Into<String>, alt: impl Into<String>) -> Self {
        Self {
            data_uri: data_uri.into(),
            alt: alt.into(),
            caption: String::new(),
            truth: None,
            predicted: None,
            confidence: None,
        }
    }

    /// Where the picture is from, or what was done to it.
    pub fn caption(mut self, caption: impl Into<String>) -> Self {
        self.caption = caption.into();
        self
    }

    /// The class that the picture has.
    pub fn truth(mut self, class: impl Into<String>) -> Self {
        self.truth = Some(class.into());
        self
    }

    /// The class that was predicted.
    pub fn predicted(mut self, class: impl Into<String>) -> Self {
        self.predicted = Some(class.into());
        self
    }

    /// Probability (0 to 1) given to the predicted class.
    pub fn confidence(mut self, probability: f64) -> Self {
        self.confidence = Some(probability);
        self
    }

    fn render(&self) -> Markup {
        let wrong = matches!((&self.truth, &self.predicted), (Some(a), Some(b)) if a != b);
        let tone = match (&self.truth, &self.predicted) {
            (Some(_), Some(_)) if wrong => "bad",
            (Some(_), Some(_)) => "good",
            _ => "neutral",
        };
        html! {
            li class="picture" {
                @if self.data_uri.starts_with("data:image/") {
                    // What is stored pixel by pixel is shown so.
                    img class=[self.data_uri.starts_with("data:image/png").then_some("pixels")]
                        src=(self.data_uri) alt=(self.alt) loading="lazy";
                } @else {
                    span class="no-picture" role="img" aria-label=(self.alt) { "no picture" }
                }
                @if let Some(truth) = &self.truth {
                    span class="truth" title=(truth) { (truth) }
                }
                @if let Some(predicted) = &self.predicted {
                    span class={ "predicted " (tone) } title=(predicted) {
                        @if self.truth.is_some() {
                            span aria-hidden="true" { @if wrong { "✕ " } @else { "✓ " } }
                        }
                        span class="hidden" { "predicted " }
                        (predicted)
                        @if let Some(confidence) = self.confidence {
                            " " span class="confidence" { (format::number(confidence, 2)) }
                        }
                    }
                }
                @if !self.caption.is_empty() { span class="small" title=(self.caption) { (self.caption) } }
            }
        }
    }
}

/// Thumbnails with captions, in rows.
#[derive(Debug, Clone, PartialEq)]
pub struct PictureGrid {
    /// What the pictures have in common.
    pub caption: String,
    /// The pictures, in reading order.
    pub pictures: Vec<Picture>,
}

impl PictureGrid {
    /// A grid without pictures.
    pub fn new(caption: impl Into<String>) -> Self {
        Self {
            caption: caption.into(),
            pictures: Vec::new(),
        }
    }

    /// Adds a picture.
    pub fn picture(mut self, picture: Picture) -> Self {
        self.pictures.push(picture);
        self
    }

    /// Adds pictures.
    pub fn pictures(mut self, pictures: impl IntoIterator<Item = Picture>) -> Self {
        self.pictures.extend(pictures);
        self
    }

    pub(crate) fn render(&self) -> Markup {
        html! {
            figure class="card pictures" {
                @if !self.caption.is_empty() { figcaption { (self.caption) } }
                @if self.pictures.is_empty() {
                    p class="muted" { "No pictures." }
                } @else {
                    ul { @for picture in &self.pictures { (picture.render()) } }
                }
            }
        }
    }
}
