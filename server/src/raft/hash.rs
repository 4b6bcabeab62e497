//! Histories of other members, to compare one's own with.

use std::time::Duration;

use quorate_proto::peer;
use tonic::Status;

use super::handle::Handle;
use super::transport::Traffic;

/// A large history takes long to read. A member that is gone shows sooner, by its connection.
const LIMIT: Duration = Duration::from_secs(600);

impl Handle {
    /// Asks another member for a hash of its history.
    pub async fn hash_kv_of(
        &self,
        member_id: u64,
        request: peer::HashKvRequest,
    ) -> Result<peer::HashKvResponse, Status> {
        let mut client = self
            .0
            .transport
            .client(member_id, Traffic::Forward)
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let answer = client.hash_kv(self.peer_request(member_id, request));
        let answer = tokio::time::timeout(LIMIT, answer).await;
        answer.map_err(|_| Status::deadline_exceeded("no hash was made in time"))?.map(tonic::Response::into_inner)
    }

    /// Waits until the log is applied up to `index`, as long as a request may take; false if that was too short.
    pub async fn catches_up(&self, index: u64) -> bool {
        let mut applied = self.0.applied.clone();
        let caught_up = applied.wait_for(|applied| applied.index >= index);
        matches!(tokio::time::timeout(self.0.request_timeout, caught_up).await, Ok(Ok(_)))
    }

    /// Ends this member for good: its data folder is not to be used again.
    pub fn declare_unfit(&self, reason: String) {
        self.0.unfit.send_replace(Some(reason));
    }
}
