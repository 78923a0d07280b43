//! Which methods an address knows: what RFC 9110, section 15.5.6, wants said beside a 405.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use poem::PathPattern;
use poem::http::HeaderValue;
use serde_json::Value;

use crate::api::document;

/// Every operation is in the OpenAPI document.
static BY_ROUTE: LazyLock<BTreeMap<String, HeaderValue>> = LazyLock::new(|| {
    let paths = document::parsed()["paths"]
        .as_object()
        .into_iter()
        .flatten();
    paths
        .filter_map(|(path, operations)| Some((route(path), methods(operations)?)))
        .collect()
});

/// Beside the operations there are pages alone, which are only read.
pub(super) fn allowed_at(route: Option<&PathPattern>) -> HeaderValue {
    route
        .and_then(|route| BY_ROUTE.get(&*route.0))
        .cloned()
        .unwrap_or(HeaderValue::from_static("GET, HEAD"))
}

/// The path as poem-openapi gives it to poem.
fn route(path: &str) -> String {
    let mut parameters = 0..;
    let parts = path.split('/').map(|part| match part.strip_prefix('{') {
        Some(_) => format!(":param{}", parameters.next().unwrap_or(0)),
        None => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("/")
}

/// What can be read has a HEAD, too.
fn methods(operations: &Value) -> Option<HeaderValue> {
    let mut methods = Vec::new();
    for method in operations.as_object()?.keys() {
        methods.push(method.to_ascii_uppercase());
        if method == "get" {
            methods.push("HEAD".to_owned());
        }
    }
    HeaderValue::from_str(&methods.join(", ")).ok()
}
