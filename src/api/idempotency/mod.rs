//! `Idempotency-Key`: a POST that is sent again is carried out once and answered alike.
//!
//! Wraps each operation of a POST ([`once`]), which knows nothing of it. Whoever is first has the key,
//! for seconds at a time while the request is carried out, so that a process that dies blocks it no longer
//! than that; the others wait for the answer. Rows are `store`'s, the form of answers and how long a
//! request may take in all are the edge's.
//!
//! An answer is stored sealed: it may hold a secret that is shown once. One that no key opens is no reason to
//! carry the request out again: that it was is known.
//!
//! Kept is what an operation found or did: success, 404 and 422. No other refusal is: what follows from
//! the request alone comes out alike in any case, a 409 tells of a state that passes, and 5xx and 429 ask
//! to come back. All POSTs of this API are safe to carry out again, so where nobody knows whether one
//! was, it is.

mod answer;
mod key;

use std::sync::Arc;
use std::time::Duration;

use poem::http::StatusCode;
use poem::{Endpoint, IntoResponse, Request, Response};
use uuid::Uuid;

pub(super) use key::IdempotencyKey;

use super::access::caller_of;
use super::body::{self, Sent};
use super::edge::RequestId;
use super::problem::{Code, Problem, problem_of};
use super::{ApiState, BASE_PATH};
use crate::domain::Entropy;
use crate::security::api_token::Caller;
use crate::store::{About, KeptAnswer, KeyedRequest};

/// How long a request waits for the answer to another one with its key, its own body's journey included:
/// a little less than a request may take. Longer than a process that died has its key.
const LONGEST_WAIT: Duration = Duration::from_secs(25);
/// Doubles up to its longest, for many may wait.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
const LOOK_AGAIN_AT_LATEST: Duration = Duration::from_millis(400);
/// Often enough that a late one or two lose nothing.
const HOLD_AGAIN: Duration = Duration::from_secs(1);
/// Keys that a coach may have in use at a time: each is a row for a day. The platform's own callers are
/// trusted with as many as they make.
const MOST_OF_A_COACH: i64 = 1_000;

const COME_BACK_IN: Duration = Duration::from_secs(3_600);

/// The answer is not new: it was kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Repeated;

/// `transform` of every POST operation that does something and takes no body; a preview does nothing.
pub(super) fn once<E: Endpoint>(operation: E) -> Once<E> {
    let most_bytes = body::NO_BODY_BYTES;
    Once {
        operation,
        most_bytes,
    }
}

/// As [`once`], of an operation with a body.
pub(super) fn once_with<T: Sent, E: Endpoint>(operation: E) -> Once<E> {
    let most_bytes = T::MAX_BYTES;
    Once {
        operation,
        most_bytes,
    }
}

pub(super) struct Once<E> {
    operation: E,
    /// Of a body: as many as the operation itself would read.
    most_bytes: usize,
}

impl<E: Endpoint> Endpoint for Once<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let Some(key) = key::of(&request)? else {
            let answer = self.operation.call(request).await;
            return answer.map(IntoResponse::into_response);
        };
        let state = request.data::<Arc<ApiState>>().cloned();
        let state = state.ok_or_else(|| Problem::new(Code::Internal))?;
        let began = state.clock.monotonic();
        let asked = asked(&state, request, &key, self.most_bytes).await?;
        match turn(&state, &asked, began).await? {
            Turn::Answered(answer) => Ok(answer::given_again(answer)),
            Turn::Ours => self.carry_out(&state, asked).await,
        }
    }
}

/// A request with its whole body read, and what it is known by.
struct Asked {
    request: Request,
    caller: Caller,
    keyed: KeyedRequest,
}

async fn asked(
    state: &ApiState,
    mut request: Request,
    key: &str,
    most_bytes: usize,
) -> poem::Result<Asked> {
    let caller = caller_of(&mut request).await?;
    let body = request.take_body();
    let (body, held) = body::read(&request, body, most_bytes).await?;
    let keyed = KeyedRequest {
        key_hash: key::hash_of_key(&caller, key),
        about: about(&caller, request.uri().path()),
        request_hash: key::hash_of_request(key, request.uri(), &body),
        holder: random_id(&*state.entropy),
    };
    request.set_body(body);
    if let Some(held) = held {
        // For as long as there is the request; and whoever reads the body again takes no more.
        request.set_data(held);
    }
    Ok(Asked {
        request,
        caller,
        keyed,
    })
}

fn about(caller: &Caller, path: &str) -> About {
    if let Caller::Coach(coach_id) = caller {
        return About::Coach(*coach_id);
    }
    let below = path.strip_prefix(BASE_PATH);
    let below = below.and_then(|path| path.strip_prefix("/connections/"));
    let id = below.and_then(|path| path.split('/').next());
    let id = id.and_then(|id| id.parse().ok());
    id.map_or(About::Nobody, About::Connection)
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

async fn turn(state: &ApiState, asked: &Asked, began: Duration) -> Result<Turn, Problem> {
    let keyed = &asked.keyed;
    let mut look_again = LOOK_AGAIN;
    loop {
        let now = state.clock.now();
        match state.store.known_key(&keyed.key_hash, now).await? {
            Some(known) if known.request_hash != keyed.request_hash => {
                return Err(Problem::new(Code::IdempotencyKeyReused));
            }
            Some(known) => {
                if let Some(answer) = known.answer {
                    let opened = answer::opened(&state.flow.keys, known.holder, answer);
                    return opened.map(Turn::Answered).ok_or_else(unreadable);
                }
            }
            None => {
                may_have_another(state, &asked.caller).await?;
                if state.store.hold_key(keyed, now).await? {
                    return Ok(Turn::Ours);
                }
            }
        }
        if state.clock.monotonic().saturating_sub(began) >= LONGEST_WAIT {
            return Err(Problem::new(Code::IdempotencyKeyInUse));
        }
        state.clock.sleep(look_again).await;
        look_again = (look_again * 2).min(LOOK_AGAIN_AT_LATEST);
    }
}

/// It was carried out, so it is not again. The answer may come back with its key.
fn unreadable() -> Problem {
    tracing::error!(
        "the kept answer of an Idempotency-Key cannot be read with these TOKEN_ENCRYPTION_KEYS; put the \
         missing key back, or wait until the answer ends by itself, 24 hours after it was given"
    );
    Problem::new(Code::KeptAnswerUnreadable)
}

async fn may_have_another(state: &ApiState, caller: &Caller) -> Result<(), Problem> {
    let Caller::Coach(coach_id) = caller else {
        return Ok(());
    };
    let now = state.clock.now();
    let known = state.store.keys_of(*coach_id, MOST_OF_A_COACH, now).await?;
    if known < MOST_OF_A_COACH.unsigned_abs() {
        return Ok(());
    }
    Err(Problem::new(Code::TooManyRequests)
        .because(format!(
            "{MOST_OF_A_COACH} Idempotency-Keys of this coach are in use, each for 24 hours; come back \
             later, or send the request without one."
        ))
        .come_back_in(COME_BACK_IN))
}

impl<E: Endpoint> Once<E> {
    /// Holds the key while the request is carried out, and keeps the answer before anybody hears it.
    async fn carry_out(&self, state: &ApiState, asked: Asked) -> poem::Result<Response> {
        let Asked { request, keyed, .. } = asked;
        let id = request.data::<RequestId>().cloned();
        let result = tokio::select! {
            result = self.operation.call(request) => result,
            never = hold_on(state, &keyed) => match never {},
        };
        let problem = match result {
            Ok(response) => return keep(state, &keyed, response.into_response()).await,
            Err(error) => problem_of(error),
        };
        match id {
            Some(id) if is_kept(problem.code.status()) => {
                keep(state, &keyed, problem.into_response(id.as_str())).await
            }
            Some(_) | None => {
                let_go(state, &keyed).await;
                Err(problem.into())
            }
        }
    }
}

fn is_kept(status: StatusCode) -> bool {
    let found = [StatusCode::NOT_FOUND, StatusCode::UNPROCESSABLE_ENTITY];
    status.is_success() || found.contains(&status)
}

async fn keep(
    state: &ApiState,
    keyed: &KeyedRequest,
    response: Response,
) -> poem::Result<Response> {
    if !is_kept(response.status()) {
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
    let kept = state.store.keep_answer(keyed, &answer, now).await;
    if kept.map_err(Problem::from)? {
        Ok(response)
    } else {
        // We were silent for so long that somebody else carries it out: theirs is the answer. Or the
        // coach was forgotten meanwhile, and the answer with them.
        Err(Problem::new(Code::IdempotencyKeyInUse).into())
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
