//! Hashing passwords takes long on purpose: it happens on a thread that yields to everything else, one at a time.

use tokio::sync::{mpsc, oneshot};
use tonic::Status;

use crate::background;
use crate::http::status;

/// bcrypt ignores what is beyond.
const MAX_PASSWORD_BYTES: usize = 72;

/// Passwords that may wait. At etcd's cost of 10 the last of them waits some five seconds.
const WAITING: usize = 64;

/// Cheap to clone; the thread ends with the last clone.
#[derive(Debug, Clone)]
pub struct Passwords(mpsc::Sender<Job>);

#[derive(Debug)]
enum Job {
    Hash(String, oneshot::Sender<Result<String, String>>),
    /// Without a hash the answer is no, after the same time.
    Check {
        password: String,
        hash: Option<String>,
        matches: oneshot::Sender<bool>,
    },
}

impl Passwords {
    /// `cost`: bcrypt's, 4 to 31; every step doubles the time.
    pub fn start(cost: u32) -> std::io::Result<Self> {
        let (queue, jobs) = mpsc::channel(WAITING);
        background::spawn("passwords", move || work(jobs, cost))?;
        Ok(Self(queue))
    }

    /// bcrypt's text for a password.
    pub async fn hash(&self, password: String) -> Result<String, Status> {
        let (answer, hashed) = oneshot::channel();
        self.give(Job::Hash(password, answer))?;
        hashed.await.map_err(|_| status::stopped())?.map_err(Status::unknown)
    }

    /// Whether the password is the hashed one. `None` stands for a user that there is not: whoever asks must not see the difference.
    pub async fn check(&self, password: String, hash: Option<String>) -> Result<bool, Status> {
        let (answer, matches) = oneshot::channel();
        self.give(Job::Check { password, hash, matches: answer })?;
        matches.await.map_err(|_| status::stopped())
    }

    fn give(&self, job: Job) -> Result<(), Status> {
        self.0.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => status::raft(crate::raft::Error::Overloaded),
            mpsc::error::TrySendError::Closed(_) => status::stopped(),
        })
    }
}

fn work(mut jobs: mpsc::Receiver<Job>, cost: u32) {
    let mut decoy = None;
    while let Some(job) = jobs.blocking_recv() {
        // Whoever asked may have gone meanwhile: then nobody needs the work.
        match job {
            Job::Hash(password, answer) if !answer.is_closed() => {
                let _ = answer.send(hash(&password, cost));
            }
            Job::Check { password, hash, matches } if !matches.is_closed() => {
                let is_user = hash.is_some();
                let hash = hash.or_else(|| {
                    if decoy.is_none() {
                        decoy = bcrypt::hash("", cost).ok();
                    }
                    decoy.clone()
                });
                let is_same = hash.is_some_and(|hash| bcrypt::verify(&password, &hash).unwrap_or(false));
                let _ = matches.send(is_user && is_same && password.len() <= MAX_PASSWORD_BYTES);
            }
            Job::Hash(..) | Job::Check { .. } => {}
        }
    }
}

/// The hash in the version that etcd writes, or a refusal in the words of Go's bcrypt, which etcd passes on.
fn hash(password: &str, cost: u32) -> Result<String, String> {
    if password.len() > MAX_PASSWORD_BYTES {
        return Err(format!("bcrypt: password length exceeds {MAX_PASSWORD_BYTES} bytes"));
    }
    let hashed = bcrypt::hash_with_result(password, cost);
    hashed.map(|parts| parts.format_for_version(bcrypt::Version::TwoA)).map_err(|error| format!("bcrypt: {error}"))
}
