//! The OpenAPI document and the pages that show it, made from the operations alone.

use poem::endpoint::make_sync;
use poem::http::header::CONTENT_SECURITY_POLICY;
use poem::web::Html;
use poem::{Endpoint, IntoResponse, Response};
use poem_openapi::{LicenseObject, OpenApiService, Tags};

use super::appointments::AppointmentsApi;
use super::coaches::CoachesApi;
use super::connect::ConnectApi;
use super::connections::ConnectionsApi;
use super::health::HealthApi;
use super::queue::QueueApi;

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
    /// How the daemon fares.
    Health,
}

type Apis = (
    ConnectApi,
    ConnectionsApi,
    AppointmentsApi,
    CoachesApi,
    QueueApi,
    HealthApi,
);

pub(super) fn service() -> OpenApiService<Apis, ()> {
    let apis = (
        ConnectApi,
        ConnectionsApi,
        AppointmentsApi,
        CoachesApi,
        QueueApi,
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
         stable. Unknown fields of a body are refused.",
    )
    .license(LicenseObject::new(env!("CARGO_PKG_LICENSE")))
    .server("/")
}

/// The OpenAPI document: pretty, its keys in a stable order, with a line break at its end.
///
/// Needs neither settings nor a database.
pub fn document() -> String {
    let mut text = service().spec();
    text.push('\n');
    text
}

pub(super) fn json_endpoint() -> impl Endpoint + 'static {
    let document = document();
    make_sync(move |_| {
        Response::builder()
            .content_type("application/json")
            .body(document.clone())
    })
}

/// Swagger UI, with all it needs inside the page. Its scripts are inline and all ours; it may call
/// this server and load nothing else.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; \
     style-src 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'";

pub(super) fn page_endpoint(api: &OpenApiService<Apis, ()>) -> impl Endpoint + 'static {
    let html = api.swagger_ui_html();
    make_sync(move |_| {
        Html(html.clone())
            .with_header(CONTENT_SECURITY_POLICY, PAGE_POLICY)
            .into_response()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/openapi/calendar-integration.json"
    );

    #[test]
    fn the_committed_document_is_what_the_operations_say() {
        let document = document();
        if std::env::var_os("UPDATE_OPENAPI").is_some_and(|value| value == "1") {
            std::fs::write(FILE, &document).expect("the file can be written");
        }
        let committed = std::fs::read_to_string(FILE).unwrap_or_default();
        assert!(
            committed == document,
            "openapi/calendar-integration.json is out of date: run the tests with UPDATE_OPENAPI=1"
        );
    }

    #[test]
    fn every_operation_has_an_id_a_summary_and_documented_problems() {
        let document: serde_json::Value = serde_json::from_str(&document()).expect("JSON");
        let paths = document["paths"].as_object().expect("paths");
        let mut ids = std::collections::BTreeSet::new();
        for (path, operations) in paths {
            for (method, operation) in operations.as_object().expect("operations") {
                let id = operation["operationId"].as_str().expect("an id");
                assert!(ids.insert(id.to_owned()), "{id} twice");
                assert!(operation["summary"].is_string(), "{method} {path}");
                let responses = operation["responses"].as_object().expect("responses");
                let is_guarded = operation.get("security").is_some();
                assert_eq!(is_guarded, responses.contains_key("401"), "{method} {path}");
            }
        }
        assert_eq!(ids.len(), 22, "{ids:?}");
    }
}
