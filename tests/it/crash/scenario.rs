//! The standard scenario: every kind of thing that coach, platform and providers make a daemon do.
//!
//! It waits for the calendars now and then, so that changes do not melt into one and every run takes
//! nearly the same steps.

use calendar_integration::domain::ProviderKind;
use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::client::patiently;
use super::desired::{Desired, Link};
use super::stage::Stage;
use crate::support::{COACH_EMAIL, Session};

/// Plays it to its end; what was acknowledged on the way. At last the coach leaves, so that no
/// connection is left.
pub(super) async fn play(stage: &Stage) -> Desired {
    let mut story = Story {
        stage,
        desired: Desired::default(),
    };
    stage.register().await;
    let coach = Uuid::new_v4();
    let google = story.connect(ProviderKind::Google, coach).await;
    let outlook = story.connect(ProviderKind::Outlook, coach).await;
    let [first, second] = [1, 2].map(|_| Session::tomorrow(coach, stage.clock.now()));
    story.report_together(&[&first, &second]).await;
    story.converges().await;

    for provider in ProviderKind::ALL {
        stage.calendars.expire_access_tokens(provider, COACH_EMAIL);
    }
    story.share_details(google, true).await;
    let first = first.moved(TimeDelta::hours(1));
    let second = second.with_status("cancelled");
    story.report_together(&[&first, &second]).await;
    story.converges().await;

    story.share_details(google, false).await;
    story.converges().await;
    story.test(outlook).await;
    story.disconnect(google).await;
    let first = first.moved(TimeDelta::hours(1));
    story.report(&first).await;
    story.converges().await;

    story.reconnect(google).await;
    story.sync_now(outlook).await;
    story.converges().await;
    story.erase(first.id).await;
    story.converges().await;
    story.desired.told = story.told();
    story.leave(coach).await;
    story.desired
}

struct Story<'a> {
    stage: &'a Stage,
    desired: Desired,
}

impl Story<'_> {
    async fn converges(&self) {
        self.stage.converges(&self.desired).await;
    }

    /// Of which connections and appointments the platform is told something at last.
    fn told(&self) -> Vec<(Uuid, &'static str)> {
        let links = self.desired.links.iter();
        let ended = links.map(|link| (link.id, "connection.disconnected"));
        let synced = self.desired.shown().map(|id| (id, "appointment.synced"));
        ended.chain(synced).collect()
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>, wanted: &[u16]) -> Value {
        let reply = self.stage.client.ask(method, path, body, wanted).await;
        reply.json()
    }

    async fn connect(&mut self, provider: ProviderKind, coach: Uuid) -> Uuid {
        let client = &self.stage.client;
        let id = client.connect(provider, coach, COACH_EMAIL).await;
        self.desired.links.push(Link {
            id,
            coach,
            provider,
            email: COACH_EMAIL.to_owned(),
            shows_details: false,
            is_active: true,
        });
        id
    }

    async fn reconnect(&mut self, id: Uuid) {
        let link = self.desired.link(id).clone();
        let client = &self.stage.client;
        let revived = client.connect(link.provider, link.coach, &link.email).await;
        assert_eq!(revived, id, "the same account has the same connection");
        self.desired.link(id).is_active = true;
    }

    async fn disconnect(&mut self, id: Uuid) {
        // Not found: it was done, and the answer was lost.
        let path = format!("connections/{id}");
        self.ask(Method::DELETE, &path, None, &[200, 404]).await;
        self.desired.link(id).is_active = false;
    }

    async fn report(&mut self, session: &Session) {
        let path = format!("appointments/{}", session.id);
        let body = session.body();
        self.ask(Method::PUT, &path, Some(&body), &[200, 201]).await;
        self.desired.acknowledge(session.clone());
    }

    async fn report_together(&mut self, sessions: &[&Session]) {
        let items: Vec<Value> = sessions.iter().map(|session| session.item()).collect();
        let body = json!({"appointments": items});
        let path = "appointments/batch";
        self.ask(Method::POST, path, Some(&body), &[200]).await;
        for session in sessions {
            self.desired.acknowledge((*session).clone());
        }
    }

    async fn share_details(&mut self, id: Uuid, shows_details: bool) {
        let path = format!("connections/{id}");
        let body = json!({"include_client_details": shows_details});
        self.ask(Method::PUT, &path, Some(&body), &[200]).await;
        self.desired.link(id).shows_details = shows_details;
    }

    async fn sync_now(&self, id: Uuid) {
        let path = format!("connections/{id}/sync");
        self.ask(Method::POST, &path, None, &[202]).await;
    }

    async fn test(&self, id: Uuid) {
        let path = format!("connections/{id}/test");
        patiently("a test that succeeds", async || {
            let report = self.ask(Method::POST, &path, None, &[200]).await;
            (report["ok"] == true).then_some(())
        })
        .await;
    }

    async fn erase(&mut self, id: Uuid) {
        // Not found: it was begun, and the answer was lost.
        let path = format!("appointments/{id}");
        self.ask(Method::DELETE, &path, None, &[202, 404]).await;
        self.desired.acknowledge_erasure(id);
    }

    async fn leave(&mut self, coach: Uuid) {
        let path = format!("coaches/{coach}");
        self.ask(Method::DELETE, &path, None, &[202]).await;
        for link in std::mem::take(&mut self.desired.links) {
            let path = format!("connections/{}/sync-status", link.id);
            self.ask(Method::GET, &path, None, &[404]).await;
        }
    }
}
