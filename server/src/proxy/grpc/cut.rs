//! An answer whose connection may end in the middle: the client then hears so in gRPC's way, and not by a reset.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tonic::Status;

pub struct Cut {
    body: Incoming,
    is_cut: bool,
}

impl Cut {
    pub fn new(body: Incoming) -> Self {
        Self { body, is_cut: false }
    }
}

impl http_body::Body for Cut {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_cut {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Err(error)) => {
                self.is_cut = true;
                let mut trailers = HeaderMap::new();
                let status = Status::unavailable(format!("the connection to the member ended: {error}"));
                Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers)))
            }
            Some(Ok(frame)) => Some(Ok(frame)),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.is_cut || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // A cut answer is shorter than announced.
        SizeHint::default()
    }
}
