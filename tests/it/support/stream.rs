//! A page that reads a stream of live status.

use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::Value;
use uuid::Uuid;

use super::Api;

/// Less than the time after which a stream looks without having been told.
const PATIENCE: Duration = Duration::from_secs(60);

/// One event, as it came.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct StatusEvent {
    pub(crate) event: String,
    pub(crate) id: String,
    pub(crate) data: Value,
}

/// An open stream; closed when dropped.
#[derive(Debug)]
pub(crate) struct Stream {
    answer: Response,
    unread: Vec<u8>,
    pub(crate) retry: Option<u64>,
    /// Of the last event that had one.
    pub(crate) last_id: String,
}

impl Api {
    /// Opens a stream, which must be granted.
    pub(crate) async fn watch(&self, path: &str, last_event_id: Option<&str>) -> Stream {
        let request = self
            .request(Method::GET, path)
            .timeout(Duration::from_secs(300));
        let request = match last_event_id {
            Some(id) => request.header("last-event-id", id),
            None => request,
        };
        let answer = request.send().await.expect("an answer");
        let status = answer.status();
        if status != 200 {
            panic!("{status}: {:?}", answer.text().await);
        }
        Stream {
            answer,
            unread: Vec::new(),
            retry: None,
            last_id: last_event_id.unwrap_or_default().to_owned(),
        }
    }

    pub(crate) async fn watch_connection(&self, id: Uuid) -> Stream {
        self.watch(&format!("connections/{id}/events"), None).await
    }
}

impl Stream {
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.answer.headers().get(name).expect("a header");
        value.to_str().expect("a text")
    }

    /// The next event; `None`: the stream was closed.
    pub(crate) async fn next(&mut self) -> Option<StatusEvent> {
        tokio::time::timeout(PATIENCE, self.read())
            .await
            .expect("something is told in time")
    }

    /// The next event, which must be of this kind.
    pub(crate) async fn expect(&mut self, kind: &str) -> Value {
        let event = self.next().await.expect("the stream is open");
        assert_eq!(event.event, kind, "{event:?}");
        event.data
    }

    /// Reads on to the first event that is as wanted.
    pub(crate) async fn find(
        &mut self,
        mut is_wanted: impl FnMut(&StatusEvent) -> bool,
    ) -> StatusEvent {
        loop {
            let event = self.next().await.expect("the stream is open");
            if is_wanted(&event) {
                return event;
            }
        }
    }

    async fn read(&mut self) -> Option<StatusEvent> {
        loop {
            while let Some(end) = self.unread.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.unread.drain(..end + 2).collect();
                let block = String::from_utf8(block).expect("a text");
                if let Some(event) = self.event_of(&block) {
                    return Some(event);
                }
            }
            // Cut off is as good as closed.
            let more = self.answer.chunk().await.ok()??;
            self.unread.extend(more);
        }
    }

    fn event_of(&mut self, block: &str) -> Option<StatusEvent> {
        let mut event = StatusEvent::default();
        for line in block.lines().filter(|line| !line.is_empty()) {
            match line.split_once(": ") {
                Some(("id", id)) => {
                    event.id = id.to_owned();
                    self.last_id = id.to_owned();
                }
                Some(("event", kind)) => event.event = kind.to_owned(),
                Some(("data", data)) => event.data = serde_json::from_str(data).expect("JSON"),
                Some(("retry", millis)) => self.retry = millis.parse().ok(),
                _ => assert_eq!(line, ":", "a comment that says the stream is alive"),
            }
        }
        (!event.event.is_empty()).then_some(event)
    }
}
