//! The web page for coaches and operators: static files inside the binary, served at `/dashboard`.
//!
//! Owns the files and the headers they are served with. The page is a client of the public API like
//! any other: it gets nothing that the API does not answer, and what it shows and does is in
//! `assets/`. There is no build step; what is in the repository is what the browser runs.
//!
//! **Why no framework.** There are two views of a few lists and four dialogs. What a framework would do
//! for them the platform does by now: modules, `dialog`, form controls, custom properties, `fetch`
//! streams. What is left is keeping nodes while their data changes, which is `dom.js`, 60 lines. So
//! whoever inherits the page reads plain functions, debugs the very file they wrote, and has nothing to
//! upgrade.
//!
//! `app.js` opens a view: `coach.js` (its cards in `card.js`, kept live by `live.js`) or `operator.js`,
//! which is fetched only by those who open it. `api.js` is the API, `texts.js` every text a person
//! reads: a translation is a copy of that one file.

use data_encoding::HEXLOWER;
use poem::error::NotFoundError;
use poem::http::{HeaderMap, StatusCode, header};
use poem::web::Path;
use poem::{Response, Route, get, handler};
use sha2::{Digest, Sha256};

/// Everything comes from here, and nothing that is not a file of ours runs. The page talks to its
/// own origin only; forms are handled by script and sent nowhere. Nobody else may frame it: a sign-in
/// at a provider needs our cookie, which browsers keep from pages inside another site's.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

struct Asset {
    name: &'static str,
    content_type: &'static str,
    body: &'static str,
}

const PAGE: Asset = Asset {
    name: "",
    content_type: "text/html; charset=utf-8",
    body: include_str!("assets/page.html"),
};

const fn script(name: &'static str, body: &'static str) -> Asset {
    Asset {
        name,
        content_type: "text/javascript; charset=utf-8",
        body,
    }
}

const ASSETS: &[Asset] = &[
    Asset {
        name: "style.css",
        content_type: "text/css; charset=utf-8",
        body: include_str!("assets/style.css"),
    },
    Asset {
        name: "icon.svg",
        content_type: "image/svg+xml",
        body: include_str!("assets/icon.svg"),
    },
    script("api.js", include_str!("assets/api.js")),
    script("app.js", include_str!("assets/app.js")),
    script("appointments.js", include_str!("assets/appointments.js")),
    script("card.js", include_str!("assets/card.js")),
    script("chart.js", include_str!("assets/chart.js")),
    script("coach.js", include_str!("assets/coach.js")),
    script("confirm.js", include_str!("assets/confirm.js")),
    script("dom.js", include_str!("assets/dom.js")),
    script("drill.js", include_str!("assets/drill.js")),
    script("figures.js", include_str!("assets/figures.js")),
    script("format.js", include_str!("assets/format.js")),
    script("live.js", include_str!("assets/live.js")),
    script("metrics.js", include_str!("assets/metrics.js")),
    script("notices.js", include_str!("assets/notices.js")),
    script("operator.js", include_str!("assets/operator.js")),
    script("preview.js", include_str!("assets/preview.js")),
    script("session.js", include_str!("assets/session.js")),
    script("settings.js", include_str!("assets/settings.js")),
    script("standing.js", include_str!("assets/standing.js")),
    script("stream.js", include_str!("assets/stream.js")),
    script("texts.js", include_str!("assets/texts.js")),
    script("tree.js", include_str!("assets/tree.js")),
];

/// `/dashboard` and its files. No token is needed for them: they hold nothing of anybody.
pub fn routes() -> Route {
    Route::new()
        .at("/dashboard", get(serve_page))
        .at("/dashboard/", get(to_page))
        .at("/dashboard/:name", get(serve_asset))
}

#[handler]
fn serve_page(headers: &HeaderMap) -> Response {
    PAGE.answer(headers)
}

/// The page names its files relative to an address without a slash at its end. The way there is
/// relative too: a proxy may have put us below a path of its own.
#[handler]
fn to_page() -> Response {
    Response::builder()
        .status(StatusCode::PERMANENT_REDIRECT)
        .header(header::LOCATION, "../dashboard")
        .finish()
}

#[handler]
fn serve_asset(Path(name): Path<String>, headers: &HeaderMap) -> poem::Result<Response> {
    ASSETS
        .iter()
        .find(|asset| asset.name == name)
        .map(|asset| asset.answer(headers))
        .ok_or_else(|| NotFoundError.into())
}

impl Asset {
    /// Browsers keep a copy and ask each time whether it is still the one: a new version of the
    /// daemon shows at once, and nothing is sent twice.
    fn answer(&self, request: &HeaderMap) -> Response {
        let tag = self.tag();
        let is_known = request
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|known| known.trim().trim_start_matches("W/") == tag);
        let answer = Response::builder()
            .header(header::ETAG, tag)
            .header(header::CACHE_CONTROL, "no-cache")
            .header(header::CONTENT_SECURITY_POLICY, POLICY)
            .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
            .header(header::REFERRER_POLICY, "no-referrer")
            .header("cross-origin-opener-policy", "same-origin")
            .header("cross-origin-resource-policy", "same-origin");
        if is_known {
            answer.status(StatusCode::NOT_MODIFIED).finish()
        } else {
            answer.content_type(self.content_type).body(self.body)
        }
    }

    fn tag(&self) -> String {
        let digest = Sha256::digest(self.body.as_bytes());
        format!("\"{}\"", HEXLOWER.encode(&digest[..12]))
    }
}

#[cfg(test)]
mod tests {
    use poem::{Endpoint, Request};

    use super::*;
    use crate::oauth::CallbackError;

    async fn visit(path: &str, known: Option<&str>) -> Response {
        let mut request = Request::builder().uri_str(path);
        if let Some(known) = known {
            request = request.header(header::IF_NONE_MATCH, known);
        }
        routes().get_response(request.finish()).await
    }

    #[tokio::test]
    async fn page_and_files_are_served_with_a_strict_policy() {
        let files = ASSETS
            .iter()
            .map(|asset| format!("/dashboard/{}", asset.name));
        for path in files.chain(["/dashboard".to_owned()]) {
            let response = visit(&path, None).await;
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            assert_eq!(response.header("content-security-policy"), Some(POLICY));
            assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
        }
        assert_eq!(
            visit("/dashboard/mod.rs", None).await.status(),
            StatusCode::NOT_FOUND
        );
        let slash = visit("/dashboard/", None).await;
        assert_eq!(slash.header("location"), Some("../dashboard"));
    }

    #[tokio::test]
    async fn a_copy_that_is_still_right_is_not_sent_again() {
        let first = visit("/dashboard/app.js", None).await;
        let tag = first.header("etag").expect("a tag").to_owned();
        let again = visit("/dashboard/app.js", Some(&tag)).await;
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        let old = visit("/dashboard/app.js", Some("\"old\"")).await;
        assert_eq!(old.status(), StatusCode::OK);
    }

    #[test]
    fn nothing_in_the_page_needs_more_than_the_policy_allows() {
        let page = PAGE.body;
        assert!(!page.contains("<style") && !page.contains(" style="));
        for handler in ["onclick=", "onload=", "onsubmit=", "onerror="] {
            assert!(!page.contains(handler));
        }
        let scripts = page.matches("<script").count();
        assert_eq!(
            scripts,
            page.matches("<script type=\"module\" src=").count()
        );
    }

    #[test]
    fn every_file_that_is_imported_is_served() {
        let is_served = |name: &str| ASSETS.iter().any(|asset| asset.name == name);
        for asset in ASSETS {
            let imports = ["from \"./", "import(\"./"]
                .into_iter()
                .flat_map(|begin| asset.body.split(begin).skip(1))
                .filter_map(|rest| rest.split('"').next());
            for import in imports {
                assert!(is_served(import), "{import}");
            }
        }
        let linked = PAGE.body.split("=\"dashboard/").skip(1);
        for name in linked.filter_map(|rest| rest.split('"').next()) {
            assert!(is_served(name), "{name}");
        }
    }
    /// The keys of the texts that explain how a sign-in failed.
    fn explained() -> Vec<&'static str> {
        let texts = include_str!("assets/texts.js");
        let callback = texts.split_once("\n  callback: {").expect("its texts").1;
        let errors = callback.split_once("\n    errors: {").expect("errors").1;
        let errors = errors.split_once("\n    },").expect("an end").0;
        let keys = errors
            .lines()
            .filter_map(|line| line.trim().split_once(':'));
        keys.map(|(key, _)| key)
            .filter(|key| !key.contains(['"', ' ']))
            .collect()
    }

    #[test]
    fn every_code_of_a_failed_sign_in_is_explained_and_no_other() {
        let mut explained = explained();
        let mut codes = CallbackError::ALL.map(CallbackError::as_str);
        explained.sort_unstable();
        codes.sort_unstable();
        assert_eq!(explained, codes);
    }
}
