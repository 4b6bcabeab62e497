//! `etcdctl watch`

mod arguments;
pub(super) mod stream;

use std::{
    ffi::{OsStr, OsString},
    io,
    os::unix::ffi::OsStrExt,
};

use quorate_proto::etcdserverpb::{WatchCreateRequest, WatchResponse};
use tokio::sync::mpsc;

use self::{
    arguments::{Environment, Target},
    stream::{Happening, WatchStream},
};
use super::{Session, line};
use crate::{
    client::Client,
    failure::{Exit, Failure},
    go,
    key_range::KeyRange,
    output::{Format, Watched, kind_name, write_line},
};

/// Lines of standard input that may wait while events are printed.
const INPUT_LINES: usize = 16;

/// Watches events stream on keys or prefixes
///
/// A command behind `--` is run for each event, with ETCD_WATCH_REVISION, ETCD_WATCH_EVENT_TYPE, ETCD_WATCH_KEY and
/// ETCD_WATCH_VALUE set. ETCDCTL_WATCH_KEY and ETCDCTL_WATCH_RANGE_END stand in for the arguments.
#[derive(clap::Args, Clone, Debug)]
#[command(override_usage = "etcdctl watch [OPTIONS] [KEY] [RANGE_END] [-- COMMAND...]")]
pub(super) struct Watch {
    /// Take `watch …` and `progress` lines from standard input
    #[arg(long, short = 'i')]
    interactive: bool,
    #[command(flatten)]
    options: Options,
    #[arg(hide = true)]
    args: Vec<OsString>,
    #[arg(last = true, hide = true)]
    exec: Vec<OsString>,
}

/// Flags of one watch.
#[derive(clap::Args, Clone, Debug, Default)]
struct Options {
    /// Watch on a prefix if prefix is set
    #[arg(long)]
    prefix: bool,
    /// Revision to start watching
    #[arg(long, default_value = "0", hide_default_value = true, value_name = "REVISION", value_parser = go::parse_flag_int)]
    rev: i64,
    /// Get the previous key-value pair before the event happens
    #[arg(long)]
    prev_kv: bool,
    /// Get periodic watch progress notification from server
    #[arg(long)]
    progress_notify: bool,
}

impl Options {
    fn request(&self, target: Target) -> Result<WatchCreateRequest, String> {
        let KeyRange { key, range_end } = match target.range_end {
            Some(_) if self.prefix => return Err("`range_end` and `--prefix` are mutually exclusive".to_owned()),
            Some(range_end) => KeyRange { key: target.key, range_end },
            None if self.prefix => KeyRange::with_prefix(target.key),
            None => KeyRange { key: target.key, ..KeyRange::default() },
        };
        Ok(WatchCreateRequest {
            key,
            range_end,
            start_revision: self.rev,
            progress_notify: self.progress_notify,
            prev_kv: self.prev_kv,
            ..Default::default()
        })
    }
}

impl Watch {
    pub(super) async fn run(self, session: Session, ends_in_separator: bool) -> Result<(), Failure> {
        let environment = Environment::read().map_err(Failure::bad_args)?;
        if self.interactive {
            return interact(&session, &environment).await;
        }
        if ends_in_separator {
            return Err(Failure::bad_args(arguments::SEPARATOR_ALONE));
        }
        let target = arguments::target(&self.args, &environment).map_err(Failure::bad_args)?;
        let request = self.options.request(target).map_err(Failure::bad_args)?;
        let client = Client::open(&session.globals).await?;
        let mut stream = WatchStream::new(client);
        stream.add(request, self.exec);
        loop {
            let happening = stream.next().await?;
            show(&session, happening).await?;
            if stream.is_empty() {
                return Err(Failure::new(Exit::Interrupted, "watch is canceled by the server"));
            }
        }
    }
}

/// Watches that come and go with lines of standard input.
async fn interact(session: &Session, environment: &Environment) -> Result<(), Failure> {
    let client = Client::open(&session.globals).await?;
    let mut stream = WatchStream::new(client);
    let mut lines = input_lines();
    loop {
        tokio::select! {
            // What a watch has seen comes before what is asked next.
            biased;
            happening = stream.next(), if !stream.is_empty() => show(session, happening?).await?,
            line = lines.recv() => match line {
                Some(Ok(line)) => follow(&mut stream, &line, environment)?,
                Some(Err(error)) => return Err(bad_line(&error.to_string())),
                None => return Err(bad_line("EOF")),
            },
        }
    }
}

fn bad_line(reason: &str) -> Failure {
    Failure::new(Exit::InvalidInput, format!("error reading watch request line: {reason}"))
}

/// Standard input by lines. The reader is a thread, because a read of it can't be waited for otherwise.
fn input_lines() -> mpsc::Receiver<io::Result<String>> {
    let (sender, receiver) = mpsc::channel(INPUT_LINES);
    std::thread::spawn(move || {
        for line in io::stdin().lines() {
            let is_last = line.is_err();
            if sender.blocking_send(line).is_err() || is_last {
                return;
            }
        }
    });
    receiver
}

/// Does what a line of standard input says.
fn follow(stream: &mut WatchStream, line: &str, environment: &Environment) -> Result<(), Failure> {
    let words = line::words(line)?;
    match words.first().and_then(|word| word.to_str()) {
        None => eprintln!("Invalid command: {line} (watch and progress supported)"),
        Some("progress") => stream.request_progress(),
        Some("watch") if words.len() < 2 && environment.key.is_none() => {
            eprintln!("Invalid command {line} (command type or key is not provided)");
        }
        Some("watch") => {
            let (options, args, exec) = arguments::parse_line(words).map_err(Failure::bad_args)?;
            let target = arguments::target(&args, environment).map_err(Failure::bad_args)?;
            match options.request(target) {
                Ok(request) => stream.add(request, exec),
                Err(error) => eprintln!("Invalid command {line} ({error})"),
            }
        }
        Some(_) => eprintln!("Invalid command {line} (only support watch)"),
    }
    Ok(())
}

async fn show(session: &Session, happening: Happening) -> Result<(), Failure> {
    let Happening { response, end, exec } = happening;
    if let Some(reason) = end {
        eprintln!("watch was canceled ({reason})");
    }
    if is_progress(&response) {
        write_line(&format!("progress notify: {}", revision(&response)))?;
        // In the simple format the line is all there is to say.
        if session.output.format == Format::Simple {
            return Ok(());
        }
    }
    let watched = Watched(response);
    session.output.print(&watched)?;
    run_for_each(&exec, &watched.0).await
}

fn revision(response: &WatchResponse) -> i64 {
    response.header.map(|header| header.revision).unwrap_or_default()
}

fn is_progress(response: &WatchResponse) -> bool {
    response.events.is_empty() && !response.canceled && response.compact_revision == 0 && revision(response) != 0
}

/// Runs the command once for each event, one after the other.
async fn run_for_each(exec: &[OsString], response: &WatchResponse) -> Result<(), Failure> {
    let Some((program, args)) = exec.split_first() else {
        return Ok(());
    };
    for event in &response.events {
        let pair = event.kv.clone().unwrap_or_default();
        let status = tokio::process::Command::new(program)
            .args(args)
            .env("ETCD_WATCH_REVISION", revision(response).to_string())
            .env("ETCD_WATCH_EVENT_TYPE", go::quote(kind_name(event).as_bytes()))
            .env("ETCD_WATCH_KEY", go::quote(&pair.key))
            .env("ETCD_WATCH_VALUE", go::quote(&pair.value))
            .status()
            .await;
        let reason = match status {
            Ok(status) if status.success() => continue,
            Ok(status) => status.code().map_or_else(|| status.to_string(), |code| format!("exit status {code}")),
            Err(error) => error.to_string(),
        };
        let command: Vec<String> = exec.iter().map(|word: &OsString| quoted(word)).collect();
        eprintln!("command [{}] error ({reason})", command.join(" "));
        return Err(Failure::silent(Exit::Error));
    }
    Ok(())
}

fn quoted(word: &OsStr) -> String {
    go::quote(word.as_bytes())
}
