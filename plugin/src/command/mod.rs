//! A file for each command; [`say`], [`ask`] and [`follow`] are how they talk.

mod ask;
mod certs;
mod follow;
mod hibernate;
mod logs;
mod pause;
mod promote_leader;
mod restart;
mod say;
mod status;

use crate::Error;
use crate::access::Access;
use crate::arguments::{Arguments, Certs, Command};

pub async fn run(arguments: Arguments) -> Result<(), Error> {
    let access = Access::open(&arguments.site).await?;
    match arguments.command {
        Command::Status { name, output, watch } => status::run(&access, &name, output, watch).await,
        Command::PromoteLeader { name, member } => promote_leader::run(&access, &name, &member).await,
        Command::Restart { name, patience } => restart::run(&access, &name, patience).await,
        Command::Hibernate { name, yes, patience } => hibernate::hibernate(&access, &name, yes, patience).await,
        Command::Resume { name, replicas, patience } => hibernate::resume(&access, &name, replicas, patience).await,
        Command::Logs { name, selection } => logs::run(&access, &name, &selection).await,
        Command::Pause { name } => pause::run(&access, &name, true).await,
        Command::Unpause { name } => pause::run(&access, &name, false).await,
        Command::Certs(Certs::Rotate { name }) => certs::rotate(&access, &name).await,
    }
}
