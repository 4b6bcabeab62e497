//! `etcdctl alarm`

use quorate_proto::etcdserverpb::{AlarmRequest, AlarmResponse, alarm_request::AlarmAction};

use super::Session;
use crate::{
    client::{Client, Error},
    failure::Failure,
};

#[derive(clap::Subcommand, Clone, Debug)]
pub(super) enum Alarm {
    /// Lists all alarms
    List(Arguments),
    /// Disarms all alarms
    Disarm(Arguments),
}

#[derive(clap::Args, Clone, Debug)]
pub(super) struct Arguments {
    #[arg(hide = true)]
    args: Vec<String>,
}

impl Alarm {
    pub(super) async fn run(self, session: Session) -> Result<(), Failure> {
        let (name, arguments) = match &self {
            Alarm::List(arguments) => ("list", arguments),
            Alarm::Disarm(arguments) => ("disarm", arguments),
        };
        if !arguments.args.is_empty() {
            return Err(Failure::bad_args(format!("alarm {name} command accepts no arguments")));
        }
        let mut client = Client::open(&session.globals).await?;
        let mut reply = list(&mut client).await?;
        if matches!(self, Alarm::Disarm(_)) {
            reply = disarm(&mut client, reply).await?;
        }
        session.output.print(&reply)
    }
}

/// Alarms of all members.
pub(super) async fn list(client: &mut Client) -> Result<AlarmResponse, Error> {
    client.call(AlarmRequest { action: AlarmAction::Get.into(), ..Default::default() }).await
}

/// Disarms each alarm of the list; the reply has those that were disarmed.
async fn disarm(client: &mut Client, raised: AlarmResponse) -> Result<AlarmResponse, Error> {
    let mut all = AlarmResponse::default();
    for alarm in raised.alarms {
        let action = AlarmAction::Deactivate.into();
        let reply = client.call(AlarmRequest { action, member_id: alarm.member_id, alarm: alarm.alarm }).await?;
        all.alarms.extend(reply.alarms);
    }
    Ok(all)
}
