//! One connection, from its first byte to its end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use poem::http::uri::Scheme;
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Endpoint, Request, Response};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::limits::Limits;
use super::room::Place;

/// A request's line and headers, and the read buffer of its body.
const HEAD_BYTES: usize = 32 * 1024;
const MOST_HEADERS: usize = 64;
/// How long an answer may still be on its way when the place is wanted.
const LAST_WORDS: Duration = Duration::from_secs(1);

pub(super) async fn serve<E>(
    socket: TcpStream,
    peer: SocketAddr,
    endpoint: Arc<E>,
    limits: Limits,
    place: Place,
    stop: CancellationToken,
    deadline: Duration,
) where
    E: Endpoint<Output = Response> + 'static,
{
    // An answer is one write; waiting for more would only delay it. Without it all works, slower.
    let _ = socket.set_nodelay(true);
    let local = socket.local_addr().unwrap_or(peer);
    let place = Arc::new(place);
    let service = service_fn(|request: hyper::Request<Incoming>| {
        place.answering(true);
        let ends = (LocalAddr(local.into()), RemoteAddr(peer.into()));
        let request = Request::from((request, ends.0, ends.1, Scheme::HTTP));
        let (endpoint, place) = (&endpoint, &place);
        async move {
            let response: hyper::Response<_> = endpoint.get_response(request).await.into();
            let place = place.clone();
            Ok::<_, Infallible>(response.map(|body| Answer { body, place }))
        }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.between_requests)
            .max_buf_size(HEAD_BYTES)
            .max_headers(MOST_HEADERS)
            .serve_connection(TokioIo::new(socket), service)
    );
    // Errors are the client's: it went away, or sent no HTTP.
    let last_words = tokio::select! {
        _ = connection.as_mut() => return,
        () = without_progress(&place, limits.without_progress) => return,
        () = place.is_wanted() => LAST_WORDS,
        () = stop.cancelled() => deadline,
    };
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(last_words, connection).await;
}

/// An answer's body. Until it is sent the request is being answered, however long that takes, as a stream
/// of events does; each piece that is taken from it is progress. None is taken while the client leaves
/// too much of the last ones unread.
struct Answer<B> {
    body: B,
    place: Arc<Place>,
}

impl<B: Body + Unpin> Body for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let taken = Pin::new(&mut self.body).poll_frame(task);
        if taken.is_ready() {
            self.place.answering(true);
        }
        taken
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for Answer<B> {
    fn drop(&mut self) {
        self.place.answering(false);
    }
}

async fn without_progress(place: &Place, most: Duration) {
    loop {
        let end = Instant::from_std(place.since()) + most;
        if end <= Instant::now() {
            return;
        }
        tokio::time::sleep_until(end).await;
    }
}
