//! A token endpoint with memory: codes, refresh tokens, and answers out of order on request.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use data_encoding::BASE64URL_NOPAD;
use poem::http::StatusCode;
use poem::listener::{Acceptor, Listener, TcpListener};
use poem::web::{Data, Form};
use poem::{EndpointExt, Response, Route, Server, handler, post};
use sha2::{Digest, Sha256};
use url::Url;

/// What the server says instead of doing its work.
#[derive(Clone, Debug)]
pub(super) enum Answers {
    This {
        status: u16,
        headers: Vec<(String, String)>,
        body: String,
    },
    Never,
}

impl Answers {
    pub(super) fn json(status: u16, body: &str) -> Self {
        Self::This {
            status,
            headers: Vec::new(),
            body: body.to_owned(),
        }
    }

    pub(super) fn error(code: &str) -> Self {
        let body =
            format!(r#"{{"error":"{code}","error_description":"text","error_codes":[65001]}}"#);
        Self::json(400, &body)
    }

    pub(super) fn with_header(mut self, name: &str, value: &str) -> Self {
        if let Self::This { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }
}

#[derive(Default)]
struct State {
    /// Code to challenge and scope.
    codes: HashMap<String, (String, String)>,
    access: HashSet<String>,
    /// Refresh token to scope.
    refresh: HashMap<String, String>,
    issued: u32,
    rotates: bool,
    grants_only: Option<String>,
    answers: Option<Answers>,
    led_elsewhere: bool,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<State>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panicked in here")
    }
}

pub(super) struct TokenServer {
    pub(super) url: Url,
    state: Shared,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl TokenServer {
    pub(super) async fn start() -> Self {
        let state = Shared::default();
        let acceptor = TcpListener::bind("127.0.0.1:0")
            .into_acceptor()
            .await
            .expect("a port");
        let address = acceptor.local_addr().remove(0);
        let url = format!("http://{}", address.as_socket_addr().expect("a socket"));
        let routes = Route::new()
            .at("/token", post(token))
            .at("/common/oauth2/v2.0/token", post(microsoft_token))
            .at("/revoke", post(revoke))
            .at("/elsewhere", post(elsewhere))
            .data(state.clone());
        let task = tokio::spawn(async move {
            Server::new_with_acceptor(acceptor)
                .run(routes)
                .await
                .expect("the server runs");
        });
        Self {
            url: url.parse().expect("an address"),
            state,
            task,
        }
    }

    /// What the consent screen does: remembers the challenge and gives out a code.
    pub(super) fn consent(&self, authorize: &Url) -> String {
        let mut asked: HashMap<_, _> = authorize.query_pairs().into_owned().collect();
        assert_eq!(asked["code_challenge_method"], "S256");
        let mut state = self.state.lock();
        let scope = state
            .grants_only
            .clone()
            .unwrap_or_else(|| asked["scope"].clone());
        let challenge = asked.remove("code_challenge").expect("a challenge");
        let code = state.next("code");
        state.codes.insert(code.clone(), (challenge, scope));
        code
    }

    pub(super) fn accepts(&self, access_token: &str) -> bool {
        self.state.lock().access.contains(access_token)
    }

    pub(super) fn grant_only(&self, scope: &str) {
        self.state.lock().grants_only = Some(scope.to_owned());
    }

    pub(super) fn rotate(&self) {
        self.state.lock().rotates = true;
    }

    pub(super) fn answer_with(&self, answers: Answers) {
        self.state.lock().answers = Some(answers);
    }

    pub(super) fn was_led_elsewhere(&self) -> bool {
        self.state.lock().led_elsewhere
    }
}

type Fields = HashMap<String, String>;

impl State {
    fn next(&mut self, word: &str) -> String {
        self.issued += 1;
        format!("{word}-{}", self.issued)
    }

    fn token(&mut self, form: &Fields) -> Response {
        let field = |name: &str| form.get(name).map_or("", String::as_str);
        if field("client_id") != "client" || field("client_secret") != super::SECRET {
            return json(401, r#"{"error":"invalid_client"}"#);
        }
        let (scope, rotated) = match field("grant_type") {
            "authorization_code" => match self.redeem(form) {
                Some(scope) => (scope, true),
                None => return json(400, r#"{"error":"invalid_grant"}"#),
            },
            "refresh_token" => match self.refresh.get(field("refresh_token")).cloned() {
                Some(scope) => {
                    if self.rotates {
                        self.refresh.remove(field("refresh_token"));
                    }
                    (scope, self.rotates)
                }
                None => return json(400, r#"{"error":"invalid_grant"}"#),
            },
            _ => return json(400, r#"{"error":"unsupported_grant_type"}"#),
        };
        self.issue(&scope, rotated)
    }

    fn redeem(&mut self, form: &Fields) -> Option<String> {
        let (challenge, scope) = self.codes.remove(form.get("code")?)?;
        let proof = BASE64URL_NOPAD.encode(&Sha256::digest(form.get("code_verifier")?));
        let same_redirect = form.get("redirect_uri")? == "http://localhost/callback";
        (proof == challenge && same_redirect).then_some(scope)
    }

    /// As Microsoft does, `offline_access` is not named among what is granted.
    fn issue(&mut self, scope: &str, with_refresh_token: bool) -> Response {
        let access = self.next("access");
        self.access.insert(access.clone());
        let named = scope.replace("offline_access ", "");
        let mut body = serde_json::json!({
            "access_token": access, "token_type": "Bearer", "expires_in": 3599, "scope": named,
        });
        if with_refresh_token {
            let refresh = self.next("refresh");
            self.refresh.insert(refresh.clone(), scope.to_owned());
            body["refresh_token"] = refresh.into();
        }
        json(200, &body.to_string())
    }
}

fn json(status: u16, body: &str) -> Response {
    Response::builder()
        .status(StatusCode::from_u16(status).expect("a status"))
        .content_type("application/json; charset=utf-8")
        .body(body.to_owned())
}

async fn out_of_order(answers: Answers) -> Response {
    match answers {
        Answers::This {
            status,
            headers,
            body,
        } => {
            let mut response = json(status, &body);
            for (name, value) in headers {
                let name = poem::http::HeaderName::try_from(name).expect("a name");
                let value = poem::http::HeaderValue::try_from(value).expect("a value");
                response.headers_mut().insert(name, value);
            }
            response
        }
        Answers::Never => futures::future::pending().await,
    }
}

#[handler]
async fn token(state: Data<&Shared>, Form(form): Form<Fields>) -> Response {
    answer(&state, &form).await
}

/// Microsoft's form names the scopes at the token endpoint too.
#[handler]
async fn microsoft_token(state: Data<&Shared>, Form(form): Form<Fields>) -> Response {
    match form.get("scope").map(String::as_str) {
        Some("offline_access User.Read Calendars.ReadWrite") => answer(&state, &form).await,
        Some(_) | None => json(400, r#"{"error":"invalid_scope"}"#),
    }
}

async fn answer(state: &Shared, form: &Fields) -> Response {
    let answers = state.lock().answers.clone();
    match answers {
        Some(answers) => out_of_order(answers).await,
        None => state.lock().token(form),
    }
}

#[handler]
async fn revoke(state: Data<&Shared>, Form(form): Form<Fields>) -> Response {
    let answers = state.lock().answers.clone();
    match answers {
        Some(answers) => out_of_order(answers).await,
        None if state.lock().refresh.remove(&form["token"]).is_some() => json(200, "{}"),
        None => json(400, r#"{"error":"invalid_token"}"#),
    }
}

#[handler]
async fn elsewhere(state: Data<&Shared>) {
    state.lock().led_elsewhere = true;
}
