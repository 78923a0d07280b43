//! The events of a stream: what each says, as documented and as sent.

use std::time::Duration;

use futures::{StreamExt, stream};
use poem::http::HeaderValue;
use poem::http::header::CACHE_CONTROL;
use poem::web::sse::{Event, SSE};
use poem::{IntoResponse, Response};
use poem_openapi::payload::Payload;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{ToJSON, Type};
use poem_openapi::{Enum, Object, Union};
use serde_json::Value;

use super::stream::Stream;
use crate::api::view::{ConnectionView, JobView, ProgressView};
use crate::domain::ConnectionId;

/// How often something is sent though there is nothing to say: well within the half minute or minute
/// after which proxies and their clients take a silent connection for dead. Real time, as that of a socket.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// One event of a stream, its fields as the lines of the same names. In the stream `data` is the JSON of
/// what is described here.
#[derive(Debug, Union)]
#[oai(one_of, discriminator_name = "event")]
pub(super) enum StatusEvent {
    #[oai(mapping = "connection")]
    Connection(ConnectionEvent),
    #[oai(mapping = "progress")]
    Progress(ProgressEvent),
    #[oai(mapping = "jobs")]
    Jobs(JobsEvent),
    #[oai(mapping = "disconnected")]
    Disconnected(DisconnectedEvent),
    #[oai(mapping = "end")]
    End(EndEvent),
}

/// A connection as it now is: at the beginning of a stream, when it was connected, and when anything of
/// it changed but `updated_at` and `freshness_seconds`.
#[derive(Debug, Object)]
pub(super) struct ConnectionEvent {
    /// To be sent back as `Last-Event-ID`.
    pub(super) id: String,
    pub(super) data: Box<ConnectionView>,
}

/// How far a full sync is, or that it is over.
#[derive(Debug, Object)]
pub(super) struct ProgressEvent {
    /// To be sent back as `Last-Event-ID`.
    pub(super) id: String,
    pub(super) data: SyncProgressOf,
}

/// The full sync of a connection.
#[derive(Debug, Object)]
pub(super) struct SyncProgressOf {
    pub(super) connection_id: ConnectionId,
    /// Null when it is over.
    #[oai(nullable)]
    pub(super) current: Option<ProgressView>,
}

/// Jobs that ended (completed, failed or cancelled) since the last event, in that order. Each is told once.
#[derive(Debug, Object)]
pub(super) struct JobsEvent {
    /// To be sent back as `Last-Event-ID`.
    pub(super) id: String,
    pub(super) data: EndedJobs,
}

/// Jobs of a connection that ended.
#[derive(Debug, Object)]
pub(super) struct EndedJobs {
    pub(super) connection_id: ConnectionId,
    /// If there are more, another event follows.
    #[oai(validator(min_items = 1, max_items = 100))]
    pub(super) jobs: Vec<JobView>,
}

/// A connection was ended, or forgotten with its coach.
#[derive(Debug, Object)]
pub(super) struct DisconnectedEvent {
    /// To be sent back as `Last-Event-ID`.
    pub(super) id: String,
    pub(super) data: DisconnectedConnection,
}

/// A connection that is no more.
#[derive(Debug, Object)]
pub(super) struct DisconnectedConnection {
    pub(super) connection_id: ConnectionId,
}

/// The last event: the stream closes. It has no `id`; that of the event before stays the last one.
#[derive(Debug, Object)]
pub(super) struct EndEvent {
    pub(super) data: StreamEnd,
}

/// Why a stream closes.
#[derive(Debug, Object)]
pub(super) struct StreamEnd {
    pub(super) reason: EndReason,
}

/// What to do: `token_expired`: come back with a fresh token; `disconnected`: do not come back;
/// `server_stops`: come back, another node or the next process answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub(super) enum EndReason {
    TokenExpired,
    Disconnected,
    ServerStops,
}

impl StatusEvent {
    pub(super) fn end(reason: EndReason) -> Self {
        Self::End(EndEvent {
            data: StreamEnd { reason },
        })
    }

    /// As it is sent.
    fn into_frame(self) -> Event {
        let json = self.to_json().unwrap_or_default();
        let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
        // JSON without line breaks, so that it is one line of data.
        let data = json.get("data").map(Value::to_string).unwrap_or_default();
        Event::message(data)
            .id(text("id"))
            .event_type(text("event"))
    }
}

/// The body of a stream's answer.
pub(super) struct EventStream(SSE);

impl EventStream {
    pub(super) fn new(stream: Stream) -> Self {
        let first = Event::retry(stream.come_back_after());
        let events = stream::unfold(stream, async |mut stream| {
            let event = stream.next().await?;
            Some((event.into_frame(), stream))
        });
        let events = stream::iter([first]).chain(events);
        Self(SSE::new(events).keep_alive(HEARTBEAT))
    }
}

impl Payload for EventStream {
    const CONTENT_TYPE: &'static str = "text/event-stream";

    /// OpenAPI before version 3.2 has no word for a stream; later ones describe it as the list of its
    /// items, too.
    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            items: Some(Box::new(StatusEvent::schema_ref())),
            ..MetaSchema::new_with_format("array", "event-stream")
        }))
    }

    fn register(registry: &mut Registry) {
        StatusEvent::register(registry);
    }
}

impl IntoResponse for EventStream {
    fn into_response(self) -> Response {
        let mut response = self.0.into_response();
        // A cache must not even keep it to ask whether it is still fresh.
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}
