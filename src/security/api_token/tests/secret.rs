//! Tokens signed with the shared secret: claims, times, realm and forged headers.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::super::*;
use super::{COACH, NOW, SECRET, claims, clock, http};
use crate::domain::Clock;

fn verifier(realm: Realm) -> Verifier {
    Verifier::new(
        Trust::Secret(SecretString::from(SECRET)),
        realm,
        http(),
        clock(),
    )
}
fn hs256(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key).expect("signed")
}

/// A token with a header of our own making and no usable signature.
fn unsigned(header: &Value) -> String {
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    format!("{}.{}.AAAA", part(header), part(&claims(&json!({}))))
}

#[tokio::test]
async fn a_good_token_names_its_caller() {
    let verifier = verifier(Realm::default());
    let coach = Caller::new(Role::Coach, COACH).expect("a coach");
    assert_eq!(
        verifier.verify(&hs256(&claims(&json!({})))).await,
        Ok(coach.clone())
    );
    let admin = hs256(&claims(&json!({ "role": "admin", "sub": "ops" })));
    assert_eq!(
        verifier.verify(&admin).await,
        Ok(Caller::new(Role::Admin, "ops").expect("an admin"))
    );
    let header = format!("bearer {}", hs256(&claims(&json!({}))));
    assert_eq!(verifier.authenticate(Some(&header)).await, Ok(coach));
}

#[tokio::test]
async fn no_bearer_token_is_missing() {
    let verifier = verifier(Realm::default());
    for header in [None, Some(""), Some("Bearer"), Some("Basic dTpw")] {
        let refusal = verifier.authenticate(header).await.expect_err("refused");
        assert_eq!(refusal, TokenError::Missing);
        assert_eq!(refusal.challenge(), "Bearer");
    }
}

#[tokio::test]
async fn claims_are_required_and_checked() {
    let verifier = verifier(Realm::default());
    for (changes, expected) in [
        (json!({ "exp": null }), TokenError::MissingClaim("exp")),
        (json!({ "sub": null }), TokenError::MissingClaim("sub")),
        (json!({ "role": null }), TokenError::MissingClaim("role")),
        (json!({ "exp": "soon" }), TokenError::BadClaim("exp")),
        (json!({ "nbf": "now" }), TokenError::BadClaim("nbf")),
        (json!({ "sub": 7 }), TokenError::BadClaim("sub")),
        (json!({ "role": "root" }), TokenError::UnknownRole),
        (
            json!({ "sub": "anna" }),
            TokenError::WrongSubject(InvalidCaller::CoachWithoutId),
        ),
        (json!({ "exp": NOW - 60 }), TokenError::Expired),
        (json!({ "exp": -1 }), TokenError::Expired),
        (json!({ "iat": "now" }), TokenError::BadClaim("iat")),
        (json!({ "nbf": NOW + 61 }), TokenError::NotYetValid),
        (json!({ "iat": NOW + 61 }), TokenError::NotYetValid),
    ] {
        let token = hs256(&claims(&changes));
        assert_eq!(verifier.verify(&token).await, Err(expected), "{changes}");
    }
    for changes in [
        json!({ "exp": NOW - 59 }),
        json!({ "exp": 1_700_000_000.5, "nbf": NOW + 60, "iat": NOW + 60 }),
    ] {
        let token = hs256(&claims(&changes));
        assert!(verifier.verify(&token).await.is_ok(), "{changes}");
    }
}

#[tokio::test]
async fn what_goes_on_for_long_ends_with_the_token_or_with_the_leeway_that_it_lives_by() {
    let verifier = verifier(Realm::default());
    for (expires, until) in [(NOW + 600, NOW + 600), (NOW - 30, NOW + 30)] {
        let token = verifier
            .read(&hs256(&claims(&json!({ "exp": expires }))))
            .await;
        let good_until = token.expect("believed").good_until;
        assert_eq!(good_until.timestamp(), until, "{expires}");
    }
}

#[tokio::test]
async fn issuer_and_audience_are_checked_when_set() {
    let verifier = verifier(Realm {
        issuer: Some("https://id.example.org".into()),
        audience: Some("calendar".into()),
    });
    let iss = "https://id.example.org";
    for (changes, expected) in [
        (json!({ "iss": iss, "aud": "calendar" }), None),
        (json!({ "iss": iss, "aud": ["other", "calendar"] }), None),
        (json!({ "aud": "calendar" }), Some(TokenError::WrongIssuer)),
        (
            json!({ "iss": [iss], "aud": "calendar" }),
            Some(TokenError::WrongIssuer),
        ),
        (json!({ "iss": iss }), Some(TokenError::WrongAudience)),
        (
            json!({ "iss": iss, "aud": ["calendars"] }),
            Some(TokenError::WrongAudience),
        ),
    ] {
        let token = hs256(&claims(&changes));
        assert_eq!(verifier.verify(&token).await.err(), expected, "{changes}");
    }
}

#[tokio::test]
async fn a_signed_token_is_believed_until_it_expires() {
    let realm = Realm {
        issuer: Some("us".into()),
        audience: Some("us too".into()),
    };
    let clock = clock();
    let secret = SecretString::from(SECRET);
    let verifier = Verifier::new(
        Trust::Secret(secret.clone()),
        realm.clone(),
        http(),
        clock.clone(),
    );
    let caller = Caller::new(Role::Service, "booking").expect("a service");
    let token = Signer::new(&secret, realm).sign(&caller, Duration::from_secs(3600), clock.now());
    assert_eq!(verifier.verify(token.expose_secret()).await, Ok(caller));
    clock.advance(Duration::from_secs(3660));
    assert_eq!(
        verifier.verify(token.expose_secret()).await,
        Err(TokenError::Expired)
    );
}

#[tokio::test]
async fn other_algorithms_and_broken_texts_are_refused() {
    let verifier = verifier(Realm::default());
    let good = hs256(&claims(&json!({})));
    let (body, _) = good.rsplit_once('.').expect("a token");
    let other_key = EncodingKey::from_secret(b"another secret of thirty-two bytes");
    let forged = jsonwebtoken::encode(&Header::default(), &claims(&json!({})), &other_key);
    let long = format!("{good}{}", "A".repeat(9000));
    for (token, expected) in [
        (
            unsigned(&json!({ "alg": "none" })),
            TokenError::WrongAlgorithm,
        ),
        (
            unsigned(&json!({ "alg": "RS256" })),
            TokenError::WrongAlgorithm,
        ),
        (
            unsigned(&json!({ "alg": "HS512" })),
            TokenError::WrongAlgorithm,
        ),
        (
            unsigned(&json!({ "alg": "HS256" })),
            TokenError::BadSignature,
        ),
        (
            unsigned(&json!({ "alg": "HS256", "crit": ["b64"] })),
            TokenError::Malformed,
        ),
        (unsigned(&json!({ "typ": "JWT" })), TokenError::Malformed),
        (format!("{body}."), TokenError::BadSignature),
        (forged.expect("signed"), TokenError::BadSignature),
        (body.to_owned(), TokenError::Malformed),
        ("a.b.c".to_owned(), TokenError::Malformed),
        (String::new(), TokenError::Malformed),
        (long, TokenError::Malformed),
    ] {
        let refusal = verifier.verify(&token).await.expect_err("refused");
        assert_eq!(refusal, expected, "{token}");
        assert!(
            refusal
                .challenge()
                .starts_with(r#"Bearer error="invalid_token""#)
        );
    }
}
