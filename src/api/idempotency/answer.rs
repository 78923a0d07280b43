//! An answer as it is kept, and as it is given again.

use poem::http::{HeaderValue, StatusCode};
use poem::{Body, Response};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::Repeated;
use crate::api::problem::{Code, Problem};
use crate::domain::Entropy;
use crate::security::{KeyRing, Sealed, places};
use crate::store::KeptAnswer;

/// The largest body that is kept; that of the largest batch has 70 KB. Only a list of mistakes can be
/// larger, and that follows from the request alone: whoever repeats it gets the same list, made anew.
const MAX_BYTES: usize = 128 * 1024;

/// The answer, and what is to be kept of it: all that the operation said. What the edge adds belongs to
/// each request.
pub(super) async fn copied(response: Response) -> Result<(Response, Option<KeptAnswer>), Problem> {
    let (parts, body) = response.into_parts();
    let bytes = body
        .into_bytes()
        .await
        .map_err(|error| Problem::new(Code::Internal).caused_by(error))?;
    let text = (bytes.len() <= MAX_BYTES).then(|| String::from_utf8(bytes.to_vec()));
    let answer = text.and_then(Result::ok).map(|body| KeptAnswer {
        status: parts.status.as_u16(),
        headers: parts
            .headers
            .iter()
            .filter_map(|(name, value)| {
                Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
            })
            .collect(),
        body,
    });
    Ok((Response::from_parts(parts, Body::from(bytes)), answer))
}

/// As it is stored.
pub(super) fn sealed(
    keys: &KeyRing,
    holder: Uuid,
    answer: KeptAnswer,
    entropy: &dyn Entropy,
) -> KeptAnswer {
    let body = SecretString::from(answer.body);
    let body = keys.seal(&body, places::kept_answer(holder), entropy);
    KeptAnswer {
        body: body.into_string(),
        ..answer
    }
}

/// As it was given; `None` if no key opens it.
pub(super) fn opened(keys: &KeyRing, holder: Uuid, answer: KeptAnswer) -> Option<KeptAnswer> {
    let body = Sealed::from_stored(answer.body.clone());
    let body = keys.open(&body, places::kept_answer(holder)).ok()?;
    Some(KeptAnswer {
        body: body.expose_secret().to_owned(),
        ..answer
    })
}

/// Marked as such, for the log.
pub(super) fn given_again(answer: KeptAnswer) -> Response {
    // It was a status when it was kept.
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let headers = answer.headers.into_iter().filter_map(|(name, value)| {
        // Likewise.
        Some((name, HeaderValue::try_from(value).ok()?))
    });
    let mut response = headers
        .fold(
            Response::builder().status(status),
            |response, (name, value)| response.header(name, value),
        )
        .body(answer.body);
    response.set_data(Repeated);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(bytes: usize) -> Response {
        Response::builder()
            .status(StatusCode::ACCEPTED)
            .header("ETag", "\"1\"")
            .content_type("application/json")
            .body("x".repeat(bytes))
    }

    #[tokio::test]
    async fn an_answer_is_given_again_as_it_was() {
        let (response, kept) = copied(response(MAX_BYTES)).await.expect("read");
        let again = given_again(kept.expect("kept"));
        assert_eq!(again.status(), response.status());
        assert_eq!(again.headers(), response.headers());
        let (one, other) = (response.into_body(), again.into_body());
        assert_eq!(
            one.into_bytes().await.expect("read"),
            other.into_bytes().await.expect("read")
        );
    }

    #[test]
    fn an_answer_is_stored_sealed_for_whoever_carried_the_request_out() {
        let entropy = crate::domain::SeededEntropy::from_seed(1);
        let ring = |id| {
            let line = crate::security::generate_key_line(id, &entropy).expect("a key");
            KeyRing::parse(&line).expect("a key ring")
        };
        let (keys, others) = (ring("k1"), ring("k2"));
        let holder = Uuid::from_u128(1);
        let answer = KeptAnswer {
            status: 201,
            headers: Vec::new(),
            body: r#"{"secret":"whsec_abc"}"#.to_owned(),
        };
        let stored = sealed(&keys, holder, answer.clone(), &entropy);
        assert!(!stored.body.contains("whsec"), "{}", stored.body);
        let again = opened(&keys, holder, stored.clone());
        assert!(again.as_ref() == Some(&answer));
        assert!(opened(&keys, Uuid::from_u128(2), stored.clone()).is_none());
        assert!(opened(&others, holder, stored).is_none());
        assert!(opened(&keys, holder, answer).is_none(), "not sealed at all");
    }

    #[tokio::test]
    async fn an_answer_without_measure_is_given_and_not_kept() {
        let (response, kept) = copied(response(MAX_BYTES + 1)).await.expect("read");
        assert_eq!(kept, None);
        let body = response.into_body().into_bytes().await.expect("read");
        assert_eq!(body.len(), MAX_BYTES + 1);
    }
}
