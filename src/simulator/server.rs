//! From the socket to a provider and back: reading, faults, counting, answering.

use std::sync::Arc;

use poem::http::StatusCode;
use poem::{Endpoint, Request, Response};

use crate::domain::ProviderKind;

use super::account::AccountKey;
use super::control;
use super::faults::FaultEffect;
use super::faults::wire::{cut_connection, echo, spoil};
use super::ledger::{CallKind, SeenCall};
use super::message::{Call, Reply, parse_query};
use super::trouble;
use super::week;
use super::world::Shared;
use super::{google, microsoft};

/// Longer bodies are refused. Both providers have such a limit; ours leaves room for full batches.
const LONGEST_BODY: usize = 16 << 20;

/// The whole simulator as one endpoint: its paths are few and fixed.
pub(super) struct Front(pub(super) Arc<Shared>);

/// A call to one of the providers.
enum Target {
    Google(google::Target),
    Microsoft(microsoft::Target),
}

impl Endpoint for Front {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let call = match read(&self.0, request).await {
            Ok(call) => call,
            Err(refusal) => return Ok(refusal.into()),
        };
        let shared = &self.0;
        let first = call.path.split('/').nth(1).unwrap_or_default();
        Ok(match first {
            "google" | "microsoft" => provider_call(shared, &call).await,
            "control" => control::answer(shared, &call).into(),
            "" | "week" | "week.json" => week::answer(shared, &call).into(),
            "trouble" => trouble::answer(shared, &call).into(),
            _ => Reply::empty(404).into(),
        })
    }
}

async fn read(shared: &Shared, request: Request) -> Result<Call, Reply> {
    let at = shared.moment();
    let (parts, body) = request.into_parts();
    let body = body
        .into_bytes_limit(LONGEST_BODY)
        .await
        .map_err(|_| Reply::empty(StatusCode::PAYLOAD_TOO_LARGE.as_u16()))?;
    Ok(Call {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parse_query(parts.uri.query().unwrap_or_default()),
        headers: parts.headers,
        body: body.to_vec(),
        at,
    })
}

async fn provider_call(shared: &Arc<Shared>, call: &Call) -> Response {
    let routed = match google::route(call, google::BASE) {
        Some((kind, target)) => Some((kind, Target::Google(target))),
        None => microsoft::route(call, microsoft::BASE)
            .map(|(kind, target)| (kind, Target::Microsoft(target))),
    };
    let Some((kind, target)) = routed else {
        return Reply::json(
            404,
            &serde_json::json!({"error": {"code": 404, "message": "Not Found"}}),
        )
        .into();
    };
    if kind != CallKind::Authorize && names_our_traces(call) {
        let error = serde_json::json!({"error": {
            "code": 400,
            "message": "Which calls belong together is nothing that a provider is told",
        }});
        return Reply::json(400, &error).into();
    }
    let account = target.account(shared, call);
    let fault = draw_fault(shared, call, &target, kind, account.as_ref());
    let count = |status| {
        let seen = SeenCall::new(call.at, target.provider(), kind, account.as_ref(), status);
        shared.world().ledger.count_call(seen);
    };
    let _slot = match take_slot(shared, &target, account.as_ref(), call) {
        Ok(slot) => slot,
        Err(refusal) => {
            count(refusal.status);
            return refusal.into();
        }
    };
    if fault == Some(FaultEffect::Hang) {
        count(CUT);
        std::future::pending::<()>().await;
    }
    if fault == Some(FaultEffect::ResetBeforeAnswer) {
        count(CUT);
        cut_connection();
    }
    if fault == Some(FaultEffect::Redirect) {
        let reply = Reply::empty(307).with("location", call.path.as_str());
        count(reply.status);
        return reply.into();
    }
    if let Some(FaultEffect::Status {
        status,
        code,
        retry_after,
    }) = &fault
    {
        count(*status);
        let reply = target.scripted(kind, *status, code.as_deref());
        return match retry_after {
            Some(text) => reply.with("retry-after", text.clone()).into(),
            None => reply.into(),
        };
    }
    if let Some(FaultEffect::Echo { status }) = fault {
        count(status);
        return echo(target.scripted(kind, status, None), call).into();
    }
    if !shared.config.limits.latency.is_zero() {
        tokio::time::sleep(shared.config.limits.latency).await;
    }
    let reply = target.perform(shared, call, kind, fault.as_ref());
    let cut = fault == Some(FaultEffect::AnswerLost) || fault == Some(FaultEffect::ResetMidBody);
    count(if cut { CUT } else { reply.status });
    spoil(fault.as_ref(), reply)
}

/// The real ones would not mind. We do, for the sake of those whose calendars these are.
fn names_our_traces(call: &Call) -> bool {
    ["traceparent", "tracestate", "baggage", "x-request-id"]
        .iter()
        .any(|name| call.headers.contains_key(*name))
}

/// Stands for the status of an answer that never came.
const CUT: u16 = 0;

/// What a script, or else chaos, has in store for this call.
fn draw_fault(
    shared: &Shared,
    call: &Call,
    target: &Target,
    kind: CallKind,
    account: Option<&AccountKey>,
) -> Option<FaultEffect> {
    if kind == CallKind::Authorize {
        return None;
    }
    let mut world = shared.world();
    world
        .draw_fault(target.provider(), kind, account, call)
        .or_else(|| world.faults.draw_chaos(kind))
}

impl Target {
    fn provider(&self) -> ProviderKind {
        match self {
            Self::Google(_) => ProviderKind::Google,
            Self::Microsoft(_) => ProviderKind::Outlook,
        }
    }

    fn account(&self, shared: &Shared, call: &Call) -> Option<AccountKey> {
        let world = shared.world();
        match self {
            Self::Google(target) => google::account(&world, call, target),
            Self::Microsoft(target) => microsoft::account(&world, call, target),
        }
    }

    fn scripted(&self, kind: CallKind, status: u16, code: Option<&str>) -> Reply {
        match self {
            Self::Google(_) => google::scripted(kind, status, code),
            Self::Microsoft(_) => microsoft::scripted(kind, status, code),
        }
    }

    fn perform(
        &self,
        shared: &Shared,
        call: &Call,
        kind: CallKind,
        fault: Option<&FaultEffect>,
    ) -> Reply {
        let mut world = shared.world();
        match self {
            Self::Google(target) => google::perform(&mut world, call, kind, target, fault),
            Self::Microsoft(target) => microsoft::perform(&mut world, call, kind, target, fault),
        }
    }
}

/// One of the calls that may run at once for a mailbox; given back when dropped, also by a caller
/// that hung up.
struct Slot {
    shared: Arc<Shared>,
    account: AccountKey,
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(state) = self.shared.world().accounts.get_mut(&self.account) {
            state.in_flight = state.in_flight.saturating_sub(1);
        }
    }
}

fn take_slot(
    shared: &Arc<Shared>,
    target: &Target,
    account: Option<&AccountKey>,
    call: &Call,
) -> Result<Option<Slot>, Reply> {
    let (Target::Microsoft(target), Some(account)) = (target, account) else {
        return Ok(None);
    };
    if !target.is_mailbox_call() {
        return Ok(None);
    }
    let limit = shared.config.limits.microsoft_concurrency;
    let mut world = shared.world();
    let Some(state) = world.accounts.get_mut(account) else {
        return Ok(None);
    };
    if state.in_flight >= limit {
        return Err(microsoft::over_concurrency(&world, call));
    }
    state.in_flight += 1;
    Ok(Some(Slot {
        shared: shared.clone(),
        account: account.clone(),
    }))
}
