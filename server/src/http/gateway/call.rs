//! A call from its JSON to its JSON, through the gRPC services of this process.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http::Request;
use prost_reflect::DynamicMessage;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::metadata::MetadataMap;
use tonic::{Response, Status, Streaming};

use super::codec::Codec;
use super::json;
use super::objects::Objects;
use super::reply::{self, Line};
use super::route::Route;
use crate::http::client::Services;
use crate::http::status;

pub type Lines = Pin<Box<dyn Stream<Item = Line> + Send>>;

/// What a call has come to.
pub struct Answer {
    pub metadata: MetadataMap,
    pub body: AnswerBody,
}

pub enum AnswerBody {
    Message(Bytes),
    /// Made one by one as they are asked for.
    Lines(Lines),
}

/// The moment a client stops waiting, if it does.
#[derive(Clone, Copy)]
pub struct Deadline(pub Option<Instant>);

impl Deadline {
    async fn bound<T>(self, work: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
        let Some(end) = self.0 else { return work.await };
        let late = |_| Err(Status::deadline_exceeded("context deadline exceeded"));
        tokio::time::timeout_at(end, work).await.unwrap_or_else(late)
    }
}

/// Everything about a call but the path it came by.
pub struct Call {
    pub route: Arc<Route>,
    pub metadata: MetadataMap,
    pub objects: Objects,
    pub deadline: Deadline,
}

impl Call {
    pub async fn run(mut self, services: Services) -> Result<Answer, Status> {
        let deadline = self.deadline;
        if self.route.method.is_client_streaming() {
            let replies = deadline.bound(self.open(services)).await;
            return Ok(lines(replies, deadline));
        }
        let request = deadline.bound(self.request()).await?;
        let Self { route, metadata, objects, .. } = self;
        // Who sends more learns that nobody reads it.
        drop(objects);
        let requests = stream::once(std::future::ready(request));
        let replies = deadline.bound(send(services, &route, metadata, requests)).await;
        if route.method.is_server_streaming() {
            return Ok(lines(replies, deadline));
        }
        let (metadata, mut replies, _) = replies?.into_parts();
        let missing = || Status::internal("the method has no reply");
        let message = deadline.bound(replies.message()).await?.ok_or_else(missing)?;
        // A reply that is sent and an error behind it is an error.
        deadline.bound(replies.trailers()).await?;
        Ok(Answer { metadata, body: AnswerBody::Message(reply::message(&message)?) })
    }

    /// The only one. No body is the message without fields; what follows the first object is ignored.
    async fn request(&mut self) -> Result<DynamicMessage, Status> {
        match self.objects.next().await {
            Ok(Some(object)) => json::read(self.route.input(), &object).map_err(status::json),
            Ok(None) => Ok(DynamicMessage::new(self.route.input())),
            Err(error) => Err(status::json(error)),
        }
    }

    /// Requests are taken from the body as the service asks for them. The first that can't be read is their end.
    async fn open(self, services: Services) -> Result<Response<Streaming<DynamicMessage>>, Status> {
        let Self { route, metadata, objects, .. } = self;
        let input = route.input();
        let requests = stream::unfold((objects, input), |(mut objects, input)| async move {
            let next = objects.next().await;
            match next.and_then(|object| object.map(|object| json::read(input.clone(), &object)).transpose()) {
                Ok(request) => request.map(|request| (request, (objects, input))),
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "failed to decode a stream's request");
                    None
                }
            }
        });
        send(services, &route, metadata, requests).await
    }
}

async fn send(
    services: Services,
    route: &Route,
    metadata: MetadataMap,
    requests: impl Stream<Item = DynamicMessage> + Send + 'static,
) -> Result<Response<Streaming<DynamicMessage>>, Status> {
    let service = tower::service_fn(move |request: Request<Body>| services.call(request));
    let mut grpc = Grpc::new(service).max_decoding_message_size(usize::MAX);
    let mut request = tonic::Request::new(requests);
    *request.metadata_mut() = metadata;
    grpc.streaming(request, route.grpc_path.clone(), Codec(route.output())).await
}

/// A stream that fails ends with a line that says so, also if it fails at once.
fn lines(replies: Result<Response<Streaming<DynamicMessage>>, Status>, deadline: Deadline) -> Answer {
    let (metadata, replies) = match replies {
        Ok(replies) => {
            let (metadata, replies, _) = replies.into_parts();
            (metadata, replies)
        }
        Err(status) => {
            let line = stream::once(std::future::ready(Line::error(&status)));
            return Answer { metadata: MetadataMap::new(), body: AnswerBody::Lines(line.boxed()) };
        }
    };
    let lines = stream::unfold(Some(replies), move |replies| async move {
        let mut replies = replies?;
        match deadline.bound(replies.message()).await {
            Ok(Some(message)) => Some((Line::result(&message), Some(replies))),
            Ok(None) => None,
            Err(status) => Some((Line::error(&status), None)),
        }
    });
    Answer { metadata, body: AnswerBody::Lines(lines.boxed()) }
}
