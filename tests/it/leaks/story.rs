//! The story that is told to the daemon, and what is heard and seen of it meanwhile.

use calendar_integration::domain::{ProviderKind, Timestamp};
use calendar_integration::simulator::{CallKind, FaultEffect, FaultRule, OAuthClient};
use chrono::TimeDelta;
use reqwest::Method;
use rustix::process::Signal;
use secrecy::ExposeSecret;
use serde_json::json;
use uuid::Uuid;

use super::secrets::{Kind, Secrets};
use super::{EVERYTHING, RealDaemon};
use crate::support::{
    Api, Browser, Collector, Consent, JWT_SECRET, Reply, Session, Setup, TestDaemon, eventually,
    parameter,
};

pub(super) const ACCOUNT: &str = "leakyaccount@example.com";
const SECRETS: [(&str, &str); 2] = [
    ("GOOGLE_CLIENT_SECRET", "leaky-secret-of-google"),
    ("MICROSOFT_CLIENT_SECRET", "leaky-secret-of-microsoft"),
];

/// What the platform says of a client.
pub(super) struct Details {
    name: &'static str,
    email: &'static str,
    pub(super) notes: Option<&'static str>,
    location: Option<&'static str>,
    meeting_url: Option<&'static str>,
}

pub(super) const FIRST: Details = Details {
    name: "Leakyname-Wilhelmina",
    email: "leakymail-wilhelmina@example.com",
    notes: Some("leakynote-of-the-divorce"),
    location: Some("leakyplace-behind-the-church"),
    meeting_url: Some("https://meet.example.com/leakylink-wilhelmina"),
};
const SECOND: Details = Details {
    name: "Leakyname-Beatrice",
    email: "leakymail-beatrice@example.com",
    notes: Some("leakynote-of-the-merger"),
    location: Some("leakyplace-at-the-harbour"),
    meeting_url: Some("https://meet.example.com/leakylink-beatrice"),
};

impl Details {
    pub(super) fn session(&self, coach: Uuid, now: Timestamp) -> Session {
        Session {
            client: self.name,
            email: self.email,
            notes: self.notes,
            location: self.location,
            meeting_url: self.meeting_url,
            ..Session::tomorrow(coach, now)
        }
    }

    pub(super) fn note(&self, secrets: &mut Secrets) {
        let all = [
            Some(self.name),
            Some(self.email),
            self.notes,
            self.location,
            self.meeting_url,
        ];
        for text in all.into_iter().flatten() {
            secrets.add(Kind::Client, "a client's detail", text);
        }
    }
}

pub(super) struct Story {
    pub(super) daemon: TestDaemon,
    /// Where the traces of all processes arrive.
    collector: Collector,
    pub(super) secrets: Secrets,
    /// What each process wrote to standard error.
    logs: Vec<(String, String)>,
    /// What was answered to whom, and which kinds may be in it.
    answers: Vec<(String, String, Vec<Kind>)>,
}

impl Story {
    pub(super) async fn prepare() -> Self {
        let [google, microsoft] = SECRETS;
        let collector = Collector::start().await;
        let mut daemon = Setup::default()
            .set("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())
            .set(google.0, google.1)
            .set(microsoft.0, microsoft.1)
            .simulate(|config| {
                config.google_clients = vec![OAuthClient::new("demo-google-client", google.1)];
                config.microsoft_clients =
                    vec![OAuthClient::new("demo-microsoft-client", microsoft.1)];
            })
            .start()
            .await;
        daemon.stop().await;
        let mut secrets = Secrets::default();
        FIRST.note(&mut secrets);
        SECOND.note(&mut secrets);
        secrets.add(Kind::Account, "a coach's account", ACCOUNT);
        for (name, secret) in SECRETS {
            secrets.add(Kind::Credential, name, secret);
        }
        secrets.add(Kind::Credential, "AUTH_JWT_SECRET", JWT_SECRET);
        let keys = daemon.setting("TOKEN_ENCRYPTION_KEYS");
        secrets.add(Kind::Credential, "TOKEN_ENCRYPTION_KEYS", keys);
        Self {
            daemon,
            collector,
            secrets,
            logs: Vec::new(),
            answers: Vec::new(),
        }
    }

    pub(super) async fn start(&mut self, changed: &[(&str, &str)]) -> RealDaemon {
        let loud = [("RUST_LOG", "trace"), ("RUST_BACKTRACE", "full")];
        let settings = [&loud, changed].concat();
        let process = RealDaemon::start(&self.daemon, &settings, "").await;
        for api in [process.service(&self.daemon), process.admin(&self.daemon)] {
            self.secrets
                .add(Kind::Credential, "an API token", api.token());
        }
        process
    }

    pub(super) async fn end(&mut self, process: RealDaemon) {
        process.signal(Signal::TERM);
        let last_words = process.last_words().await;
        self.hear("a process", last_words);
    }

    pub(super) fn hear(&mut self, who: &str, said: String) {
        self.logs.push((who.to_owned(), said));
    }

    /// Whether the last process that ended said this.
    pub(super) fn said(&self, text: &str) -> bool {
        self.logs
            .last()
            .is_some_and(|(_, said)| said.contains(text))
    }

    pub(super) fn keep(&mut self, what: impl Into<String>, reply: &Reply, may_hold: &[Kind]) {
        let text = format!("{:?} {}", reply.headers, reply.text);
        self.answers.push((what.into(), text, may_hold.to_vec()));
    }

    pub(super) fn answer(&mut self, what: &str, text: String) {
        self.answers.push((what.to_owned(), text, Vec::new()));
    }

    /// Tokens end with their grant: they must be noted while they are good.
    fn note_tokens(&mut self) {
        for secret in self.daemon.calendars.secrets() {
            let text = secret.expose_secret();
            self.secrets
                .add(Kind::Credential, "a provider's token", text);
        }
    }

    /// One sign-in that the provider refuses with an echo, one that the coach refuses, one that stays
    /// open, and one that ends in a connection.
    pub(super) async fn sign_ins(
        &mut self,
        process: &RealDaemon,
        provider: ProviderKind,
        coach: Uuid,
    ) -> Uuid {
        for (at, consent) in [
            (Some(CallKind::TokenExchange), Consent::Allow),
            (Some(CallKind::Calendars), Consent::Allow),
            (None, Consent::Deny),
        ] {
            if let Some(at) = at {
                let echo = FaultRule::once(FaultEffect::Echo { status: 400 }).on(provider);
                self.daemon.fail(echo.at(at));
            }
            let end = self.sign_in(process, provider, coach, consent).await;
            assert!(parameter(&end, "error").is_some(), "{end}");
            self.daemon.calendars.clear_faults();
        }
        let mut open = Browser::at(&self.daemon, process.url().clone());
        let page = open.begin(provider, coach, "").await;
        let state = parameter(&page, "state").expect("a state");
        self.secrets
            .add(Kind::Credential, "the state of a sign-in", &state);
        self.connect(process, provider, coach).await
    }

    async fn connect(&mut self, process: &RealDaemon, provider: ProviderKind, coach: Uuid) -> Uuid {
        let url = self.sign_in(process, provider, coach, Consent::Allow).await;
        let id = parameter(&url, "connection_id");
        id.expect("connected").parse().expect("an id")
    }

    async fn sign_in(
        &mut self,
        process: &RealDaemon,
        provider: ProviderKind,
        coach: Uuid,
        consent: Consent,
    ) -> url::Url {
        let mut browser = Browser::at(&self.daemon, process.url().clone());
        let page = browser.begin(provider, coach, "").await;
        let state = parameter(&page, "state").expect("a state");
        let cookie = browser.cookie().expect("a cookie").to_owned();
        let callback = browser.decide(page, ACCOUNT, consent).await;
        let end = browser.come_back(&callback).await;
        self.note_tokens();
        for (what, text) in [("a state", &state), ("a browser's cookie", &cookie)] {
            self.secrets.add(Kind::Credential, what, text);
        }
        let coach = process.coach(&self.daemon, coach);
        self.secrets
            .add(Kind::Credential, "an API token", coach.token());
        self.answer("where a sign-in ends", end.to_string());
        end
    }

    /// Everything that happens to appointments, with a provider that repeats what it is sent.
    pub(super) async fn work(
        &mut self,
        process: &RealDaemon,
        provider: ProviderKind,
        coach: Uuid,
        connection: Uuid,
    ) {
        let (service, admin) = (process.service(&self.daemon), process.admin(&self.daemon));
        let share = async |shared: bool| {
            let settings = json!({"include_client_details": shared});
            service.change(connection, &settings).await;
            service.settled(connection).await;
        };
        let [first, second] = [&FIRST, &SECOND].map(|of| of.session(coach, self.daemon.now()));
        let path = format!("connections/{connection}/test");
        service.report(&first).await;
        service.settled(connection).await;
        share(true).await;
        self.daemon
            .event(provider, ACCOUNT, first.id, |event| {
                event.title.contains(FIRST.name)
            })
            .await;

        for (call, status) in [
            (CallKind::Create, 500),
            (CallKind::Create, 400),
            (CallKind::Update, 403),
            (CallKind::Update, 500),
            (CallKind::Batch, 500),
            (CallKind::Batch, 400),
            (CallKind::Delete, 500),
        ] {
            let rule = FaultRule::once(FaultEffect::Echo { status }).on(provider);
            self.daemon.fail(rule.at(call));
        }
        let moved = first.clone().moved(TimeDelta::hours(1));
        let more = SECOND.session(coach, self.daemon.now());
        let batch = json!({"appointments": [moved.item(), second.item(), more.item()]});
        let key = "leaky-idempotency-key";
        self.secrets
            .add(Kind::Credential, "an Idempotency-Key", key);
        let headers = [("idempotency-key", key)];
        let reply = service
            .send_with(Method::POST, "appointments/batch", &headers, Some(&batch))
            .await;
        self.keep("a batch", &reply, &[]);
        service.settled(connection).await;
        let more = more.with_status("cancelled");
        service.report(&more).await;
        service.settled(connection).await;
        self.keep("failed jobs", &admin.get("queue?status=failed").await, &[]);
        self.daemon.calendars.clear_faults();
        admin.post("queue/retry-failed", None).await.expect(202);
        service.settled(connection).await;

        let rule = FaultRule::once(FaultEffect::Echo { status: 500 }).on(provider);
        self.daemon.fail(rule.at(CallKind::Refresh));
        self.daemon
            .calendars
            .expire_access_tokens(provider, ACCOUNT);
        service
            .report(&moved.clone().moved(TimeDelta::hours(1)))
            .await;
        service.settled(connection).await;
        self.note_tokens();
        for status in [403, 500] {
            let rule = FaultRule::once(FaultEffect::Echo { status }).on(provider);
            self.daemon.fail(rule.at(CallKind::Calendars));
            let reply = service.post(&path, None).await;
            self.keep("a test that failed", &reply, &[Kind::Account]);
            assert_eq!(reply.expect(200)["ok"], false);
        }
        self.daemon.calendars.clear_faults();
        share(false).await;
        share(true).await;
    }

    pub(super) async fn loses_and_regains_access(
        &mut self,
        process: &RealDaemon,
        provider: ProviderKind,
        coach: Uuid,
    ) {
        let service = process.service(&self.daemon);
        self.note_tokens();
        match provider {
            ProviderKind::Google => {
                self.daemon.calendars.revoke(provider, ACCOUNT);
            }
            // Says as much, and more than it should.
            ProviderKind::Outlook => {
                let echo = FaultRule::once(FaultEffect::Echo { status: 400 }).on(provider);
                self.daemon.fail(echo.at(CallKind::Refresh));
                self.daemon
                    .calendars
                    .expire_access_tokens(provider, ACCOUNT);
            }
        }
        let session = FIRST.session(coach, self.daemon.now());
        service.report(&session).await;
        let path = format!("connections/{coach}");
        eventually("it needs a new sign-in", async || {
            let reply = service.get(&path).await;
            let needs = reply.text.contains("needs_reauth");
            needs.then(|| self.keep("connections", &reply, &[Kind::Account]))
        })
        .await;
        self.connect(process, provider, coach).await;
        self.daemon
            .event(provider, ACCOUNT, session.id, |_| true)
            .await;
    }

    /// Reports a change until it is taken, and waits until the process is through with it or dead.
    pub(super) async fn reports_until_taken(&mut self, process: &RealDaemon, coach: Uuid) {
        let api = process.service(&self.daemon);
        let session = SECOND.session(coach, self.daemon.now());
        let path = format!("appointments/{}", session.id);
        for _ in 0..2 {
            let reply = api.try_put(&path, &session.body()).await;
            let Some(reply) = reply else { return };
            self.keep("a report", &reply, &[]);
        }
        eventually("it is carried, or nobody is left to ask", async || {
            let Some(reply) = api.try_get(&path).await else {
                return Some(());
            };
            let synced = reply.text.matches(r#""sync_status":"synced""#).count();
            (synced == ProviderKind::ALL.len()).then_some(())
        })
        .await;
    }

    /// One calendar is given up with events in it, then every appointment is erased.
    pub(super) async fn erases_everything(
        &mut self,
        process: &RealDaemon,
        coach: Uuid,
        ended: Uuid,
    ) {
        let service = process.service(&self.daemon);
        let stored = "SELECT status FROM appointments";
        let list = service.get(&format!("appointments?coach_id={coach}")).await;
        let list = list.expect(200)["appointments"].clone();
        let ids = list.as_array().expect("a list").iter();
        let ids: Vec<_> = ids.map(|one| one["id"].as_str().expect("an id")).collect();
        assert!(ids.len() > 4, "{ids:?}");
        self.note_tokens();
        let path = format!("connections/{ended}");
        service.delete(&path).await.expect(200);
        for id in ids {
            let path = format!("appointments/{id}");
            service.delete(&path).await.expect(202);
        }
        eventually("no appointment is left", async || {
            let left = self.daemon.database.texts(stored, 0).await;
            left.is_empty().then_some(())
        })
        .await;
    }

    /// Everything that can be looked at, by those who may.
    pub(super) async fn look_around(
        &mut self,
        process: &RealDaemon,
        coach: Uuid,
        connections: &[Uuid],
    ) {
        let (nobody, admin) = (process.nobody(&self.daemon), process.admin(&self.daemon));
        for path in [
            "/health/live",
            "/health/ready",
            "/openapi.json",
            "/docs",
            "/dashboard",
        ] {
            self.keep(path, &nobody.get(path).await, &[]);
        }
        for path in [
            "/metrics",
            "/health/actors",
            "audit?limit=200",
            "queue?limit=200",
        ] {
            let reply = admin.get(path).await;
            assert_eq!(reply.status, 200, "{path}: {}", reply.text);
            self.keep(path, &reply, &[]);
        }
        let account = [Kind::Account];
        let path = format!("connections/{coach}");
        self.keep("connections", &admin.get(&path).await, &account);
        for id in connections {
            let status = admin.get(&format!("connections/{id}/sync-status")).await;
            self.keep("sync-status", &status, &[]);
            let calendars = admin.get(&format!("connections/{id}/calendars")).await;
            self.keep("calendars", &calendars, &account);
        }
    }

    /// `may` says whether a kind may be in a table.
    pub(super) async fn search_tables(&self, may: impl Fn(&str, Kind) -> bool) {
        let rows = self.daemon.database.rows().await;
        assert!(rows.len() > 5, "{rows:?}");
        for (table, row) in rows {
            let kinds: Vec<Kind> = EVERYTHING
                .into_iter()
                .filter(|kind| !may(&table, *kind))
                .collect();
            let found = self.secrets.in_text(row.as_bytes(), &kinds);
            assert!(found.is_empty(), "table {table}: {found:?} in {row}");
        }
    }

    pub(super) fn search_logs_answers_and_files(&self) {
        assert!(self.secrets.count(Kind::Credential) > 30);
        for (who, said) in &self.logs {
            assert!(said.contains(r#""level":"TRACE""#), "{who} was not loud");
            let found = self.secrets.in_text(said.as_bytes(), &EVERYTHING);
            assert!(
                found.is_empty(),
                "log of {who}: {:#?}",
                lines(said, &self.secrets)
            );
        }
        for (what, text, may_hold) in &self.answers {
            let mut kinds = EVERYTHING.to_vec();
            kinds.retain(|kind| !may_hold.contains(kind));
            let found = self.secrets.in_text(text.as_bytes(), &kinds);
            assert!(found.is_empty(), "{what}: {found:?} in {text}");
        }
        assert!(!self.collector.spans().is_empty());
        let found = self.secrets.in_text(&self.collector.bytes(), &EVERYTHING);
        assert!(found.is_empty(), "spans: {found:?}");
        for (name, content) in self.daemon.database.files() {
            let found = self.secrets.in_text(&content, &EVERYTHING);
            assert!(found.is_empty(), "file {name}: {found:?}");
        }
    }

    pub(super) fn api(&self, process: &RealDaemon, token: &str) -> Api {
        process.nobody(&self.daemon).with_token(token)
    }
}

/// The first lines with something in them, and what.
fn lines(said: &str, secrets: &Secrets) -> Vec<(Vec<String>, String)> {
    let found = said.lines().filter_map(|line| {
        let found = secrets.in_text(line.as_bytes(), &EVERYTHING);
        (!found.is_empty()).then(|| (found, line.chars().take(2_000).collect()))
    });
    found.take(5).collect()
}
