//! The page the demo opens on: the dashboard, and beside it the simulated calendars.
//!
//! It only frames the two. Sign-in tokens come behind the `#` of its address, which no server sees, and
//! are handed on to the dashboard.

use poem::endpoint::make_sync;
use poem::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY};
use poem::{Response, Route, get};
use url::Url;

const PAGE: &str = include_str!("page/stage.html");
const STYLE: &str = include_str!("page/stage.css");
const SCRIPT: &str = include_str!("page/stage.js");
/// Where the page names the simulator.
const SIMULATOR: &str = "{simulator}";

/// Adds `/demo` and its files.
pub(super) fn beside(pages: Route, simulator: &Url) -> Route {
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; frame-src 'self' {}; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        simulator.origin().ascii_serialization()
    );
    let file = |content_type: &'static str, body: String| {
        let policy = policy.clone();
        get(make_sync(move |_| {
            Response::builder()
                .content_type(content_type)
                .header(CONTENT_SECURITY_POLICY, policy.clone())
                .header(CACHE_CONTROL, "no-cache")
                .body(body.clone())
        }))
    };
    let html = PAGE.replace(SIMULATOR, simulator.as_str());
    pages
        .at("/demo", file("text/html; charset=utf-8", html))
        .at(
            "/demo/stage.css",
            file("text/css; charset=utf-8", STYLE.to_owned()),
        )
        .at(
            "/demo/stage.js",
            file("text/javascript; charset=utf-8", SCRIPT.to_owned()),
        )
}
