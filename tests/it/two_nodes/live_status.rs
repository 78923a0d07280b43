//! A page that watches at one node what another node does.

use calendar_integration::domain::ProviderKind;
use serde_json::json;
use uuid::Uuid;

use super::{node_id, owner, two_nodes};
use crate::support::{COACH_EMAIL, Session, Setup, StatusEvent, needs_postgres};

/// Whether the job that brought it into the calendar is told.
fn tells_of(event: &StatusEvent, session: &Session) -> bool {
    let mut jobs = event.data["jobs"].as_array().into_iter().flatten();
    jobs.any(|job| job["appointment_id"] == session.id.to_string() && job["operation"] == "create")
}

#[tokio::test]
async fn what_one_node_does_appears_on_a_page_at_the_other_on_postgres() {
    needs_postgres();
    let (first, second) = two_nodes(Setup::default()).await.expect("two nodes");
    let here = second.service(&first);
    let coach = Uuid::new_v4();
    let path = format!("coaches/{coach}/events");
    let mut page = here.watch(&path, None).await;
    // Connected at the first node, which acts for it from then on.
    let id = first
        .connect(ProviderKind::Google, coach, COACH_EMAIL)
        .await;
    let seen = page.find(|event| event.event == "connection").await;
    assert_eq!(seen.data["id"], id.to_string());
    first.service().settled(id).await;
    assert_eq!(owner(&first, id).await, node_id(&first.admin()).await);

    let session = Session::tomorrow(coach, first.now());
    first.service().report(&session).await;
    page.find(|event| tells_of(event, &session)).await;
    first
        .service()
        .change(id, &json!({"auto_update_events": false}))
        .await;
    page.find(|event| event.data["auto_update_events"] == false)
        .await;

    // It goes on at the other node where it was.
    let mut page = first.service().watch(&path, Some(&page.last_id)).await;
    let later = Session::tomorrow(coach, first.now());
    here.report(&later).await;
    page.find(|event| tells_of(event, &later)).await;
}
