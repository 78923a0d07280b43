//! The OpenAPI document and the pages that show it, made from the operations alone.

mod complete;

use std::sync::LazyLock;

use data_encoding::BASE64;
use poem::endpoint::make_sync;
use poem::http::Method;
use poem::http::header::CONTENT_SECURITY_POLICY;
use poem::web::Html;
use poem::{Endpoint, IntoResponse, Response};
use poem_openapi::{ContactObject, LicenseObject, OpenApi, OpenApiService, Tags};
use serde_json::Value;
use sha2::{Digest, Sha256};

use self::complete::complete;
use super::appointments::AppointmentsApi;
use super::audit::AuditApi;
use super::coaches::CoachesApi;
use super::connect::ConnectApi;
use super::connections::ConnectionsApi;
use super::health::HealthApi;
use super::preview::PreviewApi;
use super::queue::QueueApi;
use super::watch::WatchApi;
use super::webhooks::WebhooksApi;

/// The parts of the API.
#[derive(Tags)]
pub(super) enum Tag {
    /// Signing in at Google or Microsoft.
    Connect,
    /// Connected calendar accounts: settings, sync, status.
    Connections,
    /// Appointments as the booking platform reports them.
    Appointments,
    /// Coaches who leave.
    Coaches,
    /// The sync queue, for operators.
    Queue,
    /// Who asked for what, for operators.
    Audit,
    /// Who is told what happens, for operators.
    Webhooks,
    /// How the daemon fares.
    Health,
}

type Apis = (
    ConnectApi,
    ConnectionsApi,
    PreviewApi,
    WatchApi,
    AppointmentsApi,
    CoachesApi,
    QueueApi,
    AuditApi,
    WebhooksApi,
    HealthApi,
);

pub(super) fn service() -> OpenApiService<Apis, ()> {
    let apis = (
        ConnectApi,
        ConnectionsApi,
        PreviewApi,
        WatchApi,
        AppointmentsApi,
        CoachesApi,
        QueueApi,
        AuditApi,
        WebhooksApi,
        HealthApi,
    );
    OpenApiService::new(
        apis,
        "Calendar integration",
        env!("CARGO_PKG_VERSION"),
    )
    .description(
        "Keeps coaches' Google and Outlook calendars in step with their appointments. Times are \
         RFC 3339 in UTC, ids are UUIDs, errors are problem details (RFC 9457) whose `code` is \
         stable. Unknown fields of a body are refused.\n\n\
         Every POST but a preview takes an `Idempotency-Key`: one sent again by the same caller with the same key, \
         path, query and body within 24 hours is carried out once and answered alike, also when both \
         are under way at once. Answers of 5xx and 429, and refusals other than 404 and 422, are \
         not kept, so that sending it again is trying again. Another request under the same key is \
         refused (422 `idempotency_key_reused`); one that waited for the first one's answer for 25 \
         seconds is told to come back (409 `idempotency_key_in_use`).\n\n\
         PUT of a connection takes `If-Match`, and answers that hold an `ETag` are not sent again to \
         those who name it in `If-None-Match` (304).",
    )
    .contact(ContactObject::new().name("Who runs this installation"))
    .license(LicenseObject::new(env!("CARGO_PKG_LICENSE")).url("https://spdx.org/licenses/"))
    .server("/")
}

/// Made when somebody first asks: it is work, and whoever starts a daemon waits for other things.
static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    // What the generator wrote is JSON; if it were not, nothing of it could be said to be true.
    let mut document = serde_json::from_str(&service().spec()).unwrap_or(Value::Null);
    complete(&mut document);
    document
});
static JSON: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", *DOCUMENT));
// A value made from JSON has nothing that YAML could not say.
static YAML: LazyLock<String> =
    LazyLock::new(|| serde_yaml::to_string(&*DOCUMENT).unwrap_or_default());
static PAGE: LazyLock<Page> = LazyLock::new(Page::new);

/// The OpenAPI document: pretty, its keys in a stable order, with a line break at its end.
///
/// Needs neither settings nor a database.
pub fn document() -> &'static str {
    &JSON
}

/// The path and the method of every operation. Much less work than the document.
pub(super) fn operations() -> impl Iterator<Item = (String, Method)> {
    let paths = <Apis as OpenApi>::meta()
        .into_iter()
        .flat_map(|api| api.paths);
    paths.flat_map(|path| {
        let operations = path.operations.into_iter();
        operations.map(move |operation| (path.path.clone(), operation.method))
    })
}

pub(super) fn json_endpoint() -> impl Endpoint + 'static {
    endpoint("application/json", &JSON)
}

pub(super) fn yaml_endpoint() -> impl Endpoint + 'static {
    endpoint("application/yaml", &YAML)
}

fn endpoint(
    content_type: &'static str,
    document: &'static LazyLock<String>,
) -> impl Endpoint + 'static {
    make_sync(move |_| {
        Response::builder()
            .content_type(content_type)
            .body(document.as_str())
    })
}

/// Swagger UI, and what it may do.
struct Page {
    html: String,
    policy: String,
}

impl Page {
    fn new() -> Self {
        // A browser hashes what it has read, with line ends of one kind.
        let html = service().swagger_ui_html().replace("\r\n", "\n");
        // Without an icon of its own, a browser asks for one that is not there.
        let html = html.replace(
            "<title>Swagger UI</title>",
            "<title>Calendar integration: the API</title><link rel=\"icon\" href=\"data:,\">",
        );
        let policy = page_policy(&html);
        Self { html, policy }
    }
}

pub(super) fn page_endpoint() -> impl Endpoint + 'static {
    make_sync(|_| {
        Html(PAGE.html.as_str())
            .with_header(CONTENT_SECURITY_POLICY, PAGE.policy.as_str())
            .into_response()
    })
}

/// Swagger UI, with all it needs inside the page: its own scripts run, each known by its hash, and no
/// other. It may call this server and load nothing else. Its styles are set by its scripts, too.
fn page_policy(html: &str) -> String {
    let scripts = scripts(html).map(|script| {
        let hash = BASE64.encode(&Sha256::digest(script.as_bytes()));
        format!("'sha256-{hash}'")
    });
    let scripts = scripts.collect::<Vec<_>>().join(" ");
    format!(
        "default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; \
         img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
}

/// What is between the tags, as a browser reads it: to the end tag, whatever else the text speaks of.
fn scripts(html: &str) -> impl Iterator<Item = &str> {
    let mut rest = html;
    std::iter::from_fn(move || {
        let (_, from_tag) = rest.split_once("<script")?;
        let (_, from_text) = from_tag.split_once('>')?;
        let (script, after) = from_text.split_once("</script")?;
        rest = after;
        Some(script)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::CallbackError;

    const FILE: &str = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/openapi/calendar-integration.json"
    );

    #[test]
    fn the_committed_document_is_what_the_operations_say() {
        let document = document();
        if std::env::var_os("UPDATE_OPENAPI").is_some_and(|value| value == "1") {
            std::fs::write(FILE, document).expect("the file can be written");
        }
        let committed = std::fs::read_to_string(FILE).unwrap_or_default();
        assert!(
            committed == document,
            "openapi/calendar-integration.json is out of date: run the tests with UPDATE_OPENAPI=1"
        );
    }

    #[test]
    fn the_page_runs_the_scripts_it_came_with_and_no_other() {
        let html = service().swagger_ui_html();
        assert_eq!(scripts(&html).count(), 2);
        assert!(scripts(&html).all(|script| script.len() > 300));
        let policy = page_policy(&html);
        let (_, allowed) = policy.split_once("script-src ").expect("a list");
        let (allowed, _) = allowed.split_once(';').expect("an end");
        assert_eq!(allowed.matches("'sha256-").count(), 2);
        assert!(!allowed.contains("unsafe"), "{allowed}");
        let known = page_policy("<p><script>alert(1)</script>");
        // openssl dgst -sha256 -binary | base64
        assert!(known.contains("'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='"));
    }

    #[test]
    fn a_script_that_speaks_of_scripts_is_one() {
        let html = "<script>a = '<script>'</script><p><script src='b'></script>";
        assert_eq!(scripts(html).collect::<Vec<_>>(), ["a = '<script>'", ""]);
    }

    #[test]
    fn every_code_of_a_failed_sign_in_is_in_the_description_of_the_way_back() {
        let callback = &DOCUMENT["paths"]["/api/calendar-integration/callback"]["get"];
        let way_back = callback["responses"]["303"]["description"].as_str();
        let way_back = way_back.expect("a description");
        let (_, told) = way_back.split_once("error=CODE").expect("codes");
        for code in CallbackError::ALL {
            assert!(told.contains(code.as_str()), "{code}: {told}");
        }
    }

    #[test]
    fn nothing_is_nullable_beside_a_reference() {
        // openapi-python-client would take the null for one of what is referred to.
        let document: Value = serde_json::from_str(document()).expect("JSON");
        let current = &document["components"]["schemas"]["SyncStatus"]["properties"]["current"];
        assert_eq!(current["nullable"], true);
        assert!(current["properties"]["total"].is_object());
        assert!(document["components"]["schemas"]["SyncProgress"].is_null());
    }

    #[test]
    fn bodies_are_closed_and_answers_open() {
        let document: Value = serde_json::from_str(document()).expect("JSON");
        let schemas = document["components"]["schemas"].as_object();
        let schemas = schemas.expect("schemas").iter();
        let closed: Vec<_> = schemas
            .filter(|(_, schema)| schema["additionalProperties"] == false)
            .map(|(name, _)| name.as_str())
            .collect();
        for (name, is_sent) in [
            ("AppointmentBatch", true),
            ("BatchAppointmentReport", true),
            ("ClientReport", true),
            ("ConnectionSettings", true),
            ("Appointment", false),
            ("Client", false),
            ("Problem", false),
        ] {
            assert_eq!(closed.contains(&name), is_sent, "{name}");
        }
    }

    #[test]
    fn every_operation_has_an_id_a_summary_and_documented_problems() {
        let document: Value = serde_json::from_str(document()).expect("JSON");
        let paths = document["paths"].as_object().expect("paths");
        let mut ids = std::collections::BTreeSet::new();
        for (path, operations) in paths {
            for (method, operation) in operations.as_object().expect("operations") {
                let id = operation["operationId"].as_str().expect("an id");
                assert!(ids.insert(id.to_owned()), "{id} twice");
                assert!(operation["summary"].is_string(), "{method} {path}");
                let responses = operation["responses"].as_object().expect("responses");
                assert!(operation["description"].is_string(), "{method} {path}");
                let security = operation["security"].as_array().expect("said");
                let is_guarded = !security.is_empty();
                for status in ["401", "429"] {
                    assert_eq!(
                        is_guarded,
                        responses.contains_key(status),
                        "{status} of {method} {path}"
                    );
                }
                let has_key = operation["parameters"]
                    .to_string()
                    .contains("IDEMPOTENCY-KEY");
                // A preview does nothing that could be done twice.
                let is_once = method == "post" && !path.ends_with("/preview");
                assert_eq!(has_key, is_once, "{method} {path}");
                for code in [
                    "idempotency_key_in_use",
                    "idempotency_key_reused",
                    "kept_answer_unreadable",
                ] {
                    let is_documented = operation["responses"].to_string().contains(code);
                    assert_eq!(is_documented, has_key, "{method} {path}");
                }
            }
        }
        assert_eq!(ids.len(), 35, "{ids:?}");
    }
}
