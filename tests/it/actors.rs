//! The tree of actors with many connections: numbers of all at the top, and pages of those asked for.

use calendar_integration::domain::ProviderKind;
use serde_json::Value;
use uuid::Uuid;

use crate::support::{
    Api, Proxy, Session, Setup, TestDaemon, TestDatabase, eventually, needs_postgres,
};

const GOOGLE: ProviderKind = ProviderKind::Google;
const OTHER_KEY: &str = "k2:HxscHRoZGBcWFRQTEhEQDw4NDAsKCQgHBgUEAwIBAAA=";

/// Connections that have actors, with their coaches, in the order of their ids.
async fn connected(daemon: &TestDaemon, count: usize) -> Vec<(Uuid, Uuid)> {
    let service = daemon.service();
    let mut connections = Vec::new();
    for place in 0..count {
        let coach = Uuid::new_v4();
        let email = format!("coach{place}@example.com");
        let id = daemon.connect(GOOGLE, coach, &email).await;
        service
            .report(&Session::tomorrow(coach, daemon.now()))
            .await;
        service.settled(id).await;
        connections.push((id, coach));
    }
    connections.sort();
    connections
}

/// The connections of a tree, in its order.
fn shown(tree: &Value) -> Vec<Uuid> {
    let parts = tree["children"].as_array().expect("a list");
    let connections = parts.iter().find(|part| part["kind"] == "connections");
    let supervisors = connections.expect("the part")["children"].as_array();
    supervisors
        .expect("a list")
        .iter()
        .map(|one| one["connection_id"].as_str().expect("an id"))
        .map(|id| id.parse().expect("an id"))
        .collect()
}

/// Every page, one after the other.
async fn pages(admin: &Api, query: &str) -> Vec<Value> {
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/health/actors?{query}{cursor}");
        let page = admin.get(&path).await.expect(200);
        let next = page["next_cursor"].as_str().map(str::to_owned);
        pages.push(page);
        assert!(pages.len() < 20, "it ends");
        match next {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return pages,
        }
    }
}

fn all_shown(pages: &[Value]) -> Vec<Uuid> {
    pages.iter().flat_map(shown).collect()
}

#[tokio::test]
async fn pages_show_each_connection_once_under_the_numbers_of_all() {
    let daemon = TestDaemon::start().await;
    let connections = connected(&daemon, 5).await;
    let ids: Vec<Uuid> = connections.iter().map(|(id, _)| *id).collect();
    let admin = daemon.admin();
    eventually("all rest", async || {
        let tree = admin.get("/health/actors").await.expect(200);
        (tree["totals"]["idle"] == 5).then_some(())
    })
    .await;

    let found = pages(&admin, "limit=2").await;
    assert_eq!(found.len(), 3);
    assert_eq!(all_shown(&found), ids);
    for page in &found {
        assert_eq!(page["totals"]["connections"], 5, "{page}");
        assert_eq!(page["kind"], "daemon");
        let parts = page["children"].as_array().expect("a list");
        assert!(parts.iter().any(|part| part["kind"] == "queue_poller"));
    }
    let whole = admin.get("/health/actors").await.expect(200);
    assert_eq!(shown(&whole), ids);
    assert!(whole["next_cursor"].is_null());

    let one = ids[3];
    let path = format!("/health/actors?connection_id={one}&status=idle");
    let tree = admin.get(&path).await.expect(200);
    assert_eq!(shown(&tree), [one]);
    assert_eq!(tree["totals"]["connections"], 5);
    let restarting = pages(&admin, "status=restarting").await;
    assert!(all_shown(&restarting).is_empty());
}

#[tokio::test]
async fn those_set_aside_are_found_by_their_status() {
    let mut daemon = TestDaemon::start().await;
    let connections = connected(&daemon, 3).await;
    daemon.stop().await;
    // Nobody can open their tokens any more.
    daemon
        .start_with(&[("TOKEN_ENCRYPTION_KEYS", OTHER_KEY)])
        .await;
    let set_aside = &connections[..2];
    for (_, coach) in set_aside {
        let session = Session::tomorrow(*coach, daemon.now());
        daemon.service().report(&session).await;
    }
    let admin = daemon.admin();
    let found = eventually("both are set aside", async || {
        let found = pages(&admin, "status=quarantined&limit=1").await;
        // Not only when the second page was asked for.
        let are_all = all_shown(&found).len() == 2 && found[0]["totals"]["quarantined"] == 2;
        are_all.then_some(found)
    })
    .await;
    let ids: Vec<Uuid> = set_aside.iter().map(|(id, _)| *id).collect();
    assert_eq!(all_shown(&found), ids);
    let path = format!("/health/actors?status=quarantined&connection_id={}", ids[1]);
    let tree = admin.get(&path).await.expect(200);
    assert_eq!(shown(&tree), ids[1..]);

    // Their actors are still there, and idle: each is shown once all the same, as set aside.
    for limit in [1, 2, 200] {
        let found = pages(&admin, &format!("limit={limit}")).await;
        assert_eq!(all_shown(&found), ids, "{limit} on a page");
    }
    let idle = pages(&admin, "status=idle").await;
    assert!(all_shown(&idle).is_empty());
    assert_eq!(idle[0]["totals"]["connections"], 0);
    assert_eq!(idle[0]["totals"]["quarantined"], 2);
}

#[tokio::test]
async fn a_tree_says_what_a_silent_database_kept_to_itself_on_postgres() {
    needs_postgres();
    let database = TestDatabase::create().await;
    let (proxy, url) = Proxy::of_postgres(&database.url()).await;
    let setup = Setup::default().on(database).set("DATABASE_URL", &url);
    let daemon = setup.start().await;
    let connections = connected(&daemon, 1).await;
    let admin = daemon.admin();
    let whole = admin.get("/health/actors").await.expect(200);
    assert_eq!(whole["totals"]["quarantined"], 0);
    assert!(whole["last_error"].is_null());

    proxy.stall();
    let tree = admin.get("/health/actors").await.expect(200);
    assert_eq!(shown(&tree), [connections[0].0]);
    assert!(tree["totals"]["quarantined"].is_null(), "{tree}");
    let why = tree["last_error"].as_str().expect("it says why");
    assert!(why.contains("not all is shown"), "{why}");
    proxy.open();
}

#[tokio::test]
async fn a_question_that_makes_no_sense_is_refused_with_its_name() {
    let daemon = TestDaemon::start().await;
    let admin = daemon.admin();
    for (query, code) in [
        ("status=sleeping", "invalid_parameter"),
        ("connection_id=7", "invalid_parameter"),
        ("limit=0", "invalid_parameter"),
        ("limit=1001", "invalid_parameter"),
        ("cursor=nowhere", "invalid_cursor"),
    ] {
        let reply = admin.get(&format!("/health/actors?{query}")).await;
        assert_eq!(reply.problem(400), code, "{query}");
    }
}
