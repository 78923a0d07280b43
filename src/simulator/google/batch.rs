//! Google's batch: HTTP requests as parts of a multipart body.

use std::collections::HashSet;

use poem::http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::simulator::faults::FaultEffect;
use crate::simulator::faults::batch::{BatchFault, PartAnswer};
use crate::simulator::ledger::CallKind;
use crate::simulator::message::{Call, Reply, parse_query};
use crate::simulator::random;
use crate::simulator::world::World;

use super::error::Problem;
use super::{Target, perform_part, route};

/// One part as sent.
struct Part {
    content_id: Option<String>,
    call: Result<Call, Problem>,
}

pub(super) fn perform(world: &mut World, call: &Call, fault: Option<&FaultEffect>) -> Reply {
    let parts = match boundary(call).and_then(|boundary| split(call, &boundary)) {
        Ok(parts) => parts,
        Err(problem) => return problem.into(),
    };
    if parts.is_empty() || parts.len() > world.config.limits.google_batch_parts {
        let text = "The batch request has no calls or too many.";
        return Problem::new(400, "badRequest", text).into();
    }
    let fault = BatchFault::plan(fault, parts.len(), &world.dice);
    let mut replies: Vec<Option<Reply>> = vec![None; parts.len()];
    let mut written = HashSet::new();
    // The order of execution is not promised; the order of the answers is that of the parts.
    for position in world.dice.order(parts.len()) {
        let reply = match parts.get(position).map(|part| &part.call) {
            Some(Ok(part)) if collides(part, &mut written) => {
                Problem::new(409, "conflict", "Conflict with another call of this batch.").into()
            }
            Some(Ok(part)) => perform_part(world, part, &fault, position),
            Some(Err(problem)) => problem.clone().into(),
            None => continue,
        };
        if let Some(slot) = replies.get_mut(position) {
            *slot = Some(reply);
        }
    }
    let answers = parts
        .into_iter()
        .zip(replies)
        .filter_map(|(part, reply)| {
            Some(PartAnswer {
                id: part.content_id,
                reply: reply?,
            })
        })
        .collect();
    let answers = fault.apply(answers);
    join(
        &answers,
        &random::token(world.entropy.as_ref(), "batch_", 12),
    )
}

/// Two writes to one event in one batch: the later one is told to come again.
fn collides(part: &Call, written: &mut HashSet<(String, String)>) -> bool {
    match route(part, "") {
        Some((CallKind::Update | CallKind::Delete, Target::Event(calendar, id))) => {
            !written.insert((calendar, id))
        }
        _ => false,
    }
}

fn malformed(text: &str) -> Problem {
    Problem::new(400, "badRequest", text)
}

fn boundary(call: &Call) -> Result<String, Problem> {
    call.header("content-type")
        .filter(|value| value.to_ascii_lowercase().starts_with("multipart/mixed"))
        .and_then(|value| {
            let parameter = value.split(';').map(str::trim).find_map(|parameter| {
                parameter
                    .strip_prefix("boundary=")
                    .or_else(|| parameter.strip_prefix("Boundary="))
            })?;
            Some(parameter.trim_matches('"').to_owned())
        })
        .filter(|boundary| !boundary.is_empty())
        .ok_or_else(|| malformed("The batch needs multipart/mixed with a boundary."))
}

fn split(call: &Call, boundary: &str) -> Result<Vec<Part>, Problem> {
    let body = std::str::from_utf8(&call.body).map_err(|_| malformed("Not UTF-8."))?;
    let delimiter = format!("--{boundary}");
    let (inside, _) = body
        .split_once(&format!("{delimiter}--"))
        .ok_or_else(|| malformed("The closing boundary is missing."))?;
    inside
        .split(&delimiter)
        .skip(1)
        .map(|part| read_part(call, part))
        .collect()
}

fn read_part(outer: &Call, part: &str) -> Result<Part, Problem> {
    let part = part
        .strip_prefix("\r\n")
        .or_else(|| part.strip_prefix('\n'));
    let (headers, inner) = part
        .and_then(split_at_blank_line)
        .ok_or_else(|| malformed("A part lacks its headers."))?;
    let header = |name: &str| {
        headers.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    if header("content-type").is_none_or(|value| !value.starts_with("application/http")) {
        return Err(malformed("A part is not application/http."));
    }
    Ok(Part {
        content_id: header("content-id").map(str::to_owned),
        call: read_request(outer, inner),
    })
}

fn split_at_blank_line(text: &str) -> Option<(&str, &str)> {
    text.split_once("\r\n\r\n")
        .or_else(|| text.split_once("\n\n"))
}

/// The HTTP request inside a part. Outer headers hold unless the part has its own.
fn read_request(outer: &Call, text: &str) -> Result<Call, Problem> {
    let (head, body) = split_at_blank_line(text).unwrap_or((text, ""));
    let mut lines = head.trim_start().lines();
    let mut words = lines.next().unwrap_or_default().split_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err(malformed("A part has no request line."));
    };
    let method = Method::from_bytes(method.as_bytes())
        .map_err(|_| malformed("A part has no known method."))?;
    if !target.starts_with('/') {
        return Err(malformed("A part names more than a path."));
    }
    let mut headers = HeaderMap::new();
    if let Some(authorization) = outer.headers.get("authorization") {
        headers.insert("authorization", authorization.clone());
    }
    for line in lines.filter(|line| !line.trim().is_empty()) {
        let parsed = line.split_once(':').and_then(|(name, value)| {
            let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
            Some((name, HeaderValue::from_str(value.trim()).ok()?))
        });
        let (name, value) = parsed.ok_or_else(|| malformed("A part has a bad header."))?;
        headers.insert(name, value);
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Ok(Call {
        method,
        path: path.to_owned(),
        query: parse_query(query),
        headers,
        body: body.trim_end().as_bytes().to_vec(),
        at: outer.at,
    })
}

fn join(answers: &[PartAnswer], boundary: &str) -> Reply {
    let mut body = Vec::new();
    for answer in answers {
        let reply = &answer.reply;
        body.extend(format!("--{boundary}\r\nContent-Type: application/http\r\n").bytes());
        if let Some(id) = &answer.id {
            let inner = id.trim_start_matches('<').trim_end_matches('>');
            body.extend(format!("Content-ID: <response-{inner}>\r\n").bytes());
        }
        let reason = poem::http::StatusCode::from_u16(reply.status)
            .ok()
            .and_then(|status| status.canonical_reason())
            .unwrap_or_default();
        body.extend(format!("\r\nHTTP/1.1 {} {reason}\r\n", reply.status).bytes());
        for (name, value) in &reply.headers {
            body.extend(format!("{name}: {value}\r\n").bytes());
        }
        body.extend(format!("Content-Length: {}\r\n\r\n", reply.body.len()).bytes());
        body.extend(&reply.body);
        body.extend(b"\r\n");
    }
    body.extend(format!("--{boundary}--\r\n").bytes());
    Reply::empty(200)
        .with(
            "content-type",
            format!("multipart/mixed; boundary={boundary}"),
        )
        .with_body(body)
}
