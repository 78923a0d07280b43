//! The platform is told what happens: signed, in order, at least once, and nowhere it must not be.

mod addresses;
mod registry;
mod retries;
mod secrets;
mod told;

use aws_lc_rs::hmac;
use calendar_integration::domain::ProviderKind;
use data_encoding::BASE64;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Api, Received, Receiver, Setup, TestDaemon, eventually, until};

const GOOGLE: ProviderKind = ProviderKind::Google;

fn lenient(setup: Setup) -> Setup {
    setup.set("WEBHOOK_ALLOW_PRIVATE_ADDRESSES", "true")
}

/// A registered webhook.
struct Hook {
    id: String,
    secret: String,
}

impl Hook {
    async fn register(admin: &Api, url: &str, events: &[&str]) -> Self {
        let mut body = json!({"url": url});
        if !events.is_empty() {
            body["events"] = json!(events);
        }
        let registered = admin.post("webhooks", Some(&body)).await.expect(201);
        let id = registered["webhook"]["id"].as_str().expect("an id");
        let secret = registered["secret"].as_str().expect("a secret");
        Self {
            id: id.to_owned(),
            secret: secret.to_owned(),
        }
    }

    fn path(&self) -> String {
        format!("webhooks/{}", self.id)
    }

    async fn read(&self, admin: &Api) -> Value {
        admin.get(&self.path()).await.expect(200)
    }

    async fn deliveries(&self, admin: &Api, query: &str) -> Vec<Value> {
        let path = format!("{}/deliveries?{query}", self.path());
        let page = admin.get(&path).await.expect(200);
        page["deliveries"].as_array().expect("a list").clone()
    }
}

/// Whether one of the signatures is made with this secret, by another implementation than the daemon's.
fn is_signed(received: &Received, secret: &str) -> bool {
    let encoded = secret.strip_prefix("whsec_").expect("a secret");
    let key = BASE64.decode(encoded.as_bytes()).expect("base64");
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let signed = format!("{}.{}.{}", received.id, received.timestamp, received.text);
    received.signatures.split(' ').any(|signature| {
        let signature = signature.strip_prefix("v1,").expect("a version");
        let signature = BASE64.decode(signature.as_bytes()).expect("base64");
        hmac::verify(&key, signed.as_bytes(), &signature).is_ok()
    })
}

async fn taken(receiver: &Receiver, path: &str, count: usize) -> Vec<Received> {
    eventually("the events arrive", async || {
        let taken = receiver.taken(path);
        (taken.len() >= count).then_some(taken)
    })
    .await
}

async fn seen(receiver: &Receiver, path: &str, count: usize) {
    until("the attempts arrive", || receiver.seen(path).len() >= count).await;
}

/// A webhook that wants what happens to connections, and a coach who has one.
async fn connected(daemon: &TestDaemon, receiver: &Receiver, path: &str) -> (Hook, Uuid, Uuid) {
    let admin = daemon.admin();
    let wanted = ["connection.connected", "connection.disconnected"];
    let hook = Hook::register(&admin, &receiver.url(path), &wanted).await;
    let coach = Uuid::new_v4();
    let email = format!("{coach}@example.com");
    let id = daemon.connect(GOOGLE, coach, &email).await;
    (hook, coach, id)
}
