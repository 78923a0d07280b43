//! An answer as it is kept, and as it is given again.

use poem::http::{HeaderValue, StatusCode};
use poem::{Body, Response};

use crate::api::problem::{Code, Problem};
use crate::store::KeptAnswer;

/// The largest body that is kept. Only a list of mistakes can be larger, and that follows from the
/// request alone: whoever repeats it gets the same list, made anew.
const MAX_BYTES: usize = 1024 * 1024;

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

pub(super) fn given_again(answer: KeptAnswer) -> Response {
    // It was a status when it was kept.
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let headers = answer.headers.into_iter().filter_map(|(name, value)| {
        // Likewise.
        Some((name, HeaderValue::try_from(value).ok()?))
    });
    headers
        .fold(
            Response::builder().status(status),
            |response, (name, value)| response.header(name, value),
        )
        .body(answer.body)
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

    #[tokio::test]
    async fn an_answer_without_measure_is_given_and_not_kept() {
        let (response, kept) = copied(response(MAX_BYTES + 1)).await.expect("read");
        assert_eq!(kept, None);
        let body = response.into_body().into_bytes().await.expect("read");
        assert_eq!(body.len(), MAX_BYTES + 1);
    }
}
