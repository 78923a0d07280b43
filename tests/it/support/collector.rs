//! A collector of traces: takes OTLP over HTTP as protobuf, and shows what it was sent.

use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use poem::listener::{Acceptor, Listener, TcpListener};
use poem::{EndpointExt, Route, Server, handler, post, web::Data};
use prost::Message;

/// A span, as far as the stories look at it. Ids are lower-case hexadecimal.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) name: String,
    pub(crate) trace: String,
    pub(crate) id: String,
    pub(crate) parent: String,
    /// Of the span and of its resource.
    attributes: Vec<KeyValue>,
}

impl Seen {
    pub(crate) fn attribute(&self, key: &str) -> Option<String> {
        let found = self.attributes.iter().find(|known| known.key == key)?;
        match found.value.as_ref()? {
            AnyValue {
                value: Some(Value::StringValue(text)),
            } => Some(text.clone()),
            other => Some(format!("{:?}", other.value)),
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<(Vec<Seen>, Vec<u8>)>>);

#[derive(Debug)]
pub(crate) struct Collector {
    kept: Kept,
    url: String,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let kept = Kept::default();
        let acceptor = TcpListener::bind("127.0.0.1:0")
            .into_acceptor()
            .await
            .expect("a port");
        let address = acceptor.local_addr().remove(0);
        let address = address.as_socket_addr().expect("TCP").to_owned();
        let route = Route::new().at("/v1/traces", post(take)).data(kept.clone());
        tokio::spawn(Server::new_with_acceptor(acceptor).run(route));
        Self {
            kept,
            url: format!("http://{address}"),
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn spans(&self) -> Vec<Seen> {
        self.kept.0.lock().expect("no panic").0.clone()
    }

    /// Every byte that came.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.kept.0.lock().expect("no panic").1.clone()
    }
}

#[handler]
async fn take(kept: Data<&Kept>, body: Vec<u8>) -> Vec<u8> {
    let request = ExportTraceServiceRequest::decode(&*body).expect("OTLP");
    let mut kept = kept.0.0.lock().expect("no panic");
    kept.1.extend_from_slice(&body);
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    for of_resource in request.resource_spans {
        let resource = of_resource.resource.unwrap_or_default().attributes;
        let spans = of_resource.scope_spans.into_iter();
        kept.0
            .extend(spans.flat_map(|scope| scope.spans).map(|span| {
                let mut attributes = span.attributes;
                attributes.extend(resource.iter().cloned());
                Seen {
                    name: span.name,
                    trace: hex(&span.trace_id),
                    id: hex(&span.span_id),
                    parent: hex(&span.parent_span_id),
                    attributes,
                }
            }));
    }
    Vec::new()
}
