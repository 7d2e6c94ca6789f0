//! The model that a path names.

use crate::app::App;
use crate::model::ServedModel;
use crate::refusal::Refusal;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use std::collections::HashMap;
use std::sync::Arc;

/// The model of now, if the path names it and, where it names a version, that one.
pub struct ModelPath(pub Arc<ServedModel>);

impl FromRequestParts<Arc<App>> for ModelPath {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        let names = Path::<HashMap<String, String>>::from_request_parts(parts, app).await;
        let Path(names) = names.map_err(|_| Refusal::not_found("the path is no UTF-8"))?;
        let model = app.models.get();
        let differs =
            |key: &str, value: &str| names.get(key).filter(|named| *named != value).cloned();
        if let Some(name) = differs("name", &model.name) {
            return Err(Refusal::not_found(format!(
                "there is no model {name:?}; this server has {:?}",
                model.name
            )));
        }
        if let Some(version) = differs("version", &model.version) {
            return Err(Refusal::not_found(format!(
                "the model {:?} has no version {version:?}; this server has {:?}",
                model.name, model.version
            )));
        }
        Ok(Self(model))
    }
}
