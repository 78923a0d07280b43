//! Requests against the whole endpoint: real database, simulated providers, and fakes of what runs
//! behind the ports.

mod appointments;
mod connections;
mod edge;
mod fakes;
mod fuzz;
mod idempotency;
mod sign_in;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use poem::Route;
use poem::endpoint::BoxEndpoint;
use poem::http::{Method, StatusCode};
use poem::test::{TestClient, TestRequestBuilder, TestResponse};
use poem::{EndpointExt, Response};
use secrecy::SecretString;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::fakes::{Fakes, HealthFake};
use super::{ApiState, BASE_PATH, BodyRoom, RequestLimits, StatusStreams, service};
use crate::changes::Changes;
use crate::config::{HttpConfig, RequestConfig, Section, Sources};
use crate::domain::{Clock, CoachId, ManualClock, ProviderKind, SeededEntropy};
use crate::oauth::{
    AllowedOrigins, ConnectFlow, OAuthClient, OAuthEndpoints, ReturnAddress, SignInProvider,
    UnderWay,
};
use crate::provider::google::{GoogleCalendar, GoogleEndpoints};
use crate::provider::http;
use crate::security::api_token::{Caller, Realm, Role, Signer, Trust, Verifier};
use crate::security::{KeyRing, generate_key_line};
use crate::simulator::{Simulator, SimulatorConfig};
use crate::store::Store;
use crate::traces::Traces;
use crate::webhooks::{Guard, Registrations, SystemLookup};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const CALLBACK: &str = "http://localhost:3001/api/calendar-integration/callback";

/// A control plane with everything it needs.
struct Bench {
    client: TestClient<BoxEndpoint<'static, Response>>,
    fakes: Arc<Fakes>,
    clock: Arc<ManualClock>,
    store: Store,
    bodies: BodyRoom,
    flow: Arc<ConnectFlow>,
    simulator: Simulator,
    http: reqwest::Client,
    _dir: TempDir,
}

impl Bench {
    async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With settings of the request limits.
    async fn with(limits: &[(&str, &str)]) -> Self {
        let requests = RequestConfig::load(&Sources::of_pairs(limits.iter().copied()));
        let requests = requests.expect("settings");
        let now = "2026-11-01T12:00:00Z".parse().expect("an instant");
        let clock = ManualClock::starting_at(now);
        let entropy = Arc::new(SeededEntropy::from_seed(5));
        let simulator =
            Simulator::start(SimulatorConfig::default(), clock.clone(), entropy.clone())
                .await
                .expect("a simulator");
        let dir = tempfile::tempdir().expect("a directory");
        let url = format!("sqlite://{}/test.db?mode=rwc", dir.path().display());
        let store = Store::open(&url.into()).await.expect("a database");
        store.migrate().await.expect("a schema");
        let fakes = Arc::new(Fakes::default());
        let http = http::client().expect("a client");
        let web = HttpConfig::load(&Sources::of_pairs([(
            "CORS_ORIGINS",
            "https://app.example.com",
        )]))
        .expect("settings");
        let origins = AllowedOrigins::of_origins(web.allowed_origins());
        let frontend = web.frontend_url.as_str();
        let line = generate_key_line("k1", &SeededEntropy::from_seed(1)).expect("a key");
        let flow = ConnectFlow {
            store: store.clone(),
            keys: KeyRing::parse(&line).expect("a key ring"),
            providers: BTreeMap::from([(
                ProviderKind::Google,
                google(&simulator, &http, clock.clone()),
            )]),
            frontend: ReturnAddress::parse(frontend, &origins).expect("an address"),
            origins,
            clock: clock.clone(),
            entropy: entropy.clone(),
            max_attempts: 80,
            under_way: UnderWay::default(),
        };
        let flow = Arc::new(flow);
        let trust = Trust::Secret(SecretString::from(SECRET));
        let webhooks = Registrations {
            store: store.clone(),
            keys: flow.keys.clone(),
            guard: Guard::new(false, Arc::new(SystemLookup)),
            clock: clock.clone(),
            entropy: entropy.clone(),
        };
        let bodies = BodyRoom::default();
        let state = ApiState {
            store: store.clone(),
            verifier: Arc::new(Verifier::new(
                trust,
                Realm::default(),
                http.clone(),
                clock.clone(),
            )),
            limits: RequestLimits::new(requests, clock.clone()),
            bodies: bodies.clone(),
            flow: flow.clone(),
            webhooks,
            waker: fakes.clone(),
            live: fakes.clone(),
            health: Arc::new(HealthFake),
            traces: Traces::off(),
            clock: clock.clone(),
            entropy,
            changes: Changes::default(),
            streams: StatusStreams::new(16, CancellationToken::new()),
            web,
            max_attempts: 80,
        };
        Self {
            client: TestClient::new(service(state, Route::new()).boxed()),
            fakes,
            clock,
            store,
            bodies,
            flow,
            simulator,
            http,
            _dir: dir,
        }
    }

    fn token(&self, role: Role, subject: &str) -> String {
        let caller = Caller::new(role, subject).expect("a caller");
        let signer = Signer::new(&SecretString::from(SECRET), Realm::default());
        let token = signer.sign(&caller, Duration::from_secs(3600), self.clock.now());
        secrecy::ExposeSecret::expose_secret(&token).to_owned()
    }

    fn request(&self, method: Method, path: &str, token: &str) -> Ask<'_> {
        let request = self
            .client
            .request(method, format!("{BASE_PATH}{path}"))
            .header("Authorization", format!("Bearer {token}"));
        Ask(request)
    }

    fn as_platform(&self, method: Method, path: &str) -> Ask<'_> {
        self.request(method, path, &self.token(Role::Service, "booking"))
    }

    fn as_operator(&self, method: Method, path: &str) -> Ask<'_> {
        self.request(method, path, &self.token(Role::Admin, "ops"))
    }

    fn as_coach(&self, coach: CoachId, method: Method, path: &str) -> Ask<'_> {
        self.request(method, path, &self.token(Role::Coach, &coach.to_string()))
    }
}

fn google(simulator: &Simulator, http: &reqwest::Client, clock: Arc<dyn Clock>) -> SignInProvider {
    let endpoints = GoogleEndpoints {
        api: simulator.google_api_url(),
        userinfo: simulator.google_userinfo_url(),
    };
    SignInProvider {
        oauth: OAuthClient::google(
            http.clone(),
            "demo-google-client".to_owned(),
            &"demo-google-secret".into(),
            CALLBACK.parse().expect("an address"),
            OAuthEndpoints {
                authorize: simulator.google_auth_url(),
                token: simulator.google_token_url(),
                revoke: Some(simulator.google_revoke_url()),
            },
        ),
        calendars: Arc::new(GoogleCalendar::new(http.clone(), endpoints, clock)),
    }
}

/// A request about to be sent.
struct Ask<'a>(TestRequestBuilder<'a, BoxEndpoint<'static, Response>>);

impl Ask<'_> {
    fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    fn json(self, body: &Value) -> Self {
        Self(self.0.body_json(body))
    }

    async fn send(self) -> TestResponse {
        self.0.send().await
    }

    /// The JSON of an answer that must have this status.
    async fn answers(self, status: StatusCode) -> Value {
        read(self.send().await, status).await
    }

    /// The code of a problem that must have this status.
    async fn refused(self, status: StatusCode) -> String {
        let response = self.send().await;
        response.assert_content_type("application/problem+json");
        let body = read(response, status).await;
        body["code"].as_str().expect("a code").to_owned()
    }
}

async fn read(response: TestResponse, status: StatusCode) -> Value {
    let found = response.0.status();
    let text = response.0.into_body().into_string().await.expect("a text");
    assert_eq!(found, status, "{text}");
    serde_json::from_str(&text).expect("JSON")
}

fn coach(n: u128) -> CoachId {
    CoachId(Uuid::from_u128(n))
}

fn appointment(coach: CoachId) -> Value {
    json!({
        "coach_id": coach,
        "status": "scheduled",
        "starts_at": "2026-11-02T10:00:00+01:00",
        "ends_at": "2026-11-02T11:00:00+01:00",
        "time_zone": "Europe/Berlin",
        "client": {"name": "Zoë", "email": "zoe@example.com"},
    })
}
