//! Carries a script out: one daemon or two, their providers, and the desk that keeps the wishes.

use std::cell::RefCell;
use std::time::Duration;

use calendar_integration::domain::ProviderKind;
use calendar_integration::simulator::{CoachEdit, EventSelector, SimulatorConfig};
use chrono::TimeDelta;
use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use super::desk::{Desk, UNTOUCHED};
use super::script::{ByHand, Change, Step, Via, script};
use crate::support::{
    Api, Browser, Consent, Node, Reply, Session, Setup, TestDaemon, eventually, is_postgres,
    parameter,
};

pub(super) struct Run {
    pub(super) first: TestDaemon,
    /// On PostgreSQL.
    second: Option<Node>,
    pub(super) desk: Desk,
    pub(super) story: Story,
}

/// The seed and the steps so far; told by a run that fails.
pub(super) struct Story {
    seed: u64,
    count: usize,
    steps: Vec<String>,
    /// What was seen last of work that should end.
    pub(super) last_look: RefCell<String>,
}

impl Drop for Story {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let (steps, seen) = (self.steps.join("\n  "), self.last_look.borrow());
            self.tell(&format!("failed after {steps}\n{seen}"));
        }
    }
}

impl Story {
    fn note(&mut self, what: String) {
        self.steps.push(what);
    }

    #[expect(clippy::print_stderr, reason = "a seed nobody sees cannot be replayed")]
    fn tell(&self, what: &str) {
        let Self { seed, count, .. } = self;
        eprintln!("MODEL_SEED={seed} MODEL_STEPS={count}: {what}");
    }
}

pub(super) async fn run(seed: u64, steps: usize) {
    let story = Story {
        seed,
        count: steps,
        steps: Vec::new(),
        last_look: RefCell::default(),
    };
    story.tell("begins");
    let mut run = Run::start(seed, story).await;
    for step in script(seed, steps) {
        run.story.note(format!("{step:?}"));
        run.carry_out(step).await;
    }
    run.story.note("the end".to_owned());
    run.conclude().await;
}

/// Where the documents leave an outcome open, runs see one or the other.
fn provider_habits(seed: u64, config: &mut SimulatorConfig) {
    let mut dice = StdRng::seed_from_u64(seed ^ 0x5eed);
    config.seed = seed;
    let limits = &mut config.limits;
    limits.google_refuses_undelete = dice.random_bool(0.3);
    limits.microsoft_strict_rotation = dice.random_bool(0.3);
    limits.microsoft_duplicate_names_event = dice.random_bool(0.5);
    limits.microsoft_transaction_outlives_event = dice.random_bool(0.5);
    limits.microsoft_deleted_readable = dice.random_bool(0.5);
    limits.page_cap = dice.random_bool(0.3).then_some(2);
    limits.latency = Duration::from_millis(dice.random_range(0..30));
}

impl Run {
    async fn start(seed: u64, story: Story) -> Self {
        let first = Setup::default()
            .set("SYNC_MAX_ATTEMPTS", "10000")
            .calls_last_at_most(Duration::from_secs(1))
            .simulate(|config| provider_habits(seed, config))
            .start()
            .await;
        let desk = Desk::new(seed, first.now());
        let mut run = Self {
            first,
            second: None,
            desk,
            story,
        };
        run.start_second().await;
        for calendar in 0..run.desk.calendars.len() {
            assert!(run.sign_in(calendar).await, "nothing is in the way yet");
        }
        run
    }

    async fn start_second(&mut self) {
        if is_postgres() {
            self.second = Some(self.first.second_node().await.expect("it starts"));
        }
    }

    pub(super) fn api(&self, via: Via) -> Api {
        match (via, &self.second) {
            (Via::Second, Some(second)) => second.service(&self.first),
            (Via::Second, None) | (Via::First, _) => self.first.service(),
        }
    }

    async fn carry_out(&mut self, step: Step) {
        match step {
            Step::Report(slot, change, via) => self.report(slot, change, via).await,
            Step::Batch(changes, via) => self.batch(&changes, via).await,
            Step::Storm(slot, count) => self.storm(slot, count).await,
            Step::Stale(slot, via) => self.stale(slot, via).await,
            Step::Erase(slot, via) => self.erase(slot, via).await,
            Step::Switch(calendar, change, via) => self.switch(calendar, &change, via).await,
            Step::Target(calendar, via) => self.other_target(calendar, via).await,
            Step::SyncNow(calendar, via) => self.sync_now(calendar, via).await,
            Step::Disconnect(calendar, via) => self.disconnect(calendar, via).await,
            Step::SignIn(calendar) => drop(self.sign_in(calendar).await),
            Step::Revoke(calendar) => {
                let (provider, email) = self.account(calendar);
                self.first.calendars.revoke(provider, &email);
            }
            Step::Expire(calendar) => {
                let (provider, email) = self.account(calendar);
                self.first.calendars.expire_access_tokens(provider, &email);
            }
            Step::ByHand(calendar, slot, edit) => self.by_hand(calendar, slot, edit),
            Step::Trouble(rule) => drop(self.first.fail(rule)),
            Step::Chaos(rate, seed) => self.first.calendars.chaos(rate, seed),
            Step::Calm => self.first.calendars.clear_faults(),
            Step::Watch(calendar, looks) => self.watch(calendar, looks).await,
            Step::KillFirst => {
                let other = self.other_node();
                self.first.kill();
                self.meanwhile(other).await;
                self.first.start_again().await;
            }
            Step::StopFirst => {
                let other = self.other_node();
                self.first.stop().await;
                self.meanwhile(other).await;
                self.first.start_again().await;
            }
            Step::KillSecond => {
                self.second = None;
                self.start_second().await;
            }
        }
    }

    fn other_node(&self) -> Option<Api> {
        Some(self.second.as_ref()?.service(&self.first))
    }

    /// While the first node is down, the other goes on.
    async fn meanwhile(&mut self, other: Option<Api>) {
        let change = Change::Move {
            client: 0,
            notes: None,
        };
        if let Some(other) = other {
            for slot in [0, 1] {
                report(&other, &self.desk.change(slot, change)).await;
            }
        }
    }

    fn account(&self, calendar: usize) -> (ProviderKind, String) {
        let calendar = &self.desk.calendars[calendar];
        (calendar.provider, calendar.email.clone())
    }

    async fn report(&mut self, slot: usize, change: Change, via: Via) {
        let session = self.desk.change(slot, change);
        let outcome = report(&self.api(via), &session).await;
        assert_ne!(outcome, "stale", "{session:?}");
    }

    async fn batch(&mut self, changes: &[(usize, Change)], via: Via) {
        let changes = changes.iter();
        let items: Vec<Value> = changes
            .map(|(slot, change)| self.desk.change(*slot, *change).item())
            .collect();
        let body = json!({"appointments": items});
        let api = self.api(via);
        let reply = answered(async || api.post("appointments/batch", Some(&body)).await).await;
        reply.expect(200);
    }

    async fn storm(&mut self, slot: usize, count: usize) {
        let sessions = self.desk.storm(slot, count);
        let apis = [self.api(Via::First), self.api(Via::Second)];
        let told = sessions.iter().zip(apis.iter().cycle());
        join_all(told.map(|(session, api)| report(api, session))).await;
    }

    async fn stale(&self, slot: usize, via: Via) {
        let late: Option<Session> = self.desk.slots[slot].stale();
        if let Some(late) = late {
            let outcome = report(&self.api(via), &late).await;
            assert_eq!(outcome, "stale", "{late:?}");
        }
    }

    async fn erase(&mut self, slot: usize, via: Via) {
        let is_known = !self.desk.slots[slot].reports.is_empty();
        let id = self.desk.erase(slot);
        let (api, path) = (self.api(via), format!("appointments/{id}"));
        let reply = answered(async || api.delete(&path).await).await;
        if is_known {
            reply.expect(202);
        }
    }

    async fn switch(&mut self, calendar: usize, change: &Value, via: Via) {
        let leaves_undone =
            change["auto_create_events"] == false || change["auto_update_events"] == false;
        self.desk.calendars[calendar].needs_sync |= leaves_undone;
        self.put(calendar, change, via).await;
    }

    async fn other_target(&mut self, calendar: usize, via: Via) {
        let (provider, email) = self.account(calendar);
        let accounts = self.first.calendars.accounts();
        let account = accounts
            .iter()
            .find(|account| account.provider == provider && account.email == email);
        let mut calendars = account.expect("an account").calendars.iter();
        let now = &self.desk.calendars[calendar].target;
        let other = calendars.find(|one| one.writable && one.id != *now);
        let change = json!({"calendar_id": other.expect("a second calendar").id});
        self.put(calendar, &change, via).await;
    }

    /// Changes settings. The provider may be asked for that, and be in trouble.
    pub(super) async fn put(&mut self, calendar: usize, change: &Value, via: Via) {
        let id = self.desk.calendars[calendar].id;
        let path = format!("connections/{id}");
        let reply = self.api(via).put(&path, change).await;
        if self.desk.calendars[calendar].connected {
            self.is_excused(&reply, 200);
        }
        self.look(calendar, via).await;
    }

    /// What was asked for in the end is what the connection shows.
    async fn look(&mut self, index: usize, via: Via) {
        let api = self.api(via);
        let calendar = &mut self.desk.calendars[index];
        let path = format!("connections/{}", calendar.coach);
        let body = answered(async || api.get(&path).await).await.expect(200);
        let all = body["connections"].as_array().expect("a list");
        let shown = all.iter().find(|one| one["id"] == calendar.id.to_string());
        if let Some(shown) = shown {
            calendar.connected = true;
            calendar.shares_details = shown["include_client_details"] == true;
            calendar.invites = shown["add_client_as_attendee"] == true;
            calendar.target = shown["calendar_id"].as_str().expect("an id").to_owned();
        } else {
            self.desk.disconnected(index);
        }
    }

    /// A refusal must name a reason that is not ours.
    fn is_excused(&self, reply: &Reply, wanted: u16) {
        let is_excuse = matches!(reply.status, 409 | 429 | 502 | 503 | 504);
        assert!(
            reply.status == wanted || is_excuse,
            "{}: {}",
            reply.status,
            reply.text
        );
    }

    pub(super) async fn sync_now(&mut self, calendar: usize, via: Via) {
        let calendar = &self.desk.calendars[calendar];
        if calendar.connected {
            let path = format!("connections/{}/sync", calendar.id);
            let reply = self.api(via).post(&path, None).await;
            self.is_excused(&reply, 202);
        }
    }

    async fn disconnect(&mut self, calendar: usize, via: Via) {
        if self.desk.calendars[calendar].connected {
            let path = format!("connections/{}", self.desk.calendars[calendar].id);
            let reply = self.api(via).delete(&path).await;
            self.is_excused(&reply, 200);
            self.look(calendar, via).await;
        }
    }

    /// Whether it worked; the provider may be in trouble.
    pub(super) async fn sign_in(&mut self, calendar: usize) -> bool {
        let (provider, email) = self.account(calendar);
        let coach = self.desk.calendars[calendar].coach;
        let mut browser = Browser::new(&self.first);
        let end = browser
            .sign_in(provider, coach, &email, Consent::Allow)
            .await;
        let id = parameter(&end, "connection_id").and_then(|id| id.parse().ok());
        let Some(id) = id else { return false };
        self.desk.calendars[calendar].id = id;
        self.look(calendar, Via::First).await;
        true
    }

    fn by_hand(&mut self, calendar: usize, slot: usize, edit: ByHand) {
        if calendar == UNTOUCHED || !self.desk.touch(slot) {
            return;
        }
        self.desk.calendars[calendar].needs_sync = true;
        let (provider, email) = self.account(calendar);
        let session = &self.desk.slots[slot].session;
        let aside = TimeDelta::minutes(7);
        let edit = match edit {
            ByHand::Delete => CoachEdit::Delete,
            ByHand::Title => CoachEdit::SetTitle {
                title: "My own words".to_owned(),
            },
            ByHand::Colour => CoachEdit::SetColour {
                colour: "11".to_owned(),
            },
            ByHand::Move => CoachEdit::Move {
                starts_at: session.starts_at + aside,
                ends_at: session.ends_at + aside,
            },
            ByHand::AllDay => CoachEdit::AllDay,
        };
        let event = EventSelector::AppointmentId(session.id.to_string());
        let done = self.first.calendars.edit(provider, &email, &event, &edit);
        if let Err(reason) = done {
            self.story.note(format!("  {reason}"));
        }
    }

    async fn watch(&self, calendar: usize, looks: usize) {
        let calendar = &self.desk.calendars[calendar];
        let path = format!("connections/{}/sync-status", calendar.id);
        for _ in 0..looks {
            self.api(Via::First).get(&path).await;
        }
    }
}

/// Reports as the platform does: until it is taken. The outcome.
async fn report(api: &Api, session: &Session) -> String {
    let (path, body) = (format!("appointments/{}", session.id), session.body());
    let reply = answered(async || api.put(&path, &body).await).await;
    assert!(matches!(reply.status, 200 | 201), "{}", reply.text);
    reply.json()["outcome"]
        .as_str()
        .expect("an outcome")
        .to_owned()
}

/// Asks again while the database is not there: a killed node's locks outlive it for a moment.
async fn answered(ask: impl AsyncFn() -> Reply) -> Reply {
    eventually("it is answered", async || {
        let reply = ask().await;
        (reply.status != 503).then_some(reply)
    })
    .await
}
