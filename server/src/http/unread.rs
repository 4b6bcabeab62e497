//! Bodies of requests that are answered before they are read.
//!
//! Over HTTP/2 a body that is dropped resets its stream, and clients such as curl then lose the answer that came before. So what
//! is left of a body is read, within bounds.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;

/// Bytes of a body that are read for nobody.
const MOST_BYTES: usize = 256 << 10;
/// How long they are waited for.
const MOST_TIME: Duration = Duration::from_secs(5);

/// A request's body. Dropped before its end, it is read on.
pub struct Read<B: Body<Data = Bytes> + Send + Unpin + 'static>(Option<B>);

impl<B: Body<Data = Bytes> + Send + Unpin> Read<B> {
    pub fn new(body: B) -> Self {
        Self(Some(body))
    }
}

impl<B: Body<Data = Bytes> + Send + Unpin> Body for Read<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Some(body) = &mut self.0 else { return Poll::Ready(None) };
        let frame = Pin::new(body).poll_frame(cx);
        if matches!(frame, Poll::Ready(None | Some(Err(_)))) {
            self.0 = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<B: Body<Data = Bytes> + Send + Unpin> Drop for Read<B> {
    fn drop(&mut self) {
        let Some(mut body) = self.0.take().filter(|body| !body.is_end_stream()) else { return };
        // Without a runtime the connection is gone too.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(tokio::time::timeout(MOST_TIME, async move {
            let mut left = MOST_BYTES;
            while let Some(Ok(frame)) = body.frame().await {
                let bytes = frame.data_ref().map_or(0, Buf::remaining);
                match left.checked_sub(bytes) {
                    Some(rest) => left = rest,
                    None => return,
                }
            }
        }));
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use tokio::sync::mpsc;

    use super::*;

    /// How many of a body's pieces of 64 KiB are taken after its reader has read `first` and left.
    async fn taken(first: usize, pieces: usize) -> usize {
        let (sender, receiver) = mpsc::channel(1);
        let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
        let frames = stream.map(|piece: Bytes| Ok::<_, std::convert::Infallible>(Frame::data(piece)));
        let mut body = Read::new(http_body_util::StreamBody::new(frames));
        let reader = async move {
            for _ in 0..first {
                body.frame().await.unwrap().unwrap();
            }
        };
        let writer = async move {
            let mut taken = 0;
            // One that nobody takes waits in the channel.
            while taken < pieces && sender.send(Bytes::from(vec![0; 64 << 10])).await.is_ok() {
                taken += 1;
            }
            taken
        };
        tokio::join!(reader, writer).1
    }

    #[tokio::test]
    async fn what_a_reader_leaves_is_read_to_its_end() {
        assert_eq!(taken(0, 4).await, 4);
        assert_eq!(taken(2, 4).await, 4);
    }

    #[tokio::test]
    async fn a_body_without_end_is_left_at_the_bound() {
        assert!(taken(0, 1000).await < 10);
    }
}
