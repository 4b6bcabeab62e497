//! Spans of the calls of clients, exported by OTLP.
//!
//! A call that is traced has its span in OpenTelemetry's context, which follows the call's future from poll to poll. Spans have
//! neither keys nor values nor names of users: who reads traces may not be allowed to read data.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{SpanKind, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::resource::EnvResourceDetector;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider, Span, SpanData, SpanExporter};
use tonic::Code;

use crate::config::Tracing;

/// Bound on the export of what is left when the process ends.
const LAST_EXPORT: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
#[error("cannot export traces to {address} of --distributed-tracing-address")]
pub struct Error {
    address: String,
    source: ExporterBuildError,
}

/// Makes the spans of calls. Cheap to clone.
#[derive(Clone)]
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// What spans within a call are made with.
struct Within(SdkTracer);

impl Traces {
    /// Needs the runtime, on which spans are exported in the background. What the collector doesn't take in time is dropped.
    pub fn start(settings: &Tracing) -> Result<Self, Error> {
        let Tracing { address, service_name, instance_id, sampling_rate_per_million } = settings;
        let exporter =
            opentelemetry_otlp::SpanExporter::builder().with_tonic().with_endpoint(format!("http://{address}")).build();
        let exporter = exporter.map_err(|source| Error { address: address.clone(), source })?;
        let mut resource = Resource::builder_empty()
            .with_detector(Box::new(EnvResourceDetector::new()))
            .with_attribute(KeyValue::new("service.name", service_name.clone()));
        if !instance_id.is_empty() {
            resource = resource.with_attribute(KeyValue::new("service.instance.id", instance_id.clone()));
        }
        let exporter = Announced { exporter, address: address.clone(), fails: AtomicBool::new(false) };
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource.build())
            .with_sampler(sampler(*sampling_rate_per_million))
            .build();
        tracing::info!(
            address,
            "service-name" = service_name,
            "service-instance-id" = instance_id,
            "sampling-rate" = sampling_rate_per_million,
            "distributed tracing enabled"
        );
        Ok(Self::of(provider))
    }

    fn of(provider: SdkTracerProvider) -> Self {
        let scope = InstrumentationScope::builder("quorate").with_version(env!("CARGO_PKG_VERSION")).build();
        Self { tracer: provider.tracer_with_scope(scope), provider }
    }

    /// The span of a call by its HTTP path, such as `/etcdserverpb.KV/Put`, below the caller's if the headers name one.
    pub fn call(&self, path: &str, headers: &HeaderMap) -> Call {
        let method = path.trim_start_matches('/').to_owned();
        let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers));
        let attributes = [KeyValue::new("rpc.system.name", "grpc"), KeyValue::new("rpc.method", method.clone())];
        let builder = self.tracer.span_builder(method).with_kind(SpanKind::Server).with_attributes(attributes);
        let span = builder.start_with_context(&self.tracer, &parent);
        Call(parent.with_span(span).with_value(Within(self.tracer.clone())))
    }

    /// Exports what is left.
    pub async fn stop(self) {
        let last = tokio::task::spawn_blocking(move || self.provider.shutdown_with_timeout(LAST_EXPORT));
        if let Ok(Err(error)) = last.await {
            tracing::debug!(%error, "the last traces were not exported");
        }
    }
}

/// As etcd's: what the caller has decided holds.
fn sampler(rate_per_million: u32) -> Sampler {
    let own = match rate_per_million {
        0 => Sampler::AlwaysOff,
        rate => Sampler::TraceIdRatioBased(f64::from(rate) / 1e6),
    };
    Sampler::ParentBased(Box::new(own))
}

/// A call's span, which ends when it is told how the call ended.
pub struct Call(Context);

impl Call {
    /// For the call's future to run in.
    pub fn context(&self) -> Context {
        self.0.clone()
    }

    pub fn end(&self, code: Code) {
        let span = self.0.span();
        span.set_attribute(KeyValue::new("rpc.response.status_code", name(code)));
        if is_failure(code) {
            // The message may name what the caller asked for.
            span.set_status(Status::Error { description: Cow::Borrowed("") });
        }
        span.end();
    }
}

/// A span within the call that is served on this thread, until it is dropped. `None` where no traced call is.
pub fn within(name: &'static str, attributes: impl FnOnce() -> Vec<KeyValue>) -> Option<Span> {
    Context::map_current(|context| {
        let Within(tracer) = context.get()?;
        if !context.span().is_recording() {
            return None;
        }
        Some(tracer.span_builder(name).with_attributes(attributes()).start_with_context(tracer, context))
    })
}

/// OpenTelemetry's rule for servers: what the caller did wrong is no error of ours.
fn is_failure(code: Code) -> bool {
    use Code::{DataLoss, DeadlineExceeded, Internal, Unavailable, Unimplemented, Unknown};
    matches!(code, Unknown | DeadlineExceeded | Unimplemented | Internal | Unavailable | DataLoss)
}

fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

/// Says once that the collector is away, and once that it is back.
#[derive(Debug)]
struct Announced {
    exporter: opentelemetry_otlp::SpanExporter,
    address: String,
    fails: AtomicBool,
}

impl SpanExporter for Announced {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let exported = self.exporter.export(batch).await;
        let failed = self.fails.swap(exported.is_err(), Ordering::Relaxed);
        let address = self.address.as_str();
        match &exported {
            Err(error) if !failed => tracing::warn!(address, %error, "failed to export traces; they are dropped"),
            Ok(()) if failed => tracing::info!(address, "traces are exported again"),
            _ => {}
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod traces_test;
