//! What the platform does with a daemon that dies: it asks again until it is answered.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use calendar_integration::domain::{Clock, ProviderKind};
use calendar_integration::security::api_token::{Caller, Realm, Role, Signer};
use reqwest::{Method, RequestBuilder};
use secrecy::ExposeSecret;
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use super::node::Node;
use crate::support::{JWT_SECRET, PUBLIC_URL, Reply, parameter};

/// Longer than any start, lease and retry together, on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);
pub(super) const PAUSE: Duration = Duration::from_millis(10);

/// Speaks to whichever node answers, in the role that may do everything.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    nodes: Vec<Node>,
    token: String,
    turn: AtomicUsize,
}

impl Client {
    pub(super) fn new(nodes: Vec<Node>, clock: &dyn Clock) -> Self {
        let caller = Caller::new(Role::Admin, "the platform").expect("a caller");
        let token = Signer::new(&JWT_SECRET.into(), Realm::default()).sign(
            &caller,
            Duration::from_secs(24 * 3600),
            clock.now(),
        );
        Self {
            http: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .timeout(Duration::from_secs(20))
                // Nothing here is encrypted, and reading the machine's certificates takes long.
                .tls_certs_only([])
                .build()
                .expect("a client"),
            nodes,
            token: token.expose_secret().to_owned(),
            turn: AtomicUsize::new(0),
        }
    }

    /// One of the nodes that serve, in turn.
    fn node(&self) -> Option<Url> {
        let serving: Vec<Url> = self.nodes.iter().filter_map(Node::url).collect();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        serving.get(turn.checked_rem(serving.len())?).cloned()
    }

    /// Asks once; `None` if nobody answered.
    pub(super) async fn attempt(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Option<Reply> {
        self.attempt_at(&self.node()?, method, path, body).await
    }

    pub(super) async fn attempt_at(
        &self,
        node: &Url,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Option<Reply> {
        let request = self.http.request(method, address(node, path));
        let request = request.bearer_auth(&self.token);
        read(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }

    /// Asks until the answer is one of these statuses. Trouble of the server is no answer; any other
    /// status is a bug.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        wanted: &[u16],
    ) -> Reply {
        let what = format!("{method} {path}");
        patiently(&what, async || {
            let reply = self.attempt(method.clone(), path, body).await?;
            if wanted.contains(&reply.status) {
                return Some(reply);
            }
            let may_pass = reply.status >= 500 || reply.status == 429;
            assert!(may_pass, "{what}: {} {}", reply.status, reply.text);
            None
        })
        .await
    }

    /// Signs in as often as it takes: a coach whose browser shows an error tries again.
    pub(super) async fn connect(&self, provider: ProviderKind, coach: Uuid, email: &str) -> Uuid {
        patiently("a sign-in", async || {
            self.sign_in(provider, coach, email).await
        })
        .await
    }

    async fn sign_in(&self, provider: ProviderKind, coach: Uuid, email: &str) -> Option<Uuid> {
        let path = format!("connect/{provider}/{coach}");
        let begun = self.attempt(Method::GET, &path, None).await?;
        if begun.status != 200 {
            return None;
        }
        let cookie = begun.header("set-cookie")?.split(';').next()?.to_owned();
        let consent_page = begun.json()["authorization_url"].as_str()?.to_owned();

        let form = [("account", email), ("decision", "allow")];
        let agreed = read(self.http.post(consent_page).form(&form)).await?;
        let callback = agreed.header("location")?.to_owned();

        let path = callback.strip_prefix(PUBLIC_URL).expect("our address");
        let request = self.http.get(address(&self.node()?, path));
        let end = read(request.header("cookie", cookie)).await?;
        let end = Url::parse(end.header("location")?).expect("an address");
        parameter(&end, "connection_id")?.parse().ok()
    }
}

/// `path` lies below the API's base, or is absolute if it starts with a slash.
fn address(node: &Url, path: &str) -> Url {
    let path = match path.strip_prefix('/') {
        Some(_) => path.to_owned(),
        None => format!("/api/calendar-integration/{path}"),
    };
    node.join(&path).expect("a path")
}

async fn read(request: RequestBuilder) -> Option<Reply> {
    let answer = request.send().await.ok()?;
    Some(Reply {
        status: answer.status().as_u16(),
        headers: answer.headers().clone(),
        text: answer.text().await.ok()?,
    })
}

/// As `eventually`, with the patience that crashes need.
pub(super) async fn patiently<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < deadline, "did not happen: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}
