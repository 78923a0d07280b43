//! Listening to the other nodes, on a connection of its own that comes back by itself.
//!
//! A node tells itself something now and then and expects to hear it: a pooler that hands the
//! connection to others between two statements, or a firewall that forgot it, is otherwise silent.
//! Waits here are in real time, as those of a socket.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::message::{self, Note};
use super::{Nodes, lock};
use crate::changes::Subject;
use crate::connections::WorkerContext;
use crate::queue::PollerHandle;
use crate::store::{Listener, StoreError};

/// How long its own echo may take to reach a node.
const ECHO_PATIENCE: Duration = Duration::from_secs(5);
/// How often a node listens for its echo.
const ECHO_EVERY: Duration = Duration::from_secs(30);
/// Pauses between connections that failed.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The pause after a connection on which nothing was ever heard: a pooler, most likely.
const DEAF_PAUSE: Duration = Duration::from_secs(60);

/// Whether hints from other nodes arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hearing {
    /// There can be no other node.
    NotNeeded,
    Connecting,
    Listening,
    /// What other nodes take in is found by the poll alone, and why.
    PollingOnly(String),
}

/// Why listening ended.
enum Ended {
    Lost(StoreError),
    /// Connected, but the node does not hear itself.
    Deaf,
}

/// Listens until `stop`.
pub(crate) async fn listen(
    nodes: Nodes,
    context: Arc<WorkerContext>,
    poller: PollerHandle,
    stop: CancellationToken,
) {
    let ear = Ear {
        nodes,
        context,
        poller,
    };
    let mut pause = FIRST_PAUSE;
    loop {
        let ended = tokio::select! {
            ended = ear.session() => ended,
            () = stop.cancelled() => return,
        };
        if *lock(&ear.nodes.0.hearing) == Hearing::Listening {
            pause = FIRST_PAUSE;
        }
        let why = match &ended {
            Ended::Lost(error) => error.to_string(),
            Ended::Deaf => {
                pause = DEAF_PAUSE;
                "the database sends no notifications on this connection, as behind a transaction pooler"
                    .to_owned()
            }
        };
        tracing::warn!(
            why,
            "not listening to other nodes for now; the poll finds their work"
        );
        ear.nodes.hear(Hearing::PollingOnly(why));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

struct Ear {
    nodes: Nodes,
    context: Arc<WorkerContext>,
    poller: PollerHandle,
}

impl Ear {
    async fn session(&self) -> Ended {
        match self.context.store.listen().await {
            Ok(listener) => self.attend(listener).await,
            Err(error) => Ended::Lost(error),
        }
    }

    async fn attend(&self, mut listener: Listener) -> Ended {
        // None while no echo is awaited.
        let mut awaited = match self.say_something().await {
            Ok(nonce) => Some(nonce),
            Err(error) => return Ended::Lost(error),
        };
        let mut deadline = Instant::now() + ECHO_PATIENCE;
        loop {
            let text = {
                let mut next = pin!(listener.next());
                loop {
                    tokio::select! {
                        heard = &mut next => match heard {
                            Ok(text) => break text,
                            Err(error) => return Ended::Lost(error),
                        },
                        () = tokio::time::sleep_until(deadline) => {
                            if awaited.is_some() {
                                return Ended::Deaf;
                            }
                            awaited = match self.say_something().await {
                                Ok(nonce) => Some(nonce),
                                Err(error) => return Ended::Lost(error),
                            };
                            deadline = Instant::now() + ECHO_PATIENCE;
                        }
                    }
                }
            };
            for note in message::decode(&text) {
                if awaited.is_some_and(|nonce| note == Note::Echo(self.context.node, nonce)) {
                    awaited = None;
                    deadline = Instant::now() + ECHO_EVERY;
                    self.hears();
                } else {
                    self.obey(note).await;
                }
            }
        }
    }

    /// Over the pool, as everything else this node says: a pooler would answer the listening
    /// connection itself.
    async fn say_something(&self) -> Result<u64, StoreError> {
        let mut bytes = [0; 8];
        self.context.entropy.fill(&mut bytes);
        let nonce = u64::from_le_bytes(bytes);
        let echo = Note::Echo(self.context.node, nonce);
        self.context.store.notify(&message::encode(&[echo])).await?;
        Ok(nonce)
    }

    fn hears(&self) {
        if self.nodes.hearing() != Hearing::Listening {
            tracing::info!("listening to other nodes");
            self.nodes.hear(Hearing::Listening);
            // What was said before nobody heard.
            self.poller.poll();
            self.context.changes.touch_all();
            self.context.store.look_at_webhooks();
        }
    }

    async fn obey(&self, note: Note) {
        let me = self.context.node;
        match note {
            Note::Wake(node, ids) if node == me => {
                self.context.metrics.heard();
                self.poller.wake(ids);
            }
            Note::Look(node) if node.is_none_or(|node| node == me) => {
                self.context.metrics.heard();
                self.poller.poll();
                self.context.store.look_at_webhooks();
            }
            Note::Census => {
                if let Err(error) = self.nodes.census(&self.context).await {
                    tracing::debug!(error = %error, "census put off");
                }
            }
            Note::Changed(node, ids) if node != me => {
                if ids.is_empty() {
                    self.context.changes.touch_all();
                } else {
                    self.context.changes.touch(ids.into_iter().map(Subject));
                }
            }
            // Meant for others, or an echo that came too late; what changed here was told here.
            Note::Wake(..) | Note::Look(_) | Note::Changed(..) | Note::Echo(..) => {}
        }
    }
}
