//! Tokens signed with keys that an issuer publishes, replaces and withdraws.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair,
};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use url::Url;

use super::super::*;
use super::{SECRET, claims, clock, http};
use crate::domain::ManualClock;

/// A key pair of an issuer, in the form the library wants.
struct IssuerKey {
    algorithm: Algorithm,
    kid: &'static str,
    key: EncodingKey,
}

impl IssuerKey {
    fn rsa(kid: &'static str) -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key pair");
        let der = pair.as_der().expect("PKCS #8");
        let lines = BASE64.encode(der.as_ref());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{lines}\n-----END PRIVATE KEY-----\n");
        Self {
            algorithm: Algorithm::RS256,
            kid,
            key: EncodingKey::from_rsa_pem(pem.as_bytes()).expect("a key"),
        }
    }

    fn ec(kid: &'static str) -> Self {
        let random = aws_lc_rs::rand::SystemRandom::new();
        let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
        Self {
            algorithm: Algorithm::ES256,
            kid,
            key: EncodingKey::from_ec_der(der.expect("a key pair").as_ref()),
        }
    }

    fn ed(kid: &'static str) -> Self {
        let random = aws_lc_rs::rand::SystemRandom::new();
        let der = Ed25519KeyPair::generate_pkcs8v1(&random).expect("a key pair");
        Self {
            algorithm: Algorithm::EdDSA,
            kid,
            key: EncodingKey::from_ed_der(der.as_ref()),
        }
    }

    fn published(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).expect("a JWK");
        jwk.common.key_id = Some(self.kid.to_owned());
        serde_json::to_value(jwk).expect("JSON")
    }

    fn token(&self, kid: Option<&str>) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = kid.map(str::to_owned);
        jsonwebtoken::encode(&header, &claims(&json!({})), &self.key).expect("signed")
    }
}

/// An endpoint that counts its visitors and says what it is told to.
struct Issuer {
    url: Url,
    visits: Arc<AtomicUsize>,
    /// `None`: answers with 500.
    body: Arc<Mutex<Option<String>>>,
}

impl Issuer {
    async fn start(body: Option<Value>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let issuer = Self {
            url: Url::parse(&format!("http://{address}/keys")).expect("a URL"),
            visits: Arc::default(),
            body: Arc::new(Mutex::new(body.map(|body| body.to_string()))),
        };
        let (visits, body) = (issuer.visits.clone(), issuer.body.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0_u8; 4096]).await;
                visits.fetch_add(1, Ordering::SeqCst);
                let answer = body.lock().expect("not poisoned").clone();
                let (status, body) = match answer {
                    Some(body) => ("200 OK", body),
                    None => ("500 Internal Server Error", String::new()),
                };
                let length = body.len();
                let text = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                );
                let _ = stream.write_all(text.as_bytes()).await;
            }
        });
        issuer
    }

    fn says(&self, body: Option<Value>) {
        *self.body.lock().expect("not poisoned") = body.map(|body| body.to_string());
    }

    fn visits(&self) -> usize {
        self.visits.load(Ordering::SeqCst)
    }

    fn verifier(&self, clock: Arc<ManualClock>) -> Verifier {
        Verifier::new(
            Trust::Jwks(self.url.clone()),
            Realm::default(),
            http(),
            clock,
        )
    }
}

fn key_set(keys: &[&IssuerKey]) -> Value {
    let keys: Vec<_> = keys.iter().map(|key| key.published()).collect();
    json!({ "keys": keys })
}

#[tokio::test]
async fn published_keys_of_the_three_kinds_are_believed_by_name() {
    let (rsa, ec, ed) = (IssuerKey::rsa("r"), IssuerKey::ec("e"), IssuerKey::ed("d"));
    let mut set = key_set(&[&rsa, &ec, &ed]);
    let keys = set["keys"].as_array_mut().expect("a list");
    keys.insert(0, json!({ "kty": "new", "kid": "r" }));
    keys.insert(1, json!("nonsense"));
    let issuer = Issuer::start(Some(set)).await;
    let verifier = issuer.verifier(clock());
    for key in [&rsa, &ec, &ed] {
        assert!(verifier.verify(&key.token(Some(key.kid))).await.is_ok());
        assert!(
            verifier.verify(&key.token(None)).await.is_ok(),
            "the only one of its kind"
        );
    }
    assert_eq!(issuer.visits(), 1);
    let misnamed = rsa.token(Some("e"));
    assert_eq!(
        verifier.verify(&misnamed).await,
        Err(TokenError::UnknownKey)
    );
    let impostor = IssuerKey::ec("e").token(Some("e"));
    assert_eq!(
        verifier.verify(&impostor).await,
        Err(TokenError::BadSignature)
    );
}

#[tokio::test]
async fn a_published_key_is_never_a_shared_secret() {
    let rsa = IssuerKey::rsa("r");
    let published = rsa.published();
    let modulus = BASE64URL_NOPAD
        .decode(published["n"].as_str().expect("a modulus").as_bytes())
        .expect("base64");
    let issuer = Issuer::start(Some(json!({ "keys": [
        published,
        { "kty": "oct", "kid": "s", "alg": "HS256", "k": BASE64URL_NOPAD.encode(SECRET.as_bytes()) },
    ] })))
    .await;
    let verifier = issuer.verifier(clock());
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let header = json!({ "alg": "none", "kid": "r" });
    let none = format!("{}.{}.", part(&header), part(&claims(&json!({}))));
    assert_eq!(
        verifier.verify(&none).await,
        Err(TokenError::WrongAlgorithm)
    );
    for (secret, kid) in [(&modulus[..], "r"), (SECRET.as_bytes(), "s")] {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(kid.to_owned());
        let key = EncodingKey::from_secret(secret);
        let token = jsonwebtoken::encode(&header, &claims(&json!({})), &key).expect("signed");
        assert_eq!(
            verifier.verify(&token).await,
            Err(TokenError::WrongAlgorithm)
        );
    }
}

#[tokio::test]
async fn keys_meant_for_something_else_are_ignored() {
    let ec = IssuerKey::ec("e");
    for (member, value) in [
        ("use", json!("enc")),
        ("alg", json!("ES384")),
        ("key_ops", json!(["sign"])),
    ] {
        let mut published = ec.published();
        published[member] = value;
        let issuer = Issuer::start(Some(json!({ "keys": [published] }))).await;
        let refusal = issuer.verifier(clock()).verify(&ec.token(Some("e"))).await;
        assert_eq!(refusal, Err(TokenError::KeysUnavailable), "{member}");
    }
}

#[tokio::test]
async fn a_token_without_a_kid_is_believed_only_where_one_key_alone_can_be_meant() {
    let (one, other) = (IssuerKey::ed("one"), IssuerKey::ed("other"));
    for (published, expected) in [
        (key_set(&[&one]), None),
        (key_set(&[&one, &IssuerKey::ec("e")]), None),
        (key_set(&[&one, &other]), Some(TokenError::UnknownKey)),
    ] {
        let issuer = Issuer::start(Some(published)).await;
        let believed = issuer.verifier(clock()).verify(&one.token(None)).await;
        assert_eq!(believed.err(), expected);
    }
}

#[tokio::test]
async fn an_unknown_key_is_looked_up_at_most_every_thirty_seconds() {
    let (old, new) = (IssuerKey::ed("old"), IssuerKey::ed("new"));
    let issuer = Issuer::start(Some(key_set(&[&old]))).await;
    let clock = clock();
    let verifier = issuer.verifier(clock.clone());
    assert!(verifier.verify(&old.token(Some("old"))).await.is_ok());
    issuer.says(Some(key_set(&[&old, &new])));
    for _ in 0..3 {
        let refusal = verifier.verify(&new.token(Some("new"))).await;
        assert_eq!(refusal, Err(TokenError::UnknownKey));
    }
    assert_eq!(issuer.visits(), 1);
    clock.advance(Duration::from_secs(30));
    assert!(verifier.verify(&new.token(Some("new"))).await.is_ok());
    assert_eq!(issuer.visits(), 2);
}

#[tokio::test]
async fn a_dead_endpoint_keeps_known_keys_working() {
    let key = IssuerKey::ed("k");
    let issuer = Issuer::start(Some(key_set(&[&key]))).await;
    let clock = clock();
    let verifier = issuer.verifier(clock.clone());
    verifier.warm_up().await;
    issuer.says(None);
    // Within the leeway of the token, beyond the age of the set.
    clock.advance(Duration::from_secs(630));
    assert!(verifier.verify(&key.token(Some("k"))).await.is_ok());
    assert!(verifier.verify(&key.token(Some("k"))).await.is_ok());
    assert_eq!(issuer.visits(), 2);
}

#[tokio::test]
async fn a_withdrawn_key_stops_working_when_the_set_is_fetched_anew() {
    let (old, new) = (IssuerKey::ed("old"), IssuerKey::ed("new"));
    let issuer = Issuer::start(Some(key_set(&[&old]))).await;
    let clock = clock();
    let verifier = issuer.verifier(clock.clone());
    assert!(verifier.verify(&old.token(Some("old"))).await.is_ok());
    issuer.says(Some(key_set(&[&new])));
    clock.advance(Duration::from_secs(600));
    let refusal = verifier.verify(&old.token(Some("old"))).await;
    assert_eq!(refusal, Err(TokenError::UnknownKey));
}

#[tokio::test]
async fn an_issuer_that_withdraws_its_last_key_is_believed() {
    let key = IssuerKey::ed("k");
    let issuer = Issuer::start(Some(key_set(&[&key]))).await;
    let clock = clock();
    let verifier = issuer.verifier(clock.clone());
    assert!(verifier.verify(&key.token(Some("k"))).await.is_ok());
    issuer.says(Some(json!({ "keys": [] })));
    clock.advance(Duration::from_secs(600));
    let refusal = verifier.verify(&key.token(Some("k"))).await;
    assert_eq!(refusal, Err(TokenError::KeysUnavailable));
    // And again, when none is asked for any more.
    let refusal = verifier.verify(&key.token(Some("k"))).await;
    assert_eq!(refusal, Err(TokenError::KeysUnavailable));
}

#[tokio::test]
async fn without_any_key_nobody_is_refused_for_good() {
    let key = IssuerKey::ed("k");
    // The key is in both of them: there is just too much else.
    let too_large = json!({ "keys": [key.published()], "filling": "x".repeat(300 * 1024) });
    let mut too_many = vec![json!({}); 100];
    too_many.push(key.published());
    for body in [
        None,
        Some(json!([])),
        Some(json!({ "keys": [] })),
        Some(too_large),
        Some(json!({ "keys": too_many })),
    ] {
        let issuer = Issuer::start(body).await;
        let clock = clock();
        let verifier = issuer.verifier(clock.clone());
        let token = key.token(Some("k"));
        assert_eq!(
            verifier.verify(&token).await,
            Err(TokenError::KeysUnavailable)
        );
        issuer.says(Some(key_set(&[&key])));
        clock.advance(Duration::from_secs(30));
        assert!(verifier.verify(&token).await.is_ok());
    }
}
