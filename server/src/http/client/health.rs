//! gRPC's standard health service: the whole server serves as soon as it answers.

use std::pin::Pin;

use futures::Stream;
use quorate_proto::health::health_server::Health;
use quorate_proto::health::{HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus};
use tonic::{Request, Response, Status};

#[derive(Default)]
pub struct Service;

/// The empty name stands for the server; no service of it has a health of its own.
fn check(request: &HealthCheckRequest) -> Result<HealthCheckResponse, Status> {
    if request.service.is_empty() {
        Ok(HealthCheckResponse { status: ServingStatus::Serving as i32 })
    } else {
        Err(Status::not_found("unknown service"))
    }
}

#[tonic::async_trait]
impl Health for Service {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        check(request.get_ref()).map(Response::new)
    }

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        use futures::StreamExt;
        let now =
            check(request.get_ref()).unwrap_or(HealthCheckResponse { status: ServingStatus::ServiceUnknown as i32 });
        // The state does not change while the server runs: one answer, then silence.
        Ok(Response::new(Box::pin(futures::stream::iter([Ok(now)]).chain(futures::stream::pending()))))
    }
}
