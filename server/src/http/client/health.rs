//! gRPC's standard health service: the whole server serves as soon as it answers, and rests while it is defragmented if
//! `StopGRPCServiceOnDefrag` says so.

use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt, stream};
use quorate_proto::health::health_server::Health;
use quorate_proto::health::{HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus};
use tokio::sync::watch;
use tonic::{Request, Response, Status};

/// What the health service says of the server; clones are one.
#[derive(Clone)]
pub struct Serving(Arc<watch::Sender<usize>>);

/// While one of these lives, clients that balance load are sent elsewhere.
pub struct Rest(Serving);

impl Default for Serving {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl Serving {
    pub fn rest(&self, reason: &'static str) -> Rest {
        tracing::info!(service = "", status = ServingStatus::NotServing.as_str_name(), reason, "{CHANGED}");
        self.0.send_modify(|rests| *rests += 1);
        Rest(self.clone())
    }
}

const CHANGED: &str = "grpc service status changed";

impl Drop for Rest {
    fn drop(&mut self) {
        self.0.0.send_modify(|rests| *rests -= 1);
        tracing::info!(service = "", status = ServingStatus::Serving.as_str_name(), "{CHANGED}");
    }
}

fn status(rests: usize) -> ServingStatus {
    if rests == 0 { ServingStatus::Serving } else { ServingStatus::NotServing }
}

pub struct Service {
    serving: Serving,
}

impl Service {
    pub fn new(serving: Serving) -> Self {
        Self { serving }
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status as i32 }
}

#[tonic::async_trait]
impl Health for Service {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    /// The empty name stands for the server; no service of it has a health of its own.
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        if !request.get_ref().service.is_empty() {
            return Err(Status::not_found("unknown service"));
        }
        Ok(Response::new(answer(status(*self.serving.0.borrow()))))
    }

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        if !request.get_ref().service.is_empty() {
            let unknown = stream::iter([Ok(answer(ServingStatus::ServiceUnknown))]);
            return Ok(Response::new(Box::pin(unknown.chain(stream::pending()))));
        }
        let changes = stream::unfold((self.serving.0.subscribe(), None), async |(mut rests, told)| {
            loop {
                let now = status(*rests.borrow_and_update());
                if told != Some(now) {
                    return Some((Ok(answer(now)), (rests, Some(now))));
                }
                rests.changed().await.ok()?;
            }
        });
        Ok(Response::new(Box::pin(changes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_that_rests_says_so_once_and_comes_back() {
        let serving = Serving::default();
        let service = Service::new(serving.clone());
        let ask = || Request::new(HealthCheckRequest::default());
        let mut told = service.watch(ask()).await.unwrap().into_inner();
        let mut next = async || told.next().await.unwrap().unwrap().status();
        assert_eq!(next().await, ServingStatus::Serving);
        let rest = serving.rest("a test");
        let another = serving.rest("another");
        assert_eq!(next().await, ServingStatus::NotServing);
        assert_eq!(service.check(ask()).await.unwrap().into_inner().status(), ServingStatus::NotServing);
        drop(rest);
        assert_eq!(service.check(ask()).await.unwrap().into_inner().status(), ServingStatus::NotServing);
        drop(another);
        assert_eq!(next().await, ServingStatus::Serving);
        assert_eq!(service.check(ask()).await.unwrap().into_inner().status(), ServingStatus::Serving);
    }
}
