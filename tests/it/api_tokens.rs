//! Tokens of an issuer that publishes its keys: believed, refused with a reason, and believed on when the
//! issuer is gone. (Each claim and each forgery: unit tests of `security::api_token`.)

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::signature::Ed25519KeyPair;
use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{Setup, TestDaemon};

const ISSUER: &str = "https://id.example.org";

fn key() -> EncodingKey {
    let random = aws_lc_rs::rand::SystemRandom::new();
    let pair = Ed25519KeyPair::generate_pkcs8v1(&random).expect("a key pair");
    EncodingKey::from_ed_der(pair.as_ref())
}

/// An endpoint with a key set, until it is gone.
struct Issuer {
    url: String,
    keys: Arc<Mutex<Value>>,
    visits: Arc<AtomicUsize>,
    serving: tokio::task::JoinHandle<()>,
}

impl Issuer {
    async fn start(key: &EncodingKey, kid: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let keys = Arc::new(Mutex::new(key_set(key, kid)));
        let visits = Arc::new(AtomicUsize::new(0));
        let (shown, count) = (keys.clone(), visits.clone());
        let serving = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let _ = stream.read(&mut [0_u8; 4096]).await;
                let body = shown.lock().expect("not poisoned").to_string();
                let length = body.len();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}");
                let text = format!("{head}\r\nconnection: close\r\n\r\n{body}");
                let _ = stream.write_all(text.as_bytes()).await;
            }
        });
        Self {
            url: format!("http://{address}/keys"),
            keys,
            visits,
            serving,
        }
    }
}

fn key_set(key: &EncodingKey, kid: &str) -> Value {
    let mut jwk = Jwk::from_encoding_key(key, Algorithm::EdDSA).expect("a JWK");
    jwk.common.key_id = Some(kid.to_owned());
    json!({ "keys": [jwk] })
}

/// Claims of an operator's token, with some changed; null takes one away.
fn claims(daemon: &TestDaemon, changes: &Value) -> Value {
    let now = daemon.now().timestamp();
    let mut claims = json!({
        "sub": "operator",
        "role": "admin",
        "iss": ISSUER,
        "aud": "calendar",
        "exp": now + 600,
    });
    for (name, value) in changes.as_object().expect("an object") {
        claims[name] = value.clone();
    }
    claims
}

fn signed(key: &EncodingKey, algorithm: Algorithm, kid: &str, claims: &Value) -> String {
    let mut header = Header::new(algorithm);
    header.kid = Some(kid.to_owned());
    jsonwebtoken::encode(&header, claims, key).expect("signed")
}

#[tokio::test]
async fn an_issuers_tokens_are_believed_or_refused_with_a_reason() {
    let own = key();
    let issuer = Issuer::start(&own, "one").await;
    let daemon = Setup::default()
        .set("AUTH_JWT_SECRET", "")
        .set("AUTH_JWKS_URL", &issuer.url)
        .set("AUTH_ISSUER", ISSUER)
        .set("AUTH_AUDIENCE", "calendar")
        .start()
        .await;
    let ask = async |token: &str| daemon.nobody().with_token(token).get("queue").await;
    let now = daemon.now().timestamp();
    let good = claims(&daemon, &json!({}));
    let with = |changes: Value| {
        let claims = claims(&daemon, &changes);
        signed(&own, Algorithm::EdDSA, "one", &claims)
    };
    // Within the leeway of a minute.
    ask(&with(json!({"exp": now - 50}))).await.expect(200);

    // As if the published key were a shared secret, and as if no key were needed.
    let published = issuer.keys.lock().expect("not poisoned")["keys"][0]["x"].clone();
    let published = published.as_str().expect("a key").as_bytes();
    let published = BASE64URL_NOPAD.decode(published).expect("base64");
    let as_secret = EncodingKey::from_secret(&published);
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let none = format!("{}.{}.", part(&json!({"alg": "none"})), part(&good));
    for (token, reason) in [
        (none, "algorithm is not accepted"),
        (
            signed(&as_secret, Algorithm::HS256, "one", &good),
            "algorithm is not accepted",
        ),
        (
            signed(&own, Algorithm::EdDSA, "two", &good),
            "key is not known",
        ),
        (
            signed(&key(), Algorithm::EdDSA, "one", &good),
            "signature is wrong",
        ),
        (with(json!({"exp": now - 90})), "has expired"),
        (with(json!({"nbf": now + 600})), "not valid yet"),
        (with(json!({"exp": null})), "claim exp is missing"),
        (with(json!({"role": null})), "claim role is missing"),
        (
            with(json!({"iss": "https://evil.example"})),
            "another issuer",
        ),
        (with(json!({"aud": null})), "another audience"),
    ] {
        // More than ten guesses in a row would be slowed down: see `request_limits`.
        let reply = ask(&token).await;
        let challenge = reply.header("www-authenticate").unwrap_or_default();
        let start = r#"Bearer error="invalid_token", error_description=""#;
        assert!(challenge.starts_with(start), "{challenge}");
        assert!(challenge.contains(reason), "{reason}: {challenge}");
        assert_eq!(reply.problem(401), "unauthorized");
    }
    let reply = daemon.nobody().get("queue").await;
    assert_eq!(reply.header("www-authenticate"), Some("Bearer"));

    // A few visits for all that: the known keys are kept, also when the issuer is gone.
    assert!(issuer.visits.load(Ordering::SeqCst) <= 2);
    issuer.serving.abort();
    ask(&with(json!({}))).await.expect(200);
}
