//! Graph's batch: requests as items of a JSON array.

use poem::http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::domain::ProviderKind;
use crate::simulator::faults::FaultEffect;
use crate::simulator::faults::batch::{BatchFault, PartAnswer, PartFault};
use crate::simulator::ledger::SeenCall;
use crate::simulator::message::{Call, Reply, parse_query};
use crate::simulator::world::World;

use super::error::Problem;
use super::{BASE, GRAPH, Target, account, grant, perform as perform_call, route};

const MOST_ITEMS: usize = 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    requests: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    id: String,
    method: String,
    url: String,
    #[serde(default)]
    headers: Map<String, Value>,
    body: Option<Value>,
    #[serde(default, rename = "dependsOn")]
    depends_on: Vec<String>,
}

pub(super) fn perform(
    world: &mut World,
    call: &Call,
    fault: Option<&FaultEffect>,
) -> Result<Reply, Problem> {
    let grant = grant(world, call)?;
    let batch: Batch =
        serde_json::from_slice(&call.body).map_err(|_| bad("Invalid batch payload format."))?;
    check(&batch)?;
    let items = batch.requests;
    let chained = items.iter().any(|item| !item.depends_on.is_empty());
    let fault = BatchFault::plan(fault, items.len(), &world.dice);
    let mut answers = Vec::with_capacity(items.len());
    if chained {
        let mut failed = false;
        for (position, item) in items.iter().enumerate() {
            let reply = if failed {
                Problem::new(424, "FailedDependency", "A needed item failed.").reply(world, call)
            } else {
                perform_item(world, call, item, &fault, position)
            };
            failed = !reply.is_success();
            answers.push((item, reply));
        }
    } else {
        // The batch holds one of the calls that may run at once; its items share what is left.
        let limit = world.config.limits.microsoft_concurrency;
        let under_way = world
            .accounts
            .get(&grant.account)
            .map_or(0, |a| a.in_flight);
        let mut free = (limit + 1).saturating_sub(under_way.max(1));
        for position in world.dice.order(items.len()) {
            let Some(item) = items.get(position) else {
                continue;
            };
            let reply = if free == 0 {
                Problem::over_concurrency(&world.dice).reply(world, call)
            } else {
                free -= 1;
                perform_item(world, call, item, &fault, position)
            };
            answers.push((item, reply));
        }
    }
    Ok(finish(world, &fault, &items, answers))
}

fn bad(text: &str) -> Problem {
    Problem::new(400, "BadRequest", text)
}

/// What makes the whole batch bad: size, ids, dependencies.
fn check(batch: &Batch) -> Result<(), Problem> {
    let items = &batch.requests;
    if items.is_empty() || items.len() > MOST_ITEMS {
        return Err(bad("The number of batch requests must be from 1 to 20."));
    }
    let mut ids: Vec<String> = items.iter().map(|item| item.id.to_lowercase()).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.len() != items.len() || ids.iter().any(String::is_empty) {
        return Err(bad("Batch request ids must be unique."));
    }
    let parallel = items.iter().all(|item| item.depends_on.is_empty());
    let chain = items.iter().enumerate().all(|(position, item)| {
        let before = position.checked_sub(1).and_then(|before| items.get(before));
        match (before, item.depends_on.as_slice()) {
            (None, []) => true,
            (Some(before), [only]) => before.id.eq_ignore_ascii_case(only),
            _ => false,
        }
    });
    if parallel || chain {
        Ok(())
    } else {
        Err(bad("Only parallel batches and single chains are allowed."))
    }
}

fn perform_item(
    world: &mut World,
    outer: &Call,
    item: &Item,
    faults: &BatchFault,
    position: usize,
) -> Reply {
    if faults.skips(position) {
        return Problem::scripted(503, None).reply(world, outer);
    }
    let call = match read_item(outer, item) {
        Ok(call) => call,
        Err(problem) => return problem.reply(world, outer),
    };
    let routed = route(&call, BASE).filter(|(_, target)| !matches!(target, Target::Batch));
    let Some((kind, target)) = routed else {
        return Problem::no_such_segment().reply(world, outer);
    };
    let whose = account(world, &call, &target);
    let fault = world
        .draw_fault(ProviderKind::Outlook, kind, whose.as_ref(), &call)
        .map(PartFault::from);
    let reply = match fault {
        Some(PartFault::Instead(status, code, retry_after)) => {
            let mut problem = Problem::scripted(status, code.as_deref());
            problem.retry_after = retry_after;
            problem.reply(world, &call)
        }
        Some(PartFault::AnswerUnavailable) => {
            perform_call(world, &call, kind, &target, None);
            Problem::scripted(503, None).reply(world, &call)
        }
        Some(PartFault::AnswerHollow) => {
            let reply = perform_call(world, &call, kind, &target, None);
            reply.with_body(b"{}".to_vec())
        }
        None => perform_call(world, &call, kind, &target, None),
    };
    world.ledger.count_call(SeenCall::new(
        outer.at,
        ProviderKind::Outlook,
        kind,
        whose.as_ref(),
        reply.status,
    ));
    reply
}

/// The item as a call of its own. Of the outer headers only the token holds: `Prefer` must be on
/// the item.
fn read_item(outer: &Call, item: &Item) -> Result<Call, Problem> {
    let method = Method::from_bytes(item.method.to_uppercase().as_bytes())
        .map_err(|_| bad("Unknown method."))?;
    let mut headers = HeaderMap::new();
    for (name, value) in &item.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).ok();
        let value = value.as_str().and_then(|v| HeaderValue::from_str(v).ok());
        let (Some(name), Some(value)) = (name, value) else {
            return Err(bad("A header of the item is not valid."));
        };
        headers.insert(name, value);
    }
    if item.body.is_some() && !headers.contains_key("content-type") {
        return Err(bad("An item with a body needs a Content-Type header."));
    }
    for name in ["authorization", "client-request-id"] {
        if let (false, Some(value)) = (headers.contains_key(name), outer.headers.get(name)) {
            headers.insert(HeaderName::from_static(name), value.clone());
        }
    }
    let (path, query) = item.url.split_once('?').unwrap_or((&item.url, ""));
    let path = path.trim_start_matches('/');
    if path.contains("://") {
        return Err(bad("The URL of an item is relative."));
    }
    Ok(Call {
        method,
        path: format!("{GRAPH}/{path}"),
        query: parse_query(query),
        headers,
        body: item
            .body
            .as_ref()
            .map(Value::to_string)
            .unwrap_or_default()
            .into_bytes(),
        at: outer.at,
    })
}

/// Answers come in any order; only their ids tell.
fn finish(
    world: &World,
    fault: &BatchFault,
    items: &[Item],
    mut answers: Vec<(&Item, Reply)>,
) -> Reply {
    let place = |item: &Item| items.iter().position(|other| other.id == item.id);
    answers.sort_by_key(|(item, _)| place(item));
    let answers = answers
        .into_iter()
        .map(|(item, reply)| PartAnswer {
            id: Some(item.id.clone()),
            reply,
        })
        .collect();
    let answers = fault.apply(answers);
    let order = world.dice.order(answers.len());
    let responses: Vec<Value> = order
        .into_iter()
        .filter_map(|position| answers.get(position))
        .map(render)
        .collect();
    Reply::json(200, &json!({"responses": responses}))
}

fn render(answer: &PartAnswer) -> Value {
    let headers: Map<String, Value> = answer
        .reply
        .headers
        .iter()
        .map(|(name, value)| (header_name(name), value.clone().into()))
        .collect();
    let mut item = json!({
        "id": answer.id,
        "status": answer.reply.status,
        "headers": headers,
    });
    if !answer.reply.body.is_empty() {
        item["body"] = serde_json::from_slice(&answer.reply.body).unwrap_or(Value::Null);
    }
    item
}

/// Header names as Graph spells them inside a batch.
fn header_name(name: &str) -> String {
    let words: Vec<String> = name
        .split('-')
        .map(|word| {
            let (first, rest) = word.split_at(word.len().min(1));
            format!("{}{rest}", first.to_uppercase())
        })
        .collect();
    words.join("-")
}
