//! Faults on the wire: answers that are cut, late, too long or nonsense.

use std::io;
use std::time::Duration;

use futures::stream;
use poem::{Body, Response};
use serde_json::{Map, Value};

use crate::simulator::message::{Call, Reply};

use super::FaultEffect;

/// Ends the connection without a further byte.
///
/// Unwinding out of the handler ends the connection's own task, and the socket closes with it;
/// nothing else runs in that task. `resume_unwind` skips the panic hook, so nothing is printed.
pub(crate) fn cut_connection() -> ! {
    std::panic::resume_unwind(Box::new("a scripted fault cuts this connection"))
}

/// The answer as it goes out after a call that was carried out.
pub(crate) fn spoil(effect: Option<&FaultEffect>, reply: Reply) -> Response {
    match effect {
        None
        | Some(
            FaultEffect::Status { .. }
            | FaultEffect::Echo { .. }
            | FaultEffect::Hang
            | FaultEffect::Redirect
            | FaultEffect::ResetBeforeAnswer
            | FaultEffect::HalfBatch { .. }
            | FaultEffect::BatchAnswer { .. },
        ) => reply.into(),
        Some(FaultEffect::AnswerLost) => cut_connection(),
        Some(FaultEffect::ResetMidBody) => cut_half_way(reply),
        Some(FaultEffect::Html) => Reply::html(
            reply.status,
            "<!doctype html><title>Sorry</title><p>The service is busy.".to_owned(),
        )
        .into(),
        Some(FaultEffect::Empty) => Response::from(reply.with_body(Vec::new())),
        Some(FaultEffect::TruncatedJson) => {
            let half = reply.body.len() / 2;
            let body = reply.body.get(..half).unwrap_or_default().to_vec();
            reply.with_body(body).into()
        }
        Some(FaultEffect::WrongTypes) => wrong_types(reply).into(),
        Some(FaultEffect::Altered { members }) => altered(reply, members).into(),
        Some(FaultEffect::HugeBody { megabytes }) => {
            let padding = stream_of(vec![b' '; CHUNK], *megabytes);
            with_body(&reply, padding)
        }
        Some(FaultEffect::GzipBomb { megabytes }) => {
            let packed = megabytes.div_ceil(ZEROS_PER_BYTE);
            let bomb = stream_of(zeros_of_gzip(), packed);
            with_body(&reply.with("content-encoding", "gzip"), bomb)
        }
        Some(FaultEffect::Trickle { bytes, every_ms }) => trickle(&reply, *bytes, *every_ms),
    }
}

/// An error of the provider with the whole request in every text of it, and in a header.
pub(crate) fn echo(error: Reply, call: &Call) -> Reply {
    let sent = format!(
        "{} {} {:?} {:?} {}",
        call.method,
        call.path,
        call.query,
        call.headers,
        String::from_utf8_lossy(&call.body)
    );
    let mut body: Value = serde_json::from_slice(&error.body).unwrap_or_default();
    for member in [
        "/error/message",
        "/error/errors/0/message",
        "/error_description",
    ] {
        if let Some(text) = body.pointer_mut(member) {
            *text = sent.as_str().into();
        }
    }
    if let Some(members) = body.as_object_mut() {
        members.insert("echo".to_owned(), sent.as_str().into());
    }
    let printable = sent.chars().filter(char::is_ascii_graphic);
    let printable: String = printable.take(MOST_IN_A_HEADER).collect();
    error
        .with("x-echo", printable)
        .with_body(body.to_string().into_bytes())
}

const MOST_IN_A_HEADER: usize = 4_000;

const CHUNK: usize = 1 << 16;

fn with_body(reply: &Reply, body: Body) -> Response {
    let mut response = reply.head();
    response.set_body(body);
    response
}

/// So many megabytes of one chunk over and over, without holding them.
fn stream_of(chunk: Vec<u8>, megabytes: u32) -> Body {
    let times = u64::from(megabytes) * (1 << 20) / u64::try_from(chunk.len().max(1)).unwrap_or(1);
    Body::from_bytes_stream(stream::unfold((chunk, times), |(chunk, left)| async move {
        (left > 0).then(|| (Ok::<_, io::Error>(chunk.clone()), (chunk, left - 1)))
    }))
}

/// About how many zeros a byte of [`zeros_of_gzip`] expands to: 258 in 13 bits.
const ZEROS_PER_BYTE: u32 = 158;

/// A piece of a gzip stream (RFC 1952, RFC 1951) that can be sent over and over.
///
/// Each repetition is a whole member: a header, one fixed-Huffman block with a zero followed by
/// copies of length 258 at distance 1, the end-of-block code, and a wrong checksum, which a reader
/// meets only after expanding the member.
fn zeros_of_gzip() -> Vec<u8> {
    let mut bits = Bits::default();
    // Final block, fixed codes; the numbers are sent lowest bit first, the codes highest bit first.
    bits.push(1, 1);
    bits.push(0, 1);
    bits.push(1, 1);
    bits.reversed(0b0011_0000, 8);
    bits.bytes
        .splice(0..0, [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    while bits.bytes.len() < CHUNK {
        bits.reversed(0b1100_0101, 8);
        bits.reversed(0, 5);
    }
    bits.reversed(0, 7);
    bits.bytes.extend([0; 8]);
    bits.bytes
}

#[derive(Debug, Default)]
struct Bits {
    bytes: Vec<u8>,
    used: usize,
}

impl Bits {
    /// Appends single bits, filling each byte from its lowest end.
    fn push(&mut self, bit: u8, times: usize) {
        for _ in 0..times {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= bit << (self.used % 8);
            }
            self.used += 1;
        }
    }

    /// Appends a Huffman code, highest bit first.
    fn reversed(&mut self, code: u16, length: u32) {
        for position in (0..length).rev() {
            self.push(u8::from(code >> position & 1 == 1), 1);
        }
    }
}

fn cut_half_way(reply: Reply) -> Response {
    let whole = reply.body.len();
    let half = reply.body.get(..whole / 2).unwrap_or_default().to_vec();
    let body = Body::from_bytes_stream(stream::unfold(Some(half), |half| async move {
        if half.is_none() {
            // An error in the same breath would take the head of the answer with it.
            tokio::time::sleep(FLUSH).await;
        }
        let broken = || io::Error::other("a scripted fault cuts the answer");
        Some((half.ok_or_else(broken), None))
    }));
    // The full length was promised, so that the missing half is noticed.
    let promised = reply.with("content-length", whole.max(1).to_string());
    with_body(&promised, body)
}

/// Enough for the bytes before it to leave.
const FLUSH: Duration = Duration::from_millis(20);

fn trickle(reply: &Reply, bytes: usize, every_ms: u64) -> Response {
    let pieces: Vec<Vec<u8>> = reply
        .body
        .chunks(bytes.max(1))
        .map(<[u8]>::to_vec)
        .collect();
    let body = Body::from_bytes_stream(stream::unfold(
        pieces.into_iter(),
        move |mut rest| async move {
            let piece = rest.next()?;
            tokio::time::sleep(Duration::from_millis(every_ms)).await;
            Some((Ok::<_, io::Error>(piece), rest))
        },
    ));
    with_body(reply, body)
}

/// An answer that is no object stays as it is.
fn altered(reply: Reply, members: &Map<String, Value>) -> Reply {
    let Ok(Value::Object(mut body)) = serde_json::from_slice(&reply.body) else {
        return reply;
    };
    for (name, value) in members {
        match value {
            Value::Null => body.remove(name),
            value => body.insert(name.clone(), value.clone()),
        };
    }
    reply.with_body(Value::Object(body).to_string().into_bytes())
}

fn wrong_types(reply: Reply) -> Reply {
    let body = match serde_json::from_slice(&reply.body) {
        Ok(value) => twist(value).to_string().into_bytes(),
        // Not JSON at all, such as a multipart answer: an object is wrong enough.
        Err(_) => b"{\"kind\":7}".to_vec(),
    };
    reply.with_body(body)
}

fn twist(value: Value) -> Value {
    match value {
        Value::Null => Value::Bool(true),
        Value::Bool(flag) => Value::String(flag.to_string()),
        Value::Number(number) => Value::String(number.to_string()),
        Value::String(_) => Value::from(7),
        Value::Array(items) => items.into_iter().map(twist).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(name, member)| (name, twist(member)))
            .collect(),
    }
}
