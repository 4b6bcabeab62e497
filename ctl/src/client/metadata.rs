//! What goes with calls besides their requests.

use tonic::{
    Request, Status,
    metadata::{AsciiMetadataValue, MetadataValue},
    service::Interceptor,
};

use super::Error;

/// What goes with every call.
#[derive(Clone, Default)]
pub struct CallMetadata {
    pub(super) token: Option<AsciiMetadataValue>,
    /// The server is to end the stream when it has lost its leader.
    pub(super) require_leader: bool,
}

impl Interceptor for CallMetadata {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let metadata = request.metadata_mut();
        if let Some(token) = &self.token {
            metadata.insert("token", token.clone());
        }
        if self.require_leader {
            metadata.insert("hasleader", MetadataValue::from_static("true"));
        }
        Ok(request)
    }
}

/// A token as it goes with calls.
pub(super) fn token(token: &str) -> Result<AsciiMetadataValue, Error> {
    let mut value: AsciiMetadataValue = token.parse().map_err(|_| Error::BadToken)?;
    value.set_sensitive(true);
    Ok(value)
}
