//! Event bodies: kept as a page of HTML, whatever was sent.

use serde_json::{Value, json};

use crate::simulator::markup;

/// A body as sent, turned into the page that is kept.
pub(super) fn keep(sent: &Value) -> Value {
    let content = sent["content"].as_str().unwrap_or_default();
    let is_html = sent["contentType"]
        .as_str()
        .is_some_and(|kind| kind.eq_ignore_ascii_case("html"));
    let page = match (is_html, content.to_ascii_lowercase().contains("<html")) {
        (true, true) => content.to_owned(),
        (true, false) => page(content),
        (false, _) => page(&format!(
            "<div class=\"PlainText\">{}</div>",
            markup::from_text(content)
        )),
    };
    json!({"contentType": "html", "content": page})
}

fn page(inside: &str) -> String {
    format!(
        "<html>\r\n<head>\r\n<meta http-equiv=\"Content-Type\" content=\"text/html; \
         charset=utf-8\">\r\n</head>\r\n<body>\r\n{inside}\r\n</body>\r\n</html>\r\n"
    )
}

pub(super) fn content(body: Option<&Value>) -> &str {
    body.and_then(|body| body["content"].as_str())
        .unwrap_or_default()
}

/// The body as answered.
pub(super) fn show(body: Option<&Value>, as_text: bool) -> Value {
    let html = content(body);
    if as_text {
        json!({"contentType": "text", "content": markup::to_text(html)})
    } else {
        json!({"contentType": "html", "content": html})
    }
}

pub(super) fn preview(body: Option<&Value>) -> String {
    markup::to_text(content(body)).chars().take(255).collect()
}

/// The page with a Teams join block at its end.
pub(super) fn with_join_block(body: Option<&Value>, join_url: &str) -> Value {
    let html = match content(body) {
        "" => page(""),
        html => html.to_owned(),
    };
    let block = format!(
        "<div>{line}</div>\r\n<div><b>Microsoft Teams meeting</b><br>\r\n\
         <a href=\"{url}\">Join the meeting now</a></div>\r\n<div>{line}</div>\r\n",
        line = "_".repeat(80),
        url = crate::simulator::page::escape(join_url),
    );
    let end = html.rfind("</body>").unwrap_or(html.len());
    let (before, after) = html.split_at(end);
    json!({"contentType": "html", "content": format!("{before}{block}{after}")})
}

/// Whether the body still carries the join link.
pub(super) fn has_join_link(body: &Value, join_url: &str) -> bool {
    let html = content(Some(body));
    html.contains(join_url) || html.contains(&crate::simulator::page::escape(join_url))
}
