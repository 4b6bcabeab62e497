//! Profiles of the running process, in the form that `go tool pprof` reads.

mod cpu;

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use pprof_util::StackProfile;
use prost::Message;

pub use cpu::cpu;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Go's words, which tools show.
    #[error("cpu profiling already in use")]
    InUse,
    #[error(
        "the profiler can't start (it needs a folder for temporary files that can be written to, which TMPDIR names)"
    )]
    Start(#[source] pprof::Error),
    #[error("the profiler has no result")]
    Read(#[source] pprof::Error),
    #[error("the profile can't be written")]
    Write(#[source] std::io::Error),
    #[error("the profiler has no thread")]
    Thread(#[source] std::io::Error),
}

/// What `pprof_util` leaves out of a profile.
#[derive(Clone, PartialEq, Message)]
struct Timing {
    #[prost(int64, tag = "10")]
    duration_nanos: i64,
    #[prost(int64, tag = "12")]
    period: i64,
}

/// A kind of sample and its unit.
type Kind = (&'static str, &'static str);

/// Names functions, which takes seconds for the first profile of a process.
fn encode(stacks: &StackProfile, kind: Kind, timing: &Timing) -> Result<Vec<u8>, Error> {
    let profile = stacks.to_pprof(kind, kind, None);
    // One message behind another is their sum, in protobuf as in gzip.
    let mut zipped = GzEncoder::new(profile, Compression::fast());
    zipped.write_all(&timing.encode_to_vec()).map_err(Error::Write)?;
    zipped.finish().map_err(Error::Write)
}

fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}
