//! A leader whose process has ended has a successor sooner than one that is merely silent.
//!
//! Silence may be a slow disk or a busy processor, so followers bear a whole election timeout of it. But where a leader's peer port
//! refuses connections there is no process that could come back to lead. A follower that sees this stands for election as soon as
//! the others may listen to it, which is when the leader's lease has passed. Should it be wrong, because only its own way to the
//! leader is blocked, the others' lease has not passed and they refuse it. Followers stand one after the other, not to split the
//! votes.

use std::io;
use std::sync::Weak;
use std::time::{Duration, Instant};

use openraft::async_runtime::watch::WatchReceiver;
use tokio::net::TcpStream;

use super::handle::Inner;
use super::transport::DEFAULT_PEER_PORT;

/// Others may have heard of the leader a little later.
const MARGIN: Duration = Duration::from_millis(20);
/// Time for an election before the next follower stands, at least.
const TURN_MIN: Duration = Duration::from_millis(50);
/// Between two looks at a silent leader.
const LOOK: Duration = Duration::from_millis(10);
/// How often a follower stands out of turn; after that there is no quorum, and the usual timeouts will do.
const STANDS: u32 = 3;
/// Heartbeats that did not come before the leader is looked for.
const MISSED: u32 = 2;

#[derive(Debug, Clone, Copy)]
pub struct Timing {
    pub heartbeat: Duration,
    /// Time after a leader's last call within which members refuse their votes to others.
    pub lease: Duration,
    pub pre_vote: bool,
}

/// Looks until raft ends.
pub fn keep(inner: Weak<Inner>, timing: Timing) {
    let turn = timing.heartbeat.max(TURN_MIN);
    tokio::spawn(async move {
        // What the follower heard last, and how often it has stood since.
        let mut last = (0, Instant::now(), 0);
        let mut pause = timing.heartbeat / 2;
        loop {
            tokio::time::sleep(pause).await;
            let Some(inner) = inner.upgrade() else { return };
            let heard = *inner.heard.lock();
            let is_silent = heard.elapsed() >= timing.heartbeat * MISSED;
            pause = if is_silent { LOOK } else { timing.heartbeat / 2 };
            if !is_silent {
                continue;
            }
            let Some(place) = inner.place_behind_leader() else { continue };
            if (last.0, last.1) != (place.leader, heard) {
                last = (place.leader, heard, 0);
            }
            if last.2 == STANDS {
                continue;
            }
            let turns = place.rank + last.2 * place.followers;
            if heard.elapsed() < timing.lease + MARGIN + turn * turns || !inner.has_ended(place.leader, turn).await {
                continue;
            }
            last.2 += 1;
            tracing::info!(
                leader = format!("{:x}", place.leader),
                "the leader's process has ended; standing for election"
            );
            if inner.raft.trigger().elect(timing.pre_vote).await.is_err() {
                return;
            }
        }
    });
}

/// A follower's place among those that may succeed a leader.
struct Place {
    leader: u64,
    /// From 0.
    rank: u32,
    followers: u32,
}

impl Inner {
    /// `None` for a leader, a learner, and a follower that has no leader.
    fn place_behind_leader(&self) -> Option<Place> {
        let own = self.identity.member_id;
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let leader = metrics.current_leader.filter(|leader| *leader != own)?;
        let mut followers: Vec<u64> = metrics.membership_config.voter_ids().filter(|id| *id != leader).collect();
        followers.sort_unstable();
        let rank = followers.iter().position(|id| *id == own)?;
        Some(Place { leader, rank: u32::try_from(rank).ok()?, followers: u32::try_from(followers.len()).ok()? })
    }

    /// All of the member's addresses refuse connections. No answer proves nothing.
    async fn has_ended(&self, member: u64, patience: Duration) -> bool {
        let urls = self.transport.peer_urls(member).unwrap_or_default();
        for url in &urls {
            let Ok(uri) = url.parse::<http::Uri>() else { return false };
            let Some(host) = uri.host() else { return false };
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let connect = TcpStream::connect((host, uri.port_u16().unwrap_or(DEFAULT_PEER_PORT)));
            match tokio::time::timeout(patience, connect).await {
                Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                _ => return false,
            }
        }
        !urls.is_empty()
    }
}
