//! `etcdutl snapshot`

use quorate_ctl::failure::Failure;

use super::{Session, restore::Restore, status::Status};

#[derive(clap::Subcommand, Clone, Debug)]
pub(super) enum Snapshot {
    Status(Status),
    Restore(Restore),
}

impl Snapshot {
    pub(super) fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::Status(status) => status.run(session),
            Self::Restore(restore) => restore.run(),
        }
    }
}
