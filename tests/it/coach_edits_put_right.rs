//! What the coach writes into our part of an event stands beside later changes of other parts, and
//! is put right by "Sync now" or when that part changes.

use calendar_integration::domain::ProviderKind;
use calendar_integration::simulator::{CoachEdit, LiveEvent};
use chrono::TimeDelta;
use serde_json::json;
use uuid::Uuid;

use crate::support::{COACH_EMAIL, Session, TestDaemon};

/// One appointment in one calendar, coloured by its coach.
struct Scene<'a> {
    daemon: &'a TestDaemon,
    provider: ProviderKind,
    /// Of the connection.
    id: Uuid,
    session: Session,
}

impl<'a> Scene<'a> {
    async fn begin(daemon: &'a TestDaemon, provider: ProviderKind) -> Self {
        let coach = Uuid::new_v4();
        let scene = Self {
            daemon,
            provider,
            id: daemon.connect(provider, coach, COACH_EMAIL).await,
            session: Session::tomorrow(coach, daemon.now()),
        };
        daemon.service().report(&scene.session).await;
        scene.settled().await;
        let colour = "11".into();
        scene.by_hand(&CoachEdit::SetColour { colour });
        scene
    }

    fn by_hand(&self, edit: &CoachEdit) {
        self.daemon.edit(self.provider, self.session.id, edit);
    }

    async fn platform_moves_it(&mut self) {
        self.session = self.session.clone().moved(TimeDelta::hours(4));
        self.daemon.service().report(&self.session).await;
        self.settled().await;
    }

    async fn our_title_changes(&self) {
        let title = json!({"event_title_template": "Our title"});
        self.daemon.service().change(self.id, &title).await;
        self.event(|event| event.title == "Our title").await;
        self.settled().await;
    }

    async fn sync_now(&self) {
        self.daemon.service().sync_now(self.id).await;
        self.settled().await;
    }

    /// All is done, and nothing failed.
    async fn settled(&self) {
        let status = self.daemon.service().settled(self.id).await;
        assert_eq!(status["failed"], 0, "{}: {status}", self.provider);
    }

    async fn event(&self, is_as_wanted: impl FnMut(&LiveEvent) -> bool) -> LiveEvent {
        let (provider, id) = (self.provider, self.session.id);
        let event = self.daemon.event(provider, COACH_EMAIL, id, is_as_wanted);
        event.await
    }

    /// The event as it is, still coloured.
    async fn shown(&self) -> LiveEvent {
        let event = self.event(|_| true).await;
        let colour = match self.provider {
            ProviderKind::Google => event.fields["colorId"] == "11",
            ProviderKind::Outlook => event.fields["categories"] == json!(["11"]),
        };
        assert!(colour, "{event:?}");
        event
    }

    fn has_its_hours(&self, event: &LiveEvent) -> bool {
        (event.starts_at, event.ends_at) == (self.session.starts_at, self.session.ends_at)
            && !is_all_day(event)
    }
}

fn is_all_day(event: &LiveEvent) -> bool {
    match event.provider {
        ProviderKind::Google => event.fields["start"].get("date").is_some(),
        ProviderKind::Outlook => event.fields["isAllDay"] == true,
    }
}

#[tokio::test]
async fn a_title_by_hand_outlives_a_move_and_not_sync_now() {
    let daemon = TestDaemon::start().await;
    for provider in ProviderKind::ALL {
        let mut scene = Scene::begin(&daemon, provider).await;
        let ours = scene.shown().await.title;
        let title = "Private title".to_owned();
        scene.by_hand(&CoachEdit::SetTitle { title });
        // Twice: the second move finds an event that we have read and written before.
        for _ in 0..2 {
            scene.platform_moves_it().await;
            let event = scene.shown().await;
            assert_eq!(event.title, "Private title");
            assert!(scene.has_its_hours(&event), "{event:?}");
        }
        scene.sync_now().await;
        let event = scene.shown().await;
        assert_eq!(event.title, ours);
        assert!(scene.has_its_hours(&event), "{event:?}");
    }
}

#[tokio::test]
async fn an_hour_by_hand_outlives_a_change_of_text_and_not_sync_now() {
    let daemon = TestDaemon::start().await;
    for provider in ProviderKind::ALL {
        let scene = Scene::begin(&daemon, provider).await;
        let dragged = scene.session.clone().moved(TimeDelta::minutes(90));
        scene.by_hand(&CoachEdit::Move {
            starts_at: dragged.starts_at,
            ends_at: dragged.ends_at,
        });
        scene.our_title_changes().await;
        assert_eq!(scene.shown().await.starts_at, dragged.starts_at);
        scene.sync_now().await;
        let event = scene.shown().await;
        assert_eq!(event.title, "Our title");
        assert!(scene.has_its_hours(&event), "{event:?}");
    }
}

#[tokio::test]
async fn an_event_made_all_day_by_hand_gets_its_hours_back_with_the_next_move_or_sync_now() {
    let daemon = TestDaemon::start().await;
    for provider in ProviderKind::ALL {
        let mut scene = Scene::begin(&daemon, provider).await;
        scene.by_hand(&CoachEdit::AllDay);
        scene.our_title_changes().await;
        let event = scene.shown().await;
        assert!(is_all_day(&event), "{event:?}");
        scene.platform_moves_it().await;
        let event = scene.shown().await;
        assert!(scene.has_its_hours(&event), "{event:?}");

        scene.by_hand(&CoachEdit::AllDay);
        scene.sync_now().await;
        let event = scene.shown().await;
        assert!(scene.has_its_hours(&event), "{event:?}");
        assert_eq!(event.title, "Our title");
    }
}
