//! Nothing is sent where it must not be: private addresses, names that change their mind, redirects.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use calendar_integration::webhooks::Lookup;
use serde_json::json;
use uuid::Uuid;

use super::{GOOGLE, Hook, connected, lenient};
use crate::support::{COACH_EMAIL, Receiver, Setup, eventually};

/// Leads to a public address first, and to this machine from when it is told to.
#[derive(Debug, Default)]
struct Rebinding(AtomicBool);

#[async_trait]
impl Lookup for Rebinding {
    async fn lookup(&self, host: &str) -> std::io::Result<Vec<IpAddr>> {
        let here = self.0.load(Ordering::Acquire) || host.starts_with("inside.");
        let address = if here { "127.0.0.1" } else { "93.184.216.34" };
        Ok(vec![address.parse().expect("an address")])
    }
}

#[tokio::test]
async fn nothing_leads_to_private_addresses_not_even_a_name_that_changes_its_mind() {
    let receiver = Receiver::start().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let names = Arc::new(Rebinding::default());
    let daemon = Setup::default().lookup(names.clone()).start().await;
    let admin = daemon.admin();
    for url in [
        receiver.url("/"),
        format!("https://127.0.0.1:{}/", receiver.port()),
        "https://10.0.0.7/hook".to_owned(),
        "https://169.254.169.254/latest/meta-data".to_owned(),
        "https://[::1]/".to_owned(),
        "https://[::ffff:192.168.0.1]/".to_owned(),
        "https://2130706433/".to_owned(),
        "https://inside.example.com/".to_owned(),
        "http://hooks.example.com/".to_owned(),
        "https://user:word@hooks.example.com/".to_owned(),
        "ftp://hooks.example.com/".to_owned(),
        "hooks".to_owned(),
    ] {
        let body = json!({"url": url});
        let refused = admin.post("webhooks", Some(&body)).await;
        let problem = refused.json();
        assert_eq!(problem["errors"][0]["pointer"], "/url", "{url}: {problem}");
        assert_eq!(refused.problem(422), "invalid_webhook");
    }
    let url = format!("https://hooks.example.com:{port}/");
    let hook = Hook::register(&admin, &url, &[]).await;
    // Nor is it led there afterwards.
    for elsewhere in ["https://10.0.0.7/hook", "https://inside.example.com/"] {
        let body = json!({"url": elsewhere});
        let refused = admin.put(&hook.path(), &body).await;
        assert_eq!(refused.problem(422), "invalid_webhook", "{elsewhere}");
    }
    assert_eq!(hook.read(&admin).await["url"], json!(url));
    names.0.store(true, Ordering::Release);
    daemon.connect(GOOGLE, Uuid::new_v4(), COACH_EMAIL).await;
    let refused = eventually("the attempt is refused", async || {
        let found = hook.deliveries(&admin, "").await.remove(0);
        (found["attempts"] != 0).then_some(found)
    })
    .await;
    assert_eq!(refused["error_code"], "address_not_allowed");
    assert!(refused["response_status"].is_null());
    let connected = tokio::time::timeout(std::time::Duration::ZERO, listener.accept()).await;
    assert!(connected.is_err(), "nobody has connected");
    assert!(receiver.seen("/").is_empty());
}

#[tokio::test]
async fn an_address_that_is_allowed_no_longer_is_not_sent_to() {
    let receiver = Receiver::start().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let mut daemon = lenient(Setup::default()).start().await;
    let admin = daemon.admin();
    let mut hooks = Vec::new();
    for url in [receiver.url("/"), format!("https://127.0.0.1:{port}/")] {
        hooks.push(Hook::register(&admin, &url, &["connection.connected"]).await);
    }
    daemon
        .restart_with(&[("WEBHOOK_ALLOW_PRIVATE_ADDRESSES", "false")])
        .await;
    let admin = daemon.admin();
    daemon.connect(GOOGLE, Uuid::new_v4(), COACH_EMAIL).await;
    for hook in hooks {
        let refused = eventually("the attempt is refused", async || {
            let found = hook.deliveries(&admin, "").await.remove(0);
            (found["attempts"] != 0).then_some(found)
        })
        .await;
        assert_eq!(refused["error_code"], "address_not_allowed", "{refused}");
    }
    let connected = tokio::time::timeout(std::time::Duration::ZERO, listener.accept()).await;
    assert!(connected.is_err(), "nobody has connected");
    assert!(receiver.seen("/").is_empty());
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let receiver = Receiver::start().await;
    let daemon = lenient(Setup::default()).start().await;
    let admin = daemon.admin();
    receiver.redirect("/", &receiver.url("/elsewhere"));
    let (hook, _, _) = connected(&daemon, &receiver, "/").await;
    let refused = eventually("the attempt failed", async || {
        let found = hook.deliveries(&admin, "").await.remove(0);
        (found["attempts"] != 0).then_some(found)
    })
    .await;
    assert_eq!(refused["error_code"], "redirected");
    assert_eq!(refused["response_status"], 307);
    assert!(receiver.seen("/elsewhere").is_empty());
}
