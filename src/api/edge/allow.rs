//! Which methods an address knows: what RFC 9110, section 15.5.6, wants said beside a 405.

use std::collections::BTreeMap;

use poem::PathPattern;
use poem::http::HeaderValue;
use serde_json::Value;

pub(super) struct Allow {
    by_route: BTreeMap<String, HeaderValue>,
}

impl Allow {
    /// Every operation is in the OpenAPI document.
    pub(super) fn of_document(document: &str) -> Self {
        let document: Value = serde_json::from_str(document).unwrap_or_default();
        let paths = document["paths"].as_object().into_iter().flatten();
        let by_route = paths
            .filter_map(|(path, operations)| Some((route(path), methods(operations)?)))
            .collect();
        Self { by_route }
    }

    /// Beside the operations there are pages alone, which are only read.
    pub(super) fn at(&self, route: Option<&PathPattern>) -> HeaderValue {
        route
            .and_then(|route| self.by_route.get(&*route.0))
            .cloned()
            .unwrap_or(HeaderValue::from_static("GET, HEAD"))
    }
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
