//! A call on its way through the counters of its method, and its span.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Frame, SizeHint};
use tonic::body::Body;
use tonic::{Code, Status};

use crate::metrics::Rpc;
use crate::telemetry::traces::Call;

/// A call that began. Methods that don't exist have no counters.
pub struct Counted {
    rpc: Option<Arc<Rpc>>,
    started: Instant,
    /// A unary call that takes longer is logged.
    slow: Duration,
    /// `None` where calls are not traced.
    span: Option<Call>,
}

impl Counted {
    pub fn start(rpc: Option<&Arc<Rpc>>, slow: Duration, span: Option<Call>) -> Self {
        if let Some(rpc) = rpc {
            rpc.started.inc();
            rpc.msg_received.inc();
        }
        Self { rpc: rpc.cloned(), started: Instant::now(), slow, span }
    }

    /// The call ended with this code.
    pub fn handled(&self, code: Code) {
        if let Some(rpc) = &self.rpc {
            if code == Code::Ok {
                rpc.msg_sent.inc();
            }
            let took = self.started.elapsed();
            rpc.handled(code as i32, took);
            if took > self.slow && !rpc.streams {
                warn_of_slow(rpc, took, code);
            }
        }
        if let Some(span) = &self.span {
            span.end(code);
        }
    }

    /// The answer has begun: a unary one is as good as sent, a stream is counted when it ends.
    pub fn answered(self, response: Response<Body>) -> Response<Body> {
        // A failed call has its status in the headers; the status of a stream that began is in its trailers.
        let failed = status(response.headers());
        if failed.is_none() && self.rpc.as_ref().is_some_and(|rpc| rpc.streams) {
            return response.map(|body| Body::new(Streamed { body, call: Some(self) }));
        }
        self.handled(failed.unwrap_or(Code::Ok));
        response
    }
}

/// etcd's line about a slow call, without what it asked for.
fn warn_of_slow(rpc: &Rpc, took: Duration, code: Code) {
    let started = jiff::Timestamp::now().saturating_sub(took).unwrap_or_default();
    tracing::warn!(
        "start time" = %started,
        "time spent" = ?took,
        "response type" = rpc.path,
        "response code" = ?code,
        "request stats"
    );
}

fn status(headers: &HeaderMap) -> Option<Code> {
    Status::from_header_map(headers).map(|status| status.code())
}

/// A stream's body, which counts the call by its trailers, or as cancelled when the client leaves before.
struct Streamed {
    body: Body,
    call: Option<Counted>,
}

impl http_body::Body for Streamed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(trailers) = frame.trailers_ref()
            && let Some(call) = self.call.take()
        {
            call.handled(status(trailers).unwrap_or(Code::Ok));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            call.handled(Code::Cancelled);
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::metrics::Metrics;

    const WATCH: &str = "/etcdserverpb.Watch/Watch";

    fn handled(metrics: &Metrics, code: &str) -> bool {
        let line = format!(
            "grpc_server_handled_total{{grpc_code=\"{code}\",grpc_method=\"Watch\",grpc_service=\"etcdserverpb.Watch\",\
             grpc_type=\"bidi_stream\"}} 1"
        );
        metrics.render().contains(&line)
    }

    #[test]
    fn a_stream_that_the_client_leaves_counts_as_cancelled_and_only_then() {
        let metrics = Metrics::new(false);
        let open = http_body_util::StreamBody::new(futures::stream::pending::<Result<Frame<Bytes>, Status>>());
        let counted = Counted::start(metrics.rpcs.get(WATCH), Duration::MAX, None);
        let response = counted.answered(Response::new(Body::new(open)));
        assert!(!handled(&metrics, "OK") && !handled(&metrics, "Canceled"));
        drop(response);
        assert!(handled(&metrics, "Canceled"));
    }

    #[tokio::test]
    async fn a_stream_counts_by_its_trailers() {
        let metrics = Metrics::new(false);
        let mut trailers = HeaderMap::new();
        Status::unavailable("gone").add_header(&mut trailers).unwrap();
        let body = http_body_util::Empty::<Bytes>::new().with_trailers(std::future::ready(Some(Ok(trailers))));
        let response = Response::new(Body::new(body));
        let answered = Counted::start(metrics.rpcs.get(WATCH), Duration::MAX, None).answered(response);
        answered.into_body().collect().await.unwrap();
        assert!(handled(&metrics, "Unavailable") && !handled(&metrics, "Canceled"));
    }
}
