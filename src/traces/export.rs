//! Sending spans: in batches, from a thread of their own, through our HTTP client.
//!
//! What waits is bounded by the SDK (2,048 spans); more is dropped rather than waited for. A collector
//! that does not answer is told of once in a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{
    ExporterBuildError, Protocol, SpanExporter, WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::{IdGenerator, SdkTracerProvider, SpanData};
use tokio::runtime::Handle;
use url::Url;

use crate::domain::{Clock, Entropy, NodeId};

/// How long one batch may take to be taken.
const PATIENCE: Duration = Duration::from_secs(10);
/// A collector has little to say.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;
/// How often a failing export is told of.
const TELL_EVERY: Duration = Duration::from_secs(300);

pub(super) fn provider(
    endpoint: &Url,
    http: reqwest::Client,
    node: NodeId,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Result<SdkTracerProvider, ExporterBuildError> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(OurClient {
            http,
            runtime: Handle::current(),
        })
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(below(endpoint))
        .with_timeout(PATIENCE)
        .build()?;
    let resource = Resource::builder_empty()
        .with_service_name(env!("CARGO_PKG_NAME"))
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", node.to_string()),
        ])
        // Last, for what operators say about where it runs is meant.
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_detector(Box::new(EnvResourceDetector::new()))
        .build();
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(Watched {
            exporter,
            clock,
            told_at: AtomicU64::new(0),
        })
        .with_id_generator(Ids(entropy))
        .with_resource(resource)
        .build())
}

/// Where collectors take traces, below the address that all signals share.
fn below(endpoint: &Url) -> String {
    format!("{}/v1/traces", endpoint.as_str().trim_end_matches('/'))
}

/// Ids from our source of randomness.
#[derive(Debug)]
struct Ids(Arc<dyn Entropy>);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        let mut bytes = [0; 16];
        self.0.fill(&mut bytes);
        TraceId::from_bytes(bytes)
    }

    fn new_span_id(&self) -> SpanId {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        SpanId::from_bytes(bytes)
    }
}

/// Says now and then that spans do not arrive.
#[derive(Debug)]
struct Watched {
    exporter: SpanExporter,
    clock: Arc<dyn Clock>,
    /// On the monotonic clock, in milliseconds; 0: never.
    told_at: AtomicU64,
}

impl opentelemetry_sdk::trace::SpanExporter for Watched {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let sent = self.exporter.export(batch).await;
        if sent.is_err() && self.is_to_be_told() {
            // Its own text may hold the answer of whoever listens there.
            tracing::warn!(
                "traces cannot be sent to OTEL_EXPORTER_OTLP_ENDPOINT and are dropped; \
                 nothing else depends on it"
            );
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl Watched {
    fn is_to_be_told(&self) -> bool {
        let now = u64::try_from(self.clock.monotonic().as_millis()).unwrap_or(u64::MAX);
        let told_at = self.told_at.load(Ordering::Relaxed);
        let every = u64::try_from(TELL_EVERY.as_millis()).unwrap_or(u64::MAX);
        let is_due = told_at == 0 || now.saturating_sub(told_at) >= every;
        if is_due {
            self.told_at.store(now.max(1), Ordering::Relaxed);
        }
        is_due
    }
}

/// Our client on our runtime: the SDK asks from a thread that has none.
#[derive(Debug)]
struct OurClient {
    http: reqwest::Client,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for OurClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let request = reqwest::Request::try_from(request)?;
        let call = answer(self.http.clone(), request);
        self.runtime
            // A timer, too, is made on a runtime.
            .spawn(async move { tokio::time::timeout(PATIENCE, call).await })
            .await??
    }
}

async fn answer(
    http: reqwest::Client,
    request: reqwest::Request,
) -> Result<Response<Bytes>, HttpError> {
    let mut answer = http.execute(request).await?;
    let mut response = Response::builder().status(answer.status());
    if let Some(headers) = response.headers_mut() {
        *headers = std::mem::take(answer.headers_mut());
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if (body.len() + chunk.len()) as u64 > MAX_ANSWER_BYTES {
            return Err("the collector's answer is too large".into());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(response.body(Bytes::from(body))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_go_below_the_address_of_all_signals() {
        for (endpoint, expected) in [
            ("http://collector:4318", "http://collector:4318/v1/traces"),
            (
                "https://x.example/otlp/",
                "https://x.example/otlp/v1/traces",
            ),
        ] {
            let endpoint = Url::parse(endpoint).expect("a URL");
            assert_eq!(below(&endpoint), expected);
        }
    }
}
