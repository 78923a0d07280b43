//! The operations by their routes: how each is called in the OpenAPI document, and which methods it knows.
//!
//! poem-openapi gives poem routes whose parameters have no names. Everybody else is told the template: the
//! log, the metrics, the traces. The methods are what RFC 9110, section 15.5.6, wants said beside a 405.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use poem::PathPattern;
use poem::http::{HeaderValue, Method};

use crate::api::document;

struct Operations {
    template: String,
    allowed: HeaderValue,
}

static BY_ROUTE: LazyLock<BTreeMap<String, Operations>> = LazyLock::new(|| {
    let mut methods: BTreeMap<String, Vec<Method>> = BTreeMap::new();
    for (template, method) in document::operations() {
        let of_path = methods.entry(template).or_default();
        let can_be_read = method == Method::GET;
        of_path.push(method);
        // What can be read has a HEAD, too.
        of_path.extend(can_be_read.then_some(Method::HEAD));
    }
    let operations = methods.into_iter().filter_map(|(template, methods)| {
        let names: Vec<_> = methods.iter().map(Method::as_str).collect();
        let allowed = HeaderValue::from_str(&names.join(", ")).ok()?;
        Some((route(&template), Operations { template, allowed }))
    });
    operations.collect()
});

/// The template of what was asked for, such as `/health/ready` or `/queue/{id}/retry`.
pub(super) fn template(route: &PathPattern) -> &str {
    let known = BY_ROUTE.get(&*route.0);
    known.map_or(&*route.0, |operations| &operations.template)
}

/// Beside the operations there are pages alone, which are only read.
pub(super) fn allowed_at(route: Option<&PathPattern>) -> HeaderValue {
    route
        .and_then(|route| BY_ROUTE.get(&*route.0))
        .map_or(HeaderValue::from_static("GET, HEAD"), |operations| {
            operations.allowed.clone()
        })
}

/// The path as poem-openapi gives it to poem.
fn route(template: &str) -> String {
    let mut parameters = 0..;
    let parts = template
        .split('/')
        .map(|part| match part.strip_prefix('{') {
            Some(_) => format!(":param{}", parameters.next().unwrap_or(0)),
            None => part.to_owned(),
        });
    parts.collect::<Vec<_>>().join("/")
}
