//! Live status for pages: streams of server-sent events about a connection, or all of a coach.
//!
//! **State, not a log.** Nothing is stored for streams. What they tell is what is durable anyway, and the
//! id of each event says how far its reader has seen (see [`position`]): of each connection a digest of
//! what was shown of it and of its sync's progress, and the place of the last job that ended; and where the
//! stream began, for connections that come later. A look compares that with the database and tells the difference (see [`look`]), be it the first look of a
//! stream that goes on after `Last-Event-ID`, or one of a stream that is open. So a state that changed
//! and changed back, or several times between two looks, is told as it now is, once or not at all; of
//! jobs that ended each is told, exactly once, for `store::ended` has them in an order that only grows.
//! How far back is a matter of how long jobs are kept: 30 days, and a failed one until it is tried again.
//!
//! **When to look.** When `changes` says so, which hears of changes here at once and of those at other
//! nodes by NOTIFY; at most once in [`stream::PACE`], and in ten times what the last look took, so that a
//! thousand jobs make a few looks and events, and a long backlog is not counted all the time; and without any word every [`stream::SAFETY`], for words may be lost, or never come where LISTEN does
//! not work. A look is made only when the reader has taken what the last one found: who reads slowly is
//! told less often, and nothing piles up. Who does not read at all is cut off by `server`.
//!
//! **When it ends.** When the token does, when the connection was ended or forgotten, and when this
//! daemon stops; the last event says which. The reader then comes back with what it has, and is answered
//! as anybody would be. How many may be open is bounded by [`seats`].

mod look;
mod message;
mod position;
mod seats;
mod stream;

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::param::{Header, Path};
use poem_openapi::{ApiResponse, OpenApi};

pub use self::seats::StatusStreams;

use self::look::Scope;
use self::message::EventStream;
use self::position::Position;
use self::stream::Stream;
use super::access::Bearer;
use super::connections::visible;
use super::document::Tag;
use super::problem::{Code, Problem, Refused, refusals};
use super::{ApiState, BASE_PATH};
use crate::domain::{CoachId, ConnectionId};

pub(super) struct WatchApi;

#[derive(ApiResponse)]
enum WatchAnswer {
    /// Events, as long as the stream is open. `data` is JSON in one line; lines that begin with a colon
    /// say only that the stream is alive.
    #[oai(status = 200)]
    Open(EventStream),
}

refusals! {
    ToWatchConnection: [ConnectionNotFound, TooManyStreams, StreamsFull];
    ToWatchCoach: [TooManyStreams, StreamsFull];
}

#[OpenApi(prefix_path = BASE_PATH, tag = "Tag::Connections")]
impl WatchApi {
    /// Watch a connection.
    ///
    /// Server-sent events: `connection` (as it now is), `progress` (of a full sync), `jobs` (that ended),
    /// `disconnected`, and `end` with the reason before the stream closes: the token expired, the
    /// connection was ended, or this daemon stops. A new stream begins with how things stand; one that
    /// goes on after `Last-Event-ID` with what was missed. Read it with `fetch`: `EventSource` cannot
    /// send a token. Come back after the time named in `retry`.
    #[oai(
        path = "/connections/:id/events",
        method = "get",
        operation_id = "watch_connection"
    )]
    async fn watch_connection(
        &self,
        bearer: Bearer,
        state: Data<&Arc<ApiState>>,
        id: Path<ConnectionId>,
        /// The `id` of the last event that the client has.
        #[oai(name = "Last-Event-ID", validator(max_length = 16384))]
        last_event_id: Header<Option<String>>,
    ) -> Result<WatchAnswer, Refused<ToWatchConnection>> {
        visible(&bearer, &state, id.0).await?;
        let scope = Scope::Connection(id.0);
        Ok(open(&bearer, &state, scope, last_event_id.0.as_deref()).await?)
    }

    /// Watch all connections of a coach.
    ///
    /// As for one connection, for each that the coach has or gets while the stream is open, up to a
    /// hundred. It stays open when one of them is ended.
    #[oai(
        path = "/coaches/:coach_id/events",
        method = "get",
        operation_id = "watch_coach"
    )]
    async fn watch_coach(
        &self,
        bearer: Bearer,
        state: Data<&Arc<ApiState>>,
        coach_id: Path<CoachId>,
        /// The `id` of the last event that the client has.
        #[oai(name = "Last-Event-ID", validator(max_length = 16384))]
        last_event_id: Header<Option<String>>,
    ) -> Result<WatchAnswer, Refused<ToWatchCoach>> {
        bearer.may_name(coach_id.0)?;
        let scope = Scope::Coach(coach_id.0);
        Ok(open(&bearer, &state, scope, last_event_id.0.as_deref()).await?)
    }
}

async fn open(
    bearer: &Bearer,
    state: &Arc<ApiState>,
    scope: Scope,
    last_event_id: Option<&str>,
) -> Result<WatchAnswer, Problem> {
    let position = match last_event_id {
        Some(text) if !text.is_empty() => Position::read(text).ok_or_else(|| {
            Problem::new(Code::InvalidParameter)
                .because("The header `Last-Event-ID` must be the id of an event of this API.")
        })?,
        Some(_) | None => Position::default(),
    };
    let seat = state.streams.take(bearer.caller())?;
    let stream = Stream::open(state.clone(), seat, scope, position, bearer.good_until()).await?;
    Ok(WatchAnswer::Open(EventStream::new(stream)))
}
