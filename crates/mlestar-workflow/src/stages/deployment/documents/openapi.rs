//! The interface of the served model, for generators of clients.

use super::Facts;
use mlestar_export::package::openapi_of;

pub(super) fn text(facts: &Facts<'_>) -> String {
    let description = openapi_of(facts.manifest, facts.served_name());
    format!("{description:#}\n")
}
