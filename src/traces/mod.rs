//! Traces: the way of a change from the request through the queue to the provider, for collectors that
//! speak OTLP.
//!
//! Owns the spans and their export. Off unless a collector is set, and then nothing of it costs
//! anything. Spans are made by hand, not from log lines, so that what leaves is what is written here:
//! ids, names of operations, codes and counts. No token, address or word of a client is ever an
//! attribute. Our trace context is not sent on to providers: to tell Google or Microsoft which of their
//! calls belong together is nobody's wish.
//!
//! The context survives the queue as `traceparent` in the row (see `Cause`). Where changes fold into one
//! row the newest context stays.

mod export;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{
    Span as _, SpanContext, SpanKind, Status, TraceContextExt, Tracer, TracerProvider,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span as SdkSpan};
use url::Url;

use crate::domain::{Clock, Entropy, NodeId};

const TRACEPARENT: &str = "traceparent";

/// The traces of one daemon; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Traces(Option<Arc<Collected>>);

#[derive(Debug)]
struct Collected {
    tracer: SdkTracer,
    provider: SdkTracerProvider,
    clock: Arc<dyn Clock>,
}

/// Where a part of the work began and ended. Ends when it is dropped.
#[derive(Debug)]
pub struct Span(Option<Open>);

#[derive(Debug)]
struct Open {
    span: SdkSpan,
    clock: Arc<dyn Clock>,
}

/// What a span stands for.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    /// A request that we answer.
    Request,
    /// A job, from its claim to its settling.
    Job,
    /// What we ask of a provider.
    Call,
}

impl Traces {
    /// Nothing is collected.
    pub fn off() -> Self {
        Self(None)
    }

    /// To the collector under `endpoint`, from a task of the current runtime.
    ///
    /// # Errors
    /// Says why the exporter cannot be set up; that the collector cannot be reached is no reason.
    pub fn start(
        endpoint: &Url,
        http: reqwest::Client,
        node: NodeId,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, opentelemetry_otlp::ExporterBuildError> {
        let provider = export::provider(endpoint, http, node, clock.clone(), entropy)?;
        let tracer = provider.tracer(env!("CARGO_PKG_NAME"));
        Ok(Self(Some(Arc::new(Collected {
            tracer,
            provider,
            clock,
        }))))
    }

    pub fn are_on(&self) -> bool {
        self.0.is_some()
    }

    /// Begins a span below the one whose `traceparent` is given; without a sound one, a new trace.
    pub fn begin(&self, part: Part, name: impl Into<String>, parent: Option<&str>) -> Span {
        let Some(collected) = &self.0 else {
            return Span(None);
        };
        let parent = parent.map_or_else(Context::new, context_of);
        let kind = match part {
            Part::Request => SpanKind::Server,
            Part::Job => SpanKind::Consumer,
            Part::Call => SpanKind::Client,
        };
        let span = collected
            .tracer
            .span_builder(name.into())
            .with_kind(kind)
            .with_start_time(collected.clock.now())
            .start_with_context(&collected.tracer, &parent);
        Span(Some(Open {
            span,
            clock: collected.clock.clone(),
        }))
    }

    /// Sends what is left, for at most so long. What comes later is dropped.
    pub async fn flush(&self, within: Duration) {
        let Some(collected) = self.0.clone() else {
            return;
        };
        let sent = tokio::task::spawn_blocking(move || {
            // Its failure was told by the exporter.
            let _ = collected.provider.shutdown_with_timeout(within);
        });
        if tokio::time::timeout(within, sent).await.is_err() {
            tracing::warn!("the last traces were not sent in time");
        }
    }
}

impl Span {
    /// Nobody collects it.
    pub fn none() -> Self {
        Self(None)
    }

    /// What a part of this one names as its parent, here or after the queue.
    pub fn traceparent(&self) -> Option<String> {
        let open = self.0.as_ref()?;
        let context = Context::new().with_remote_span_context(open.span.span_context().clone());
        let mut carrier = HashMap::new();
        TraceContextPropagator::new().inject_context(&context, &mut carrier);
        carrier.remove(TRACEPARENT)
    }

    pub fn is_collected(&self) -> bool {
        self.0.is_some()
    }

    pub fn rename(&mut self, name: String) {
        if let Some(open) = &mut self.0 {
            open.span.update_name(name);
        }
    }

    /// Ids, names, codes and counts only: see the module's text.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(open) = &mut self.0 {
            open.span.set_attribute(KeyValue::new(key, value));
        }
    }

    /// It did not do what it was for.
    pub fn fail(&mut self, code: &'static str) {
        self.set("error.type", code);
        if let Some(open) = &mut self.0 {
            open.span.set_status(Status::error(code));
        }
    }

    pub fn end(self) {}
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(open) = &mut self.0 {
            open.span.end_with_timestamp(open.clock.now().into());
        }
    }
}

fn context_of(traceparent: &str) -> Context {
    let carrier = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier);
    let span: SpanContext = context.span().span_context().clone();
    if span.is_valid() {
        Context::new().with_remote_span_context(span)
    } else {
        // A parent that is none would count as one that is not sampled.
        Context::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ManualClock, SeededEntropy};

    /// Nobody listens there.
    async fn traces() -> Traces {
        let clock = ManualClock::starting_at(chrono::DateTime::UNIX_EPOCH);
        let entropy = Arc::new(SeededEntropy::from_seed(7));
        let endpoint = Url::parse("http://127.0.0.1:9").expect("a URL");
        let http = crate::provider::http::client().expect("a client");
        let node = NodeId::generate(clock.now(), &*entropy);
        Traces::start(&endpoint, http, node, clock, entropy).expect("it starts")
    }

    #[tokio::test]
    async fn a_span_continues_the_trace_of_its_parent_and_no_nonsense() {
        let traces = traces().await;
        let trace = "0af7651916cd43dd8448eb211c80319c";
        for (parent, continued) in [
            (format!("00-{trace}-b7ad6b7169203331-01"), true),
            // Not sampled, and the same trace all the same.
            (format!("00-{trace}-b7ad6b7169203331-00"), true),
            (format!("00-{trace}-0000000000000000-01"), false),
            (format!("ff-{trace}-b7ad6b7169203331-01"), false),
            ("nonsense".to_owned(), false),
            ("0".repeat(100_000), false),
        ] {
            let span = traces.begin(Part::Request, "GET", Some(&parent));
            let own = span.traceparent().expect("it is collected");
            assert_eq!(own.len(), 55, "{own}");
            assert_eq!(own.contains(trace), continued, "{own}");
            let sampled = if parent.ends_with("-00") {
                "-00"
            } else {
                "-01"
            };
            assert!(own.ends_with(sampled), "{own}");
            assert!(!own.contains("b7ad6b7169203331"));
        }
    }

    #[tokio::test]
    async fn a_collector_that_is_not_there_holds_nobody_up() {
        let traces = traces().await;
        for _ in 0..10_000 {
            traces.begin(Part::Job, "job", None).end();
        }
        traces.flush(Duration::from_secs(20)).await;
    }

    #[test]
    fn nothing_is_made_while_traces_are_off() {
        let mut span = Traces::off().begin(Part::Job, "job", None);
        span.set("job.id", "1");
        assert_eq!(span.traceparent(), None);
    }
}
