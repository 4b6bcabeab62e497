//! What a call shows of its caller.

use std::sync::Arc;

use tonic::metadata::MetadataMap;
use tonic::{Extensions, Request};

use crate::http::secured::CommonName;

/// Neither checked nor complete: a call may show nothing.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    pub(super) token: Option<String>,
    pub(super) common_name: Option<Arc<str>>,
}

impl Credentials {
    pub fn of(metadata: &MetadataMap, extensions: &Extensions) -> Self {
        // `authorization` is what HTTP clients send; some put the word before the token that others do without.
        let token = metadata.get("token").or_else(|| metadata.get("authorization"));
        let token = token.and_then(|value| value.to_str().ok());
        Self {
            token: token.map(|token| token.strip_prefix("Bearer ").unwrap_or(token).to_owned()),
            common_name: extensions.get::<CommonName>().map(|name| name.0.clone()),
        }
    }

    /// The credentials and the message of a request.
    pub fn split<T>(request: Request<T>) -> (Self, T) {
        let (metadata, extensions, message) = request.into_parts();
        (Self::of(&metadata, &extensions), message)
    }
}
