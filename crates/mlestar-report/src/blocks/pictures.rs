use maud::{Markup, html};

use crate::format;

/// One image of a [`PictureGrid`].
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// `data:image/...;base64,...`, see [`thumbnail`](crate::thumbnail). Anything else is not shown, so that a
    /// page never requests another file.
    pub data_uri: String,
    /// A description of the image for readers who cannot see it.
    pub alt: String,
    /// Its origin, or what was done to it; may be empty.
    pub caption: String,
    /// The class of its label.
    pub truth: Option<String>,
    /// The predicted class.
    pub predicted: Option<String>,
    /// Probability (0 to 1) of the predicted class.
    pub confidence: Option<f64>,
}

impl Picture {
    /// An image with its text alternative.
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

    /// The origin of the image, or what was done to it.
    pub fn caption(mut self, caption: impl Into<String>) -> Self {
        self.caption = caption.into();
        self
    }

    /// The class of its label.
    pub fn truth(mut self, class: impl Into<String>) -> Self {
        self.truth = Some(class.into());
        self
    }

    /// The predicted class.
    pub fn predicted(mut self, class: impl Into<String>) -> Self {
        self.predicted = Some(class.into());
        self
    }

    /// Probability (0 to 1) of the predicted class.
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
                    // Images stored pixel by pixel are shown that way.
                    img class=[self.data_uri.starts_with("data:image/png").then_some("pixels")]
                        src=(self.data_uri) alt=(self.alt) loading="lazy";
                } @else {
                    span class="no-picture" role="img" aria-label=(self.alt) { "no image" }
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
    /// What the images have in common.
    pub caption: String,
    /// The images, in reading order.
    pub pictures: Vec<Picture>,
}

impl PictureGrid {
    /// A grid without images.
    pub fn new(caption: impl Into<String>) -> Self {
        Self {
            caption: caption.into(),
            pictures: Vec::new(),
        }
    }

    /// Adds an image.
    pub fn picture(mut self, picture: Picture) -> Self {
        self.pictures.push(picture);
        self
    }

    /// Adds images.
    pub fn pictures(mut self, pictures: impl IntoIterator<Item = Picture>) -> Self {
        self.pictures.extend(pictures);
        self
    }

    pub(crate) fn render(&self) -> Markup {
        html! {
            figure class="card pictures" {
                @if !self.caption.is_empty() { figcaption { (self.caption) } }
                @if self.pictures.is_empty() {
                    p class="muted" { "No images." }
                } @else {
                    ul { @for picture in &self.pictures { (picture.render()) } }
                }
            }
        }
    }
}
