//! Headers that keep an answer from being used for more than it is.

use poem::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use poem::http::{HeaderMap, HeaderValue};

use crate::api::BASE_PATH;

/// Nothing may run, load or frame what is no page. A page brings its own policy.
const NO_PAGE: &str =
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) fn is_api(path: &str) -> bool {
    path.starts_with(BASE_PATH) || path.starts_with("/health") || path == "/metrics"
}

/// Adds what the answer did not set itself.
pub(super) fn secure(headers: &mut HeaderMap, is_api: bool) {
    let mut set = |name: HeaderName, value| {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    };
    set(X_CONTENT_TYPE_OPTIONS, "nosniff");
    // Addresses of the callback hold a code and a state: they go nowhere else.
    set(REFERRER_POLICY, "no-referrer");
    set(CONTENT_SECURITY_POLICY, NO_PAGE);
    if is_api {
        set(CACHE_CONTROL, "no-store");
    }
}
