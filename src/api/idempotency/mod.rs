//! `Idempotency-Key`: a POST that is sent again is carried out once and answered alike.
//!
//! Stands before the operations, which know nothing of it. Whoever is first has the key, for seconds at
//! a time while the request is carried out, so that a process that dies blocks it no longer than that;
//! the others wait for the answer. Rows are `store`'s, the form of answers is the edge's.
//!
//! An answer is stored sealed: it may hold a secret that is shown once.
//!
//! Answers that ask to come back (5xx, 429) are not kept. All POSTs of this API are safe to carry out
//! again, so where nobody knows whether one was, it is.

mod answer;
mod key;

use std::time::Duration;

use poem::http::{Method, StatusCode};
use poem::{Request, Response};
use uuid::Uuid;

pub(super) use key::IdempotencyKey;

use super::access::caller_of;
use super::problem::{Code, Problem, problem_of};
use super::{ApiState, BASE_PATH, body};
use crate::domain::Entropy;
use crate::store::{KeptAnswer, KeyedRequest};

/// How long a request waits for the answer to another one with its key. Longer than a process that
/// died has its key.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Often enough that a late one or two lose nothing.
const HOLD_AGAIN: Duration = Duration::from_secs(1);

/// Carries a request out, unless it is one that was answered before.
///
/// `carry_out` answers in any case, with the status of a failure too.
pub(super) async fn once<F, A>(
    state: &ApiState,
    request: Request,
    carry_out: F,
) -> Result<Response, Problem>
where
    F: FnOnce(Request) -> A,
    A: Future<Output = Response>,
{
    let is_ours = request.method() == Method::POST && request.uri().path().starts_with(BASE_PATH);
    let key = if is_ours { key::of(&request)? } else { None };
    let Some(key) = key else {
        return Ok(carry_out(request).await);
    };
    let (request, keyed) = keyed(state, request, &key).await?;
    match turn(state, &keyed).await? {
        Turn::Answered(answer) => {
            tracing::debug!("answered as before");
            Ok(answer::given_again(answer))
        }
        Turn::Ours => finish(state, &keyed, carry_out(request)).await,
    }
}

/// What is asked for under a key, by whom, with the whole body read.
async fn keyed(
    state: &ApiState,
    mut request: Request,
    key: &str,
) -> Result<(Request, KeyedRequest), Problem> {
    let caller = caller_of(&mut request).await.map_err(problem_of)?;
    let body = body::read_any(request.take_body())
        .await
        .map_err(problem_of)?;
    let keyed = KeyedRequest {
        key_hash: key::hash_of_key(&caller, key),
        request_hash: key::hash_of_request(key, request.uri(), &body),
        holder: random_id(&*state.entropy),
    };
    request.set_body(body);
    Ok((request, keyed))
}

fn random_id(entropy: &dyn Entropy) -> Uuid {
    let mut bytes = [0; 16];
    entropy.fill(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

enum Turn {
    /// The key is held in our name.
    Ours,
    Answered(KeptAnswer),
}

async fn turn(state: &ApiState, keyed: &KeyedRequest) -> Result<Turn, Problem> {
    let began = state.clock.monotonic();
    loop {
        let now = state.clock.now();
        match state.store.known_key(&keyed.key_hash, now).await? {
            Some(known) if known.request_hash != keyed.request_hash => {
                return Err(Problem::new(Code::IdempotencyKeyReused));
            }
            Some(known) => {
                if let Some(answer) = known.answer {
                    if let Some(answer) = answer::opened(&state.flow.keys, known.holder, answer) {
                        return Ok(Turn::Answered(answer));
                    }
                    // Its key is lost, and with it what was answered.
                    let key = &keyed.key_hash;
                    state.store.forget_answer(key, known.holder).await?;
                    continue;
                }
            }
            None => {
                if state.store.hold_key(keyed, now).await? {
                    return Ok(Turn::Ours);
                }
            }
        }
        if state.clock.monotonic().saturating_sub(began) >= LONGEST_WAIT {
            return Err(Problem::new(Code::IdempotencyKeyInUse));
        }
        state.clock.sleep(LOOK_AGAIN).await;
    }
}

/// Holds the key while the request is carried out, and keeps the answer before anybody hears it.
async fn finish(
    state: &ApiState,
    keyed: &KeyedRequest,
    carrying_out: impl Future<Output = Response>,
) -> Result<Response, Problem> {
    let response = tokio::select! {
        response = carrying_out => response,
        never = hold_on(state, keyed) => match never {},
    };
    let status = response.status();
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        let_go(state, keyed).await;
        return Ok(response);
    }
    let (response, answer) = answer::copied(response).await?;
    let Some(answer) = answer else {
        let_go(state, keyed).await;
        return Ok(response);
    };
    let answer = answer::sealed(&state.flow.keys, keyed.holder, answer, &*state.entropy);
    let now = state.clock.now();
    if state.store.keep_answer(keyed, &answer, now).await? {
        Ok(response)
    } else {
        // We were silent for so long that somebody else carries it out: theirs is the answer.
        Err(Problem::new(Code::IdempotencyKeyInUse))
    }
}

async fn hold_on(state: &ApiState, keyed: &KeyedRequest) -> std::convert::Infallible {
    loop {
        state.clock.sleep(HOLD_AGAIN).await;
        let now = state.clock.now();
        if let Err(error) = state.store.hold_key_longer(keyed, now).await {
            tracing::debug!(error = %error, "an idempotency key was not held on to");
        }
    }
}

async fn let_go(state: &ApiState, keyed: &KeyedRequest) {
    if let Err(error) = state.store.let_key_go(keyed).await {
        tracing::debug!(error = %error, "an idempotency key ends by itself");
    }
}
