//! How much of this machine clients may hold.

use std::time::Duration;

use rustix::process::{Resource, getrlimit};

/// More connections than this help nobody: a proxy in front uses a few hundred.
const MOST_CONNECTIONS: usize = 4_096;
const FEWEST_CONNECTIONS: usize = 16;
/// Longer than the minute for which common proxies keep an idle connection, so that it is the proxy
/// who ends it and never sends into a connection that is just closing.
const BETWEEN_REQUESTS: Duration = Duration::from_secs(75);
/// Longer than a request may take, and than a stream of events is ever silent: whoever reads an answer
/// more slowly than this is cut off.
const WITHOUT_PROGRESS: Duration = Duration::from_secs(120);

/// What a client may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) connections: usize,
    /// From the end of an answer (or of the connecting) to the end of the next request's head.
    pub(crate) between_requests: Duration,
    /// Without a request that begins or ends, or an answer that goes on.
    pub(crate) without_progress: Duration,
}

impl Limits {
    /// Half of the file descriptors this process may open; the database, the calendar services and
    /// the log have the others.
    pub(crate) fn of_this_process() -> Self {
        let files = getrlimit(Resource::Nofile).current;
        let half = files.map_or(MOST_CONNECTIONS, |files| {
            usize::try_from(files / 2).unwrap_or(MOST_CONNECTIONS)
        });
        Self {
            connections: half.clamp(FEWEST_CONNECTIONS, MOST_CONNECTIONS),
            between_requests: BETWEEN_REQUESTS,
            without_progress: WITHOUT_PROGRESS,
        }
    }
}
