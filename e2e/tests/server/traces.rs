//! Calls as spans, at a collector that speaks OTLP.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use parking_lot::Mutex;
use quorate_e2e::binaries::Flavour;
use quorate_e2e::cluster::Cluster;
use quorate_e2e::port::Port;
use quorate_e2e::wait::{self, Look};
use quorate_proto::etcdserverpb::PutRequest;
use quorate_proto::etcdserverpb::kv_client::KvClient;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

/// Spans are exported every five seconds.
const LIMIT: Duration = Duration::from_secs(20);

/// A span and the attributes of who sent it.
type Received = Arc<Mutex<Vec<(BTreeMap<String, String>, Span)>>>;

/// A collector that keeps what it gets, until it is dropped.
struct Collector {
    received: Received,
    task: tokio::task::JoinHandle<()>,
}

impl Collector {
    fn start(address: SocketAddr) -> Collector {
        let received = Received::default();
        let service = TraceServiceServer::new(Keep(received.clone()));
        let task = tokio::spawn(async move { Server::builder().add_service(service).serve(address).await.unwrap() });
        Collector { received, task }
    }

    /// Waits for a span of that name.
    async fn span(&self, name: &str) -> (BTreeMap<String, String>, Span) {
        wait::until(&format!("a span {name}"), LIMIT, async || {
            let received = self.received.lock();
            Ok(match received.iter().find(|(_, span)| span.name == name) {
                Some(found) => Look::Yes(found.clone()),
                None => Look::NotYet(format!("{:?}", received.iter().map(|(_, span)| &span.name).collect::<Vec<_>>())),
            })
        })
        .await
        .unwrap()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Keep(Received);

#[tonic::async_trait]
impl TraceService for Keep {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for group in request.into_inner().resource_spans {
            let sender = texts(&group.resource.unwrap_or_default().attributes);
            let spans = group.scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.0.lock().extend(spans.map(|span| (sender.clone(), span)));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// Attributes as texts.
fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        other => format!("{other:?}"),
    };
    let value = |attribute: &KeyValue| attribute.value.as_ref()?.value.as_ref().map(text);
    attributes.iter().map(|attribute| (attribute.key.clone(), value(attribute).unwrap_or_default())).collect()
}

/// A running member that exports to `address` so many traces of a million.
async fn member(address: SocketAddr, rate: u32) -> Cluster {
    Cluster::builder(Flavour::under_test(), 1)
        .flag("--enable-distributed-tracing")
        .flag(format!("--distributed-tracing-address={address}"))
        .flag("--distributed-tracing-service-name=shop")
        .flag("--distributed-tracing-instance-id=one")
        .flag(format!("--distributed-tracing-sampling-rate={rate}"))
        .start()
        .await
        .unwrap()
}

async fn put(cluster: &Cluster, key: &str, traceparent: Option<&str>) {
    let mut client = KvClient::connect(cluster.members()[0].client_url()).await.unwrap();
    let put = PutRequest { key: key.to_owned().into(), value: "hidden-value".into(), ..PutRequest::default() };
    let mut request = Request::new(put);
    if let Some(traceparent) = traceparent {
        request.metadata_mut().insert("traceparent", traceparent.parse().unwrap());
    }
    client.put(request).await.unwrap();
}

#[tokio::test]
async fn a_call_is_a_part_of_its_callers_trace_whatever_the_rate() {
    let port = Port::reserve().unwrap();
    let collector = Collector::start(port.address());
    let cluster = member(port.address(), 0).await;
    put(&cluster, "a", None).await;
    put(&cluster, "a", Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")).await;
    let (sender, call) = collector.span("etcdserverpb.KV/Put").await;
    assert_eq!((sender["service.name"].as_str(), sender["service.instance.id"].as_str()), ("shop", "one"));
    assert_eq!(call.trace_id, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes());
    assert_eq!(call.parent_span_id, 0xb7ad_6b71_6920_3331_u64.to_be_bytes());
    let attributes = texts(&call.attributes);
    assert_eq!(attributes["rpc.system.name"], "grpc");
    assert_eq!(attributes["rpc.method"], "etcdserverpb.KV/Put");
    assert_eq!(attributes["rpc.response.status_code"], "OK");
    let (_, within) = collector.span("put").await;
    assert_eq!((within.trace_id, within.parent_span_id), (call.trace_id, call.span_id));
    // The call without a caller's decision is not among them: the rate is 0.
    let calls = collector.received.lock().iter().filter(|(_, span)| span.name == "etcdserverpb.KV/Put").count();
    assert_eq!(calls, 1);
}

#[tokio::test]
async fn spans_tell_where_the_time_went_and_neither_keys_nor_values() {
    let port = Port::reserve().unwrap();
    let collector = Collector::start(port.address());
    let cluster = member(port.address(), 1_000_000).await;
    put(&cluster, "hidden-key", None).await;
    let mut client = cluster.client().await.unwrap();
    client.get("hidden-key", None).await.unwrap();
    collector.span("etcdserverpb.KV/Range").await;
    if Flavour::under_test() == Flavour::Upstream {
        return;
    }
    collector.span("propose").await;
    collector.span("read_barrier").await;
    let all = format!("{:?}", collector.received.lock());
    let bytes = format!("{:?}", b"hidden");
    assert!(!all.contains("hidden") && !all.contains(bytes.trim_matches(['[', ']'])), "{all}");
}

#[tokio::test]
async fn without_a_collector_calls_succeed_and_one_line_says_so() {
    let port = Port::reserve().unwrap();
    let mut cluster = member(port.address(), 1_000_000).await;
    let mut client = cluster.client().await.unwrap();
    // Three spans each, more than the queue holds.
    for at in 0..1000 {
        client.put("a", format!("{at}"), None).await.unwrap();
    }
    if Flavour::under_test() == Flavour::Upstream {
        return;
    }
    cluster.member(0).running().unwrap().logs("failed to export traces").await.unwrap();
    let collector = Collector::start(port.address());
    wait::until("a span after the outage", LIMIT * 2, async || {
        client.put("a", "again", None).await.unwrap();
        Ok(if collector.received.lock().is_empty() { Look::NotYet(String::new()) } else { Look::Yes(()) })
    })
    .await
    .unwrap();
    cluster.member(0).running().unwrap().logs("traces are exported again").await.unwrap();
    let log = cluster.member(0).running().unwrap().log();
    assert_eq!(log.matches("failed to export traces").count(), 1, "{log}");
}
