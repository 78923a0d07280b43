//! What every kind of answer says to browsers: what may run, frame, be guessed, be told and be kept.

use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use crate::support::{Reply, Setup, TestDaemon};

/// The parts of an answer's policy.
fn policy(reply: &Reply) -> Vec<String> {
    let policy = reply.header("content-security-policy");
    let parts = policy.expect("a policy").split(';');
    parts.map(|part| part.trim().to_owned()).collect()
}

/// One answer of each kind, and its name.
async fn answers(daemon: &TestDaemon) -> Vec<(String, Reply)> {
    let coach = Uuid::new_v4();
    let (nobody, own) = (daemon.nobody(), daemon.coach(coach));
    let mut answers = Vec::new();
    for path in [
        "/dashboard",
        "/dashboard/",
        "/dashboard/app.js",
        "/dashboard/style.css",
        "/dashboard/icon.svg",
        "/dashboard/none.js",
        "/docs",
        "/openapi.json",
        "/openapi.yaml",
        "/health/live",
        "/health/ready",
        "/metrics",
        "/nowhere",
        "queue",
        "callback",
        "callback?error=access_denied&state=unknown",
        "connections/no-id",
    ] {
        answers.push((path.to_owned(), nobody.get(path).await));
    }
    for (method, path) in [
        (Method::GET, format!("connect/google/{coach}")),
        (Method::GET, format!("connect/google/{coach}?redirect=true")),
        (Method::GET, format!("connections/{coach}")),
        (Method::GET, "queue".to_owned()),
        (Method::PATCH, "queue".to_owned()),
        (Method::POST, format!("connections/{coach}/sync")),
    ] {
        let reply = own.send(method.clone(), &path, None).await;
        answers.push((format!("{method} {path}"), reply));
    }
    let bad = own.put(&format!("connections/{coach}"), &json!([])).await;
    answers.push(("a bad body".to_owned(), bad));
    let preflight = [
        ("origin", "https://evil.example"),
        ("access-control-request-method", "GET"),
    ];
    let preflight = nobody.send_with(Method::OPTIONS, "queue", &preflight, None);
    answers.push(("a preflight".to_owned(), preflight.await));
    answers
}

#[tokio::test]
async fn every_answer_forbids_foreign_framing_sniffing_referrers_and_foreign_scripts() {
    let daemon = TestDaemon::start().await;
    for (what, reply) in answers(&daemon).await {
        let what = format!("{what} ({})", reply.status);
        assert_eq!(
            reply.header("x-content-type-options"),
            Some("nosniff"),
            "{what}"
        );
        assert_eq!(
            reply.header("referrer-policy"),
            Some("no-referrer"),
            "{what}"
        );
        let policy = policy(&reply);
        // The page may be framed by what shares its origin; nothing else by anybody.
        let is_of_page = what.starts_with("/dashboard") && reply.status == 200;
        let framed_by = if is_of_page { "'self'" } else { "'none'" };
        for part in [
            "default-src 'none'",
            &format!("frame-ancestors {framed_by}"),
            "base-uri 'none'",
            "form-action 'none'",
        ] {
            assert!(policy.iter().any(|one| one == part), "{what}: {policy:?}");
        }
        let scripts = policy.iter().find(|part| part.starts_with("script-src"));
        let scripts = scripts.map_or("", String::as_str);
        assert!(!scripts.contains("unsafe"), "{what}: {scripts}");
        if what.starts_with("/dashboard") {
            let styles = policy.iter().any(|part| part == "style-src 'self'");
            assert_eq!(styles, reply.status == 200, "{what}");
            assert!(!policy.iter().any(|part| part.contains("unsafe")), "{what}");
        } else if !what.starts_with("/docs") && reply.status != 404 {
            assert_eq!(scripts, "", "{what}");
        }
        // What is somebody's own is in no cache; what is everybody's need not be.
        let is_public = ["/dashboard", "/docs", "/openapi", "/nowhere"];
        if !is_public.iter().any(|path| what.starts_with(path)) {
            assert_eq!(reply.header("cache-control"), Some("no-store"), "{what}");
        }
    }
}

#[tokio::test]
async fn the_cookie_of_a_sign_in_is_for_that_alone() {
    for (public_url, path, secure) in [
        ("http://localhost:3001", "/api/calendar-integration", ""),
        (
            "https://calendar.example.org/below",
            "/below/api/calendar-integration",
            "; Secure",
        ),
    ] {
        let daemon = Setup::default().set("PUBLIC_URL", public_url).start().await;
        let coach = Uuid::new_v4();
        for query in ["", "?redirect=true"] {
            let address = format!("connect/google/{coach}{query}");
            let reply = daemon.coach(coach).get(&address).await;
            let cookie = reply.header("set-cookie").expect("a cookie");
            let (value, attributes) = cookie.split_once(';').expect("attributes");
            assert!(value.starts_with("calendar_sign_in="));
            assert_eq!(
                attributes,
                format!(" Path={path}; Max-Age=600; HttpOnly; SameSite=Lax{secure}")
            );
        }
        // Nothing else sets one.
        for (what, reply) in answers(&daemon).await {
            let is_start = what.contains("connect/");
            assert_eq!(reply.header("set-cookie").is_some(), is_start, "{what}");
        }
    }
}

/// RFC 9700, section 4.12: with 307 a browser would send the same request again, elsewhere.
#[tokio::test]
async fn a_sign_in_redirects_so_that_nothing_is_sent_again() {
    let daemon = TestDaemon::start().await;
    let coach = Uuid::new_v4();
    let path = format!("connect/google/{coach}?redirect=true");
    let begun = daemon.coach(coach).get(&path).await;
    assert_eq!(begun.status, 302);
    let back = daemon.nobody().get("callback?code=4/0&state=unknown").await;
    assert_eq!(back.status, 303);
    let end = back.header("location").expect("an address");
    assert!(!end.contains("code=4"), "{end}");
}
