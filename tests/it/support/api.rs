//! A small client of the daemon's HTTP API, in one role.

use std::time::Instant;

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use super::{PATIENCE, PAUSE, Session, eventually};

/// Speaks for one caller; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    pub(super) http: reqwest::Client,
    pub(super) daemon: Url,
    /// None: nobody.
    pub(super) token: Option<String>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// The body, if the status is the expected one.
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()
    }

    /// The code of a problem, if the status is the expected one.
    pub(crate) fn problem(self, status: u16) -> String {
        let kind = self.headers.get("content-type").cloned();
        let body = self.expect(status);
        assert_eq!(kind.expect("a type"), "application/problem+json");
        assert_eq!(body["status"], status);
        body["code"].as_str().expect("a code").to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Api {
    pub(crate) fn with_token(self, token: &str) -> Self {
        Self {
            token: Some(token.to_owned()),
            ..self
        }
    }

    /// `path` lies below the API's base, or is absolute if it starts with a slash.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Reply {
        self.send_with(method, path, &[], body).await
    }

    /// As [`send`](Self::send), with further headers.
    pub(crate) async fn send_with(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Reply {
        let request = self.request(method, path);
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        Reply::read(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }

    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, self.url(path));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    fn url(&self, path: &str) -> Url {
        let path = match path.strip_prefix('/') {
            Some(_) => path.to_owned(),
            None => format!("/api/calendar-integration/{path}"),
        };
        self.daemon.join(&path).expect("a path")
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, None).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::PUT, path, Some(body)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Option<&Value>) -> Reply {
        self.send(Method::POST, path, body).await
    }

    /// The status, if there is an answer at all: whoever is asked may die.
    pub(crate) async fn try_post(&self, path: &str, body: &Value) -> Option<u16> {
        let answer = self.request(Method::POST, path).json(body).send().await;
        Some(answer.ok()?.status().as_u16())
    }

    /// The status, if there is an answer at all.
    pub(crate) async fn try_post_with_key(&self, path: &str, key: &str) -> Option<u16> {
        let request = self.request(Method::POST, path);
        let answer = request.header("idempotency-key", key).send().await;
        Some(answer.ok()?.status().as_u16())
    }

    /// The answer, if there is one at all.
    pub(crate) async fn try_put(&self, path: &str, body: &Value) -> Option<Reply> {
        Reply::try_read(self.request(Method::PUT, path).json(body)).await
    }

    /// The answer, if there is one at all.
    pub(crate) async fn try_get(&self, path: &str) -> Option<Reply> {
        Reply::try_read(self.request(Method::GET, path)).await
    }

    /// Sends a body of any kind.
    pub(crate) async fn send_text(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: String,
    ) -> Reply {
        let request = self.request(method, path).header("content-type", kind);
        Reply::read(request.body(body)).await
    }

    pub(crate) fn token(&self) -> &str {
        self.token.as_deref().unwrap_or_default()
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.send(Method::DELETE, path, None).await
    }

    /// Reports an appointment; the answer's outcome. As a platform does it: what is answered 503 was not
    /// taken, and is sent again. A busy machine answers so where a hundred report at once.
    pub(crate) async fn report(&self, session: &Session) -> String {
        let path = format!("appointments/{}", session.id);
        let body = session.body();
        let deadline = Instant::now() + PATIENCE;
        let mut reply = self.put(&path, &body).await;
        while reply.status == 503 && Instant::now() < deadline {
            tokio::time::sleep(PAUSE).await;
            reply = self.put(&path, &body).await;
        }
        let is_success = StatusCode::from_u16(reply.status).is_ok_and(|status| status.is_success());
        assert!(is_success, "{}", reply.text);
        text(&reply.json()["outcome"])
    }

    /// As [`report`](Self::report), until it is answered: a daemon without descriptors hangs up on some.
    pub(crate) async fn report_again_and_again(&self, session: &Session) {
        let path = format!("appointments/{}", session.id);
        eventually("the report is taken", async || {
            let request = self.request(Method::PUT, &path).json(&session.body());
            let answer = request.send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
    }

    /// The one connection with this id among its coach's.
    pub(crate) async fn connection(&self, coach: Uuid, id: Uuid) -> Value {
        let body = self.get(&format!("connections/{coach}")).await.expect(200);
        let all = body["connections"].as_array().expect("a list").clone();
        let found = all.into_iter().find(|one| one["id"] == id.to_string());
        found.expect("the connection")
    }

    pub(crate) async fn change(&self, connection: Uuid, settings: &Value) -> Value {
        let path = format!("connections/{connection}");
        self.put(&path, settings).await.expect(200)
    }

    pub(crate) async fn sync_now(&self, connection: Uuid) -> Value {
        let path = format!("connections/{connection}/sync");
        self.post(&path, None).await.expect(202)
    }

    pub(crate) async fn sync_status(&self, connection: Uuid) -> Value {
        let path = format!("connections/{connection}/sync-status");
        self.get(&path).await.expect(200)
    }

    /// How an appointment stands in one connection.
    pub(crate) async fn standing(&self, appointment: Uuid, connection: Uuid) -> Value {
        let path = format!("appointments/{appointment}");
        let body = self.get(&path).await.expect(200);
        let all = body["connections"].as_array().expect("a list").clone();
        let wanted = connection.to_string();
        let found = all.into_iter().find(|one| one["connection_id"] == wanted);
        found.expect("the connection's standing")
    }

    /// Waits until nothing is queued or under way for the connection; what failed for good may be.
    pub(crate) async fn settled(&self, connection: Uuid) -> Value {
        eventually("the connection has nothing left to do", async || {
            let status = self.sync_status(connection).await;
            let is_quiet =
                status["pending"] == 0 && status["processing"] == 0 && status["current"].is_null();
            is_quiet.then_some(status)
        })
        .await
    }
}

impl Reply {
    pub(super) async fn read(request: RequestBuilder) -> Self {
        Self::try_read(request).await.expect("an answer")
    }

    async fn try_read(request: RequestBuilder) -> Option<Self> {
        let answer = request.send().await.ok()?;
        Some(Self {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            text: match is_stream(&answer) {
                // It has no end.
                true => String::new(),
                false => answer.text().await.ok()?,
            },
        })
    }
}

fn is_stream(answer: &reqwest::Response) -> bool {
    answer
        .headers()
        .get("content-type")
        .is_some_and(|kind| kind == "text/event-stream")
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
