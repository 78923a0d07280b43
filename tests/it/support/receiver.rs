//! The platform's end of a webhook: takes what it is told, or does not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use poem::http::StatusCode;
use poem::listener::{Acceptor, Listener, TcpListener};
use poem::{Endpoint, EndpointExt, Request, Response, Route, Server, handler, web::Data};
use serde_json::Value;
use tokio::sync::watch;
use uuid::Uuid;

use super::{TestDatabase, is_postgres};

/// One attempt that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) id: String,
    pub(crate) timestamp: String,
    pub(crate) signatures: String,
    /// As it came.
    pub(crate) text: String,
    /// What it was answered with.
    pub(crate) status: u16,
}

impl Received {
    pub(crate) fn body(&self) -> Value {
        serde_json::from_str(&self.text).expect("JSON")
    }

    pub(crate) fn event(&self) -> String {
        super::api::text(&self.body()["type"])
    }

    /// The appointment it is about, or else the connection.
    pub(crate) fn subject(&self) -> Uuid {
        let body = self.body();
        let data = &body["data"];
        let id = data["appointment_id"].as_str();
        let id = id.or_else(|| data["connection_id"].as_str());
        id.and_then(|id| id.parse().ok()).expect("a subject")
    }
}

/// How a path answers; unless it is set, with 200.
#[derive(Clone, Debug, Default)]
struct Manner {
    status: Option<u16>,
    /// Only to bodies that contain this.
    only: Option<String>,
    location: Option<String>,
    hangs: bool,
}

struct Shared {
    received: Mutex<Vec<Received>>,
    manners: watch::Sender<BTreeMap<String, Manner>>,
}

pub(crate) struct Receiver {
    shared: Arc<Shared>,
    address: std::net::SocketAddr,
    server: tokio::task::JoinHandle<()>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0");
        let acceptor = listener.into_acceptor().await.expect("a port");
        let local = acceptor.local_addr().remove(0);
        let address = *local.as_socket_addr().expect("an address");
        let shared = Arc::new(Shared {
            received: Mutex::default(),
            manners: watch::Sender::default(),
        });
        let app = app(shared.clone());
        let server = tokio::spawn(async move {
            // Until the story ends.
            let _ = Server::new_with_acceptor(acceptor).run(app).await;
        });
        Self {
            shared,
            address,
            server,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// What is sent there is answered with this status.
    pub(crate) fn answer(&self, path: &str, status: u16) {
        self.behave(path, |manner| manner.status = Some(status));
    }

    /// Only what contains this is answered so.
    pub(crate) fn answer_only(&self, path: &str, words: &str, status: u16) {
        self.behave(path, |manner| {
            manner.status = Some(status);
            manner.only = Some(words.to_owned());
        });
    }

    pub(crate) fn redirect(&self, path: &str, location: &str) {
        self.behave(path, |manner| {
            manner.status = Some(307);
            manner.location = Some(location.to_owned());
        });
    }

    /// What is sent there is noted, and not answered for now.
    pub(crate) fn hang(&self, path: &str) {
        self.behave(path, |manner| manner.hangs = true);
    }

    /// As at first.
    pub(crate) fn recover(&self, path: &str) {
        self.behave(path, |manner| *manner = Manner::default());
    }

    fn behave(&self, path: &str, change: impl FnOnce(&mut Manner)) {
        let path = path.to_owned();
        self.shared
            .manners
            .send_modify(|manners| change(manners.entry(path).or_default()));
    }

    /// Every attempt, in the order of their arrival.
    pub(crate) fn seen(&self, path: &str) -> Vec<Received> {
        let received = lock(&self.shared.received);
        let there = received.iter().filter(|one| one.path == path);
        there.cloned().collect()
    }

    /// Attempts that were taken.
    pub(crate) fn taken(&self, path: &str) -> Vec<Received> {
        let mut seen = self.seen(path);
        seen.retain(|one| one.status == 200);
        seen
    }

    /// What was said of a subject, in order, repetitions left out.
    pub(crate) fn told_of(&self, subject: Uuid) -> Vec<String> {
        let mut known = BTreeSet::new();
        self.taken("/")
            .iter()
            .filter(|one| one.subject() == subject && known.insert(one.id.clone()))
            .map(Received::event)
            .collect()
    }

    /// Whether whatever came first of one subject was also written down first.
    pub(crate) async fn order_was_kept(&self, database: &TestDatabase) -> bool {
        let ids = if is_postgres() {
            "id::text"
        } else {
            "lower(hex(id))"
        };
        let query = format!("SELECT {ids} FROM webhook_deliveries ORDER BY position");
        let written = database.texts(&query, 0).await;
        let written: BTreeMap<String, usize> = written
            .into_iter()
            .enumerate()
            .map(|(nth, id)| (id.replace('-', ""), nth))
            .collect();
        let mut known = BTreeSet::new();
        let mut latest: BTreeMap<Uuid, usize> = BTreeMap::new();
        self.taken("/").iter().all(|one| {
            if !known.insert(one.id.clone()) {
                return true;
            }
            let nth = written.get(&one.id.replace('-', ""));
            let nth = *nth.expect("what was told was written down");
            let before = latest.insert(one.subject(), nth);
            before.is_none_or(|before| before < nth)
        })
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn app(shared: Arc<Shared>) -> impl Endpoint {
    Route::new().at("/*path", receive).data(shared)
}

#[handler]
async fn receive(request: &Request, body: String, shared: Data<&Arc<Shared>>) -> Response {
    let path = request.uri().path().to_owned();
    let header = |name| request.header(name).unwrap_or_default().to_owned();
    let manner = shared.manners.borrow().get(&path).cloned();
    let manner = manner.unwrap_or_default();
    let is_meant = manner.only.as_ref().is_none_or(|only| body.contains(only));
    let status = manner.status.filter(|_| is_meant).unwrap_or(200);
    lock(&shared.received).push(Received {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signatures: header("webhook-signature"),
        text: body,
        status: if manner.hangs { 0 } else { status },
        path: path.clone(),
    });
    if manner.hangs {
        let mut manners = shared.manners.subscribe();
        let goes_on = manners
            .wait_for(|manners| manners.get(&path).is_none_or(|manner| !manner.hangs))
            .await;
        drop(goes_on);
    }
    let response = Response::builder().status(StatusCode::from_u16(status).expect("a status"));
    match manner.location {
        Some(location) => response.header("location", location).finish(),
        None => response.finish(),
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
