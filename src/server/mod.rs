//! HTTP in: the accept loop, and how long a connection may take its time.
//!
//! Owns sockets, not requests: those are `api`'s. HTTP/1.1 alone, for a proxy speaks the rest to
//! browsers. Whoever holds a connection without using it is bounded three ways: by the time between
//! two requests, by the size of a request's head, and by the number of connections, where a newcomer
//! takes the place of the one that has been idle longest (see [`room`]). An answer is under way until its
//! last piece is sent: one that goes on, as a stream of events does, keeps its connection while its reader
//! reads. So neither idle sockets nor
//! dripping clients keep healthy ones out, and none of it takes the descriptors that the database and
//! the calendar services need.

mod connection;
mod limits;
mod room;

use std::sync::Arc;
use std::time::Duration;

use poem::{Endpoint, Response};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use limits::Limits;

use self::room::Room;

/// How long to leave accepting alone after the system refused: without a free descriptor it would
/// refuse again at once, for ever.
const REFUSED_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stop`; then answers what is under way, for `deadline` at most.
pub(crate) async fn serve<E>(
    listener: TcpListener,
    endpoint: E,
    limits: Limits,
    stop: CancellationToken,
    deadline: Duration,
) where
    E: Endpoint<Output = Response> + 'static,
{
    let endpoint = Arc::new(endpoint);
    let room = Room::with_places(limits.connections);
    let connections = TaskTracker::new();
    let accepting = async {
        loop {
            match listener.accept().await {
                Ok((socket, peer)) => {
                    let place = room.place().await;
                    let endpoint = endpoint.clone();
                    let stop = stop.clone();
                    connections.spawn(connection::serve(
                        socket, peer, endpoint, limits, place, stop, deadline,
                    ));
                }
                Err(error) => {
                    tracing::warn!(error = %error, "a connection could not be accepted");
                    room.make_room();
                    tokio::time::sleep(REFUSED_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = stop.cancelled() => {}
    }
    drop(listener);
    connections.close();
    // Each ends by itself, at the deadline if not before.
    connections.wait().await;
}

#[cfg(test)]
mod tests;
