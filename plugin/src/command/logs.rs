//! `logs`: of all members, by time.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::{AsyncBufReadExt as _, TryStreamExt as _};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{ListParams, LogParams};
use quorate_operator::crd::label;
use quorate_operator::desired::pod::CONTAINER;
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::say;
use crate::Error;
use crate::access::Access;
use crate::arguments::Selection;
use crate::merge::{Line, Merge};

/// Lines of one member that wait to be printed.
const BACKLOG: usize = 256;
/// Between two looks for new members and containers.
const STEP: Duration = Duration::from_secs(1);

/// Where the reading of a container's log begins.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Begin {
    /// As the arguments say.
    Selected,
    /// What came after this command was called, for a container that wasn't there then.
    Since(Instant),
    /// What came after the last line that was read.
    After(Timestamp),
}

pub async fn run(access: &Access, name: &str, selection: &Selection) -> Result<(), Error> {
    access.cluster(name).await?;
    let members = members(access, name, selection).await?;
    if members.is_empty() && !selection.follow {
        let what = match &selection.member {
            Some(member) => format!("{name} has no pod {member}"),
            None => format!("{name} has no pods"),
        };
        return Err(Error::situation(what, format!("`kubectl quorate status {name}` says why")));
    }
    let (more, begun) = mpsc::channel(1);
    let called = Instant::now();
    let source = |member: &String| start(access, member, selection, Begin::Selected, called);
    let sources = members.iter().map(source).collect();
    if selection.follow {
        tokio::spawn(look_for_more(access.clone(), name.to_owned(), selection.clone(), members, more, called));
    } else {
        drop(more);
    }
    let mut merge = Merge::new(sources, begun, selection.follow);
    while let Some(Line { member, text, .. }) = merge.next().await {
        say::line(&format!("{member}  {text}"))?;
    }
    Ok(())
}

async fn members(access: &Access, name: &str, selection: &Selection) -> Result<BTreeSet<String>, Error> {
    let ours = ListParams::default().labels(&format!("{}={name}", label::CLUSTER));
    let names = access.list::<Pod>(&ours).await?.into_iter().map(|pod| pod.name_any());
    Ok(names.filter(|name| selection.member.as_ref().is_none_or(|only| only == name)).collect())
}

/// Members that join while their lines are printed. It ends with the printing.
async fn look_for_more(
    access: Access,
    name: String,
    selection: Selection,
    mut known: BTreeSet<String>,
    more: Sender<Receiver<Line>>,
    called: Instant,
) {
    while !more.is_closed() {
        tokio::time::sleep(STEP).await;
        // The next look finds what this one can't.
        let found = members(&access, &name, &selection).await.unwrap_or_default();
        for member in found {
            if known.insert(member.clone()) {
                let source = start(&access, &member, &selection, Begin::Since(called), called);
                if more.send(source).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn start(access: &Access, member: &str, selection: &Selection, begin: Begin, called: Instant) -> Receiver<Line> {
    let (sender, lines) = mpsc::channel(BACKLOG);
    tokio::spawn(read(access.clone(), member.to_owned(), selection.clone(), begin, called, sender));
    lines
}

/// One member's log. Following, it goes on with the next container, and with the next pod of this name.
async fn read(
    access: Access,
    member: String,
    selection: Selection,
    mut begin: Begin,
    called: Instant,
    lines: Sender<Line>,
) {
    loop {
        let answer = read_container(&access, &member, &selection, &lines, &mut begin).await;
        if !selection.follow {
            if let Err(error) = answer {
                eprintln!("{member}: {}", error.explained());
            }
            return;
        }
        if lines.is_closed() {
            return;
        }
        if begin == Begin::Selected {
            // The last of few lines would leave out how the next container began.
            begin = Begin::Since(called);
        }
        tokio::time::sleep(STEP).await;
    }
}

async fn read_container(
    access: &Access,
    member: &str,
    selection: &Selection,
    lines: &Sender<Line>,
    begin: &mut Begin,
) -> Result<(), Error> {
    let parameters = parameters(selection, *begin);
    let failed = |error| access.failed_at("get", "pods/log", error);
    let mut stream = access.api::<Pod>().log_stream(member, &parameters).await.map_err(failed)?.lines();
    while let Ok(Some(text)) = stream.try_next().await {
        let Some(line) = Line::parse(member, &text) else { continue };
        // The API takes whole seconds: what was seen of that second comes again.
        if matches!(begin, Begin::After(last) if line.time <= *last) {
            continue;
        }
        *begin = Begin::After(line.time);
        if lines.send(line).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

fn parameters(selection: &Selection, begin: Begin) -> LogParams {
    let (since_time, since_seconds, tail_lines) = match begin {
        Begin::Selected => (None, selection.since.map(|since| since.as_secs().max(1)), selection.tail),
        // By the node's clock, whatever ours says.
        Begin::Since(moment) => (None, i64::try_from(moment.elapsed().as_secs()).ok().map(|passed| passed + 1), None),
        Begin::After(last) => (Some(last), None, None),
    };
    LogParams {
        container: Some(CONTAINER.to_owned()),
        follow: selection.follow,
        previous: selection.previous,
        timestamps: true,
        since_time,
        since_seconds,
        tail_lines,
        ..LogParams::default()
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn a_log_that_goes_on_begins_where_it_ended() {
        let selection = Selection {
            follow: true,
            since: Some(SignedDuration::from_mins(5)),
            tail: Some(10),
            member: None,
            previous: false,
        };
        let asked = |begin| {
            let LogParams { since_seconds, tail_lines, since_time, .. } = parameters(&selection, begin);
            (since_seconds, tail_lines, since_time)
        };
        assert_eq!(asked(Begin::Selected), (Some(300), Some(10), None));
        assert_eq!(asked(Begin::Since(Instant::now())), (Some(1), None, None));
        let last = Timestamp::from_second(100).unwrap();
        assert_eq!(asked(Begin::After(last)), (None, None, Some(last)));
    }
}
