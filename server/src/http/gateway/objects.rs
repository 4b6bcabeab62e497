//! JSON objects one behind the other, cut out of a body as it comes.

use std::pin::Pin;

use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, StreamExt};

use super::json::Error;

/// A body's bytes, however they are transported.
pub type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, tower::BoxError>> + Send>>;

/// Reads no further than it is asked to.
pub struct Objects {
    chunks: Chunks,
    /// What has come of the next object, and perhaps of those behind it.
    buffered: BytesMut,
    scan: Scan,
    limit_bytes: usize,
}

impl Objects {
    /// No object may have more than `limit_bytes`.
    pub fn new(chunks: Chunks, limit_bytes: usize) -> Self {
        Self { chunks, buffered: BytesMut::new(), scan: Scan::default(), limit_bytes }
    }

    /// The next one; `None` if the body ends without.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if self.scan.is_outside() {
                let blank = self.buffered.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
                self.buffered.advance(blank);
            }
            let end = self.scan.end(&self.buffered)?;
            if end.unwrap_or(self.buffered.len()) > self.limit_bytes {
                return Err(Error::TooLarge(self.limit_bytes));
            }
            if let Some(end) = end {
                self.scan = Scan::default();
                return Ok(Some(self.buffered.split_to(end).freeze()));
            }
            match self.chunks.next().await {
                Some(chunk) => self.buffered.extend_from_slice(&chunk.map_err(Error::Body)?),
                None if self.scan.is_outside() => return Ok(None),
                None => return Err(Error::Incomplete),
            }
        }
    }
}

/// Looks for an object's end and at nothing else: whether it is JSON is found out by who reads it.
#[derive(Default)]
struct Scan {
    /// Bytes that need no second look.
    scanned: usize,
    /// Brackets that are open.
    depth: usize,
    in_text: bool,
    is_escaped: bool,
}

impl Scan {
    fn is_outside(&self) -> bool {
        self.depth == 0
    }

    /// Where the object ends that `bytes` begin with; `None` if that is not among them yet.
    fn end(&mut self, bytes: &[u8]) -> Result<Option<usize>, Error> {
        for (at, &byte) in bytes.iter().enumerate().skip(self.scanned) {
            if self.in_text {
                self.in_text = byte != b'"' || self.is_escaped;
                self.is_escaped = byte == b'\\' && !self.is_escaped;
                continue;
            }
            match byte {
                b'{' | b'[' => self.depth += 1,
                _ if self.depth == 0 => return Err(Error::NoObject(byte)),
                b'}' | b']' => self.depth -= 1,
                b'"' => self.in_text = true,
                _ => {}
            }
            if self.depth == 0 {
                return Ok(Some(at + 1));
            }
        }
        self.scanned = bytes.len();
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT_BYTES: usize = 40;

    /// All objects of a body that comes in chunks of `size`, and how it ends.
    async fn cut(body: &str, size: usize) -> (Vec<String>, Result<(), String>) {
        let chunks: Vec<_> = body.as_bytes().chunks(size).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        let mut objects = Objects::new(Box::pin(futures::stream::iter(chunks)), LIMIT_BYTES);
        let mut found = Vec::new();
        loop {
            match objects.next().await {
                Ok(Some(object)) => found.push(String::from_utf8(object.to_vec()).unwrap()),
                Ok(None) => return (found, Ok(())),
                Err(error) => return (found, Err(error.to_string())),
            }
        }
    }

    async fn check(body: &str, objects: &[&str], end: Result<(), &str>) {
        for size in [1, 2, 7, 1000] {
            let (found, ended) = cut(body, size).await;
            assert_eq!(
                (found.as_slice(), ended.as_ref().map_err(String::as_str)),
                (&*owned(objects), end.as_ref().map_err(|text| *text)),
                "{body:?} in {size}s"
            );
        }
    }

    fn owned(objects: &[&str]) -> Vec<String> {
        objects.iter().map(|&object| object.to_owned()).collect()
    }

    #[tokio::test]
    async fn objects_may_follow_each_other_with_or_without_lines() {
        check(r#"{"a":1}{"b":{}}"#, &[r#"{"a":1}"#, r#"{"b":{}}"#], Ok(())).await;
        check("\n {\"a\":[{},{}]}\r\n\t{}\n", &[r#"{"a":[{},{}]}"#, "{}"], Ok(())).await;
        check(" \n", &[], Ok(())).await;
    }

    #[tokio::test]
    async fn brackets_within_texts_are_text() {
        check(r#"{"a":"}{\"}\\"}{}"#, &[r#"{"a":"}{\"}\\"}"#, "{}"], Ok(())).await;
    }

    #[tokio::test]
    async fn a_body_that_ends_within_an_object_is_incomplete() {
        check(r#"{}{"a":"}"#, &["{}"], Err("unexpected EOF")).await;
    }

    #[tokio::test]
    async fn what_is_no_object_ends_the_body() {
        check("{} x", &["{}"], Err("invalid character 'x' looking for beginning of value")).await;
        check("}", &[], Err("invalid character '}' looking for beginning of value")).await;
    }

    #[tokio::test]
    async fn an_object_beyond_the_limit_is_refused_and_blanks_count_for_nothing() {
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(LIMIT_BYTES));
        check(&format!("{{}}{long}"), &["{}"], Err("request body with a JSON object larger than max (40 bytes)")).await;
        check(&format!("{}{{}}", " ".repeat(10 * LIMIT_BYTES)), &["{}"], Ok(())).await;
    }
}
