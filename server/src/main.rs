//! The `etcd` program: read the configuration, run the member, exit.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use quorate_server::config::{Command, Config, Error as ConfigError, Gate, Log, Notice, Output, Sources};
use quorate_server::metrics::Metrics;
use quorate_server::program::{self, Program};
use quorate_server::{last_words, node, telemetry};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The binary's own lines belong to the server's.
const LOG: &str = "quorate_server::main";

/// Less memory and time than the C library's allocator under many small buffers.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    refuse_huge_pages();
    let sources = Sources::of_process();
    match program::read(&sources.args) {
        Some(Ok(program)) => leave(serve_program(program)),
        // Help is printed to standard output and everything else to standard error.
        Some(Err(error)) => error.exit(),
        None => {}
    }
    match Command::read(&sources) {
        Command::Print(output) => print(&output),
        Command::Refuse { notices, error } => refuse(&notices, &error),
        Command::Serve { config, notices } => leave(serve(*config, &notices)),
    }
}

/// The allocator asks for huge pages, and a store of small values then holds twice the memory that it uses.
fn refuse_huge_pages() {
    // SAFETY: sets a flag of this process and passes no pointers. Where it is refused, memory is larger and nothing else.
    unsafe {
        libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0);
    }
}

fn print(output: &Output) -> ExitCode {
    // A closed stream is the reader's choice.
    let _ = std::io::stdout().write_all(output.stdout.as_bytes());
    let _ = std::io::stderr().write_all(output.stderr.as_bytes());
    // Of what is wrong with the flags the first line says what, and the rest how they are used.
    if let (true, Some(complaint)) = (output.status != 0, output.stderr.lines().next()) {
        leave_last_words(complaint);
    }
    ExitCode::from(output.status)
}

fn refuse(notices: &[Notice], error: &ConfigError) -> ExitCode {
    if let Err(failure) = telemetry::init(&Log::default()) {
        eprintln!("{failure}");
    }
    notices.iter().for_each(Notice::log);
    match error {
        ConfigError::EnvConflict { .. } => error.log(),
        _ => tracing::warn!(target: LOG, error = error as &dyn std::error::Error, "failed to verify flags"),
    }
    leave_last_words(&format!("failed to verify flags: {}", last_words::chain(error)));
    ExitCode::FAILURE
}

/// Ends at once. An orderly exit of the process would take RocksDB's global state down under tasks that still hold the store,
/// and abort; everything durable is on the disk already.
fn leave(status: i32) -> ! {
    // SAFETY: nothing after it runs, and whatever this process held is the kernel's to take back.
    unsafe { libc::_exit(status) }
}

const SUCCESS: i32 = 0;
const FAILURE: i32 = 1;

/// Returns the exit status.
fn serve_program(program: Program) -> i32 {
    if let Err(error) = telemetry::init(&program.log()) {
        eprintln!("{error}");
        return FAILURE;
    }
    end_on_panic();
    let run = async {
        let (ended, signal) = until_signal(|stop| program::run(program, stop)).await?;
        ended.map(|()| signal)
    };
    match runtime().map_err(Failure::from).and_then(|runtime| runtime.block_on(run)) {
        Ok(signal) => end_as(signal),
        Err(error) => {
            tracing::error!(target: LOG, error = error.as_ref(), fatal = true, "the program failed");
            FAILURE
        }
    }
}

/// Returns the exit status.
fn serve(config: Config, notices: &[Notice]) -> i32 {
    let log = match telemetry::init(&config.log) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("{}", last_words::chain(&error));
            return FAILURE;
        }
    };
    end_on_panic();
    notices.iter().for_each(Notice::log);
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(target: LOG, %error, fatal = true, "failed to start the runtime");
            return FAILURE;
        }
    };
    let ended = runtime.block_on(run(config, log));
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match ended {
        Ok((node::Ended::Stopped, signal)) => end_as(signal),
        Ok((node::Ended::Removed, _)) => {
            // As etcd: nothing failed, and whoever restarts on failure must not.
            tracing::warn!(target: LOG, "{REMOVED}");
            leave_last_words(REMOVED);
            SUCCESS
        }
        Ok((node::Ended::Failed(reason), _)) => {
            tracing::error!(target: LOG, reason, fatal = true, "the member ended because a part of it failed");
            leave_last_words(&format!("the member ended because a part of it failed: {reason}"));
            FAILURE
        }
        Err(error) => {
            tracing::error!(target: LOG, error = error.as_ref(), fatal = true, "failed to start the member");
            leave_last_words(&format!("failed to start the member: {}", last_words::chain(error.as_ref())));
            FAILURE
        }
    }
}

const REMOVED: &str =
    "the member has been permanently removed from the cluster; the data-dir used by this member must be removed";

fn leave_last_words(message: &str) {
    if let Err(error) = last_words::leave(last_words::TERMINATION_LOG.as_ref(), message) {
        tracing::warn!(target: LOG, %error, "failed to write the container's termination log");
    }
}

type Failure = Box<dyn std::error::Error>;

async fn run(config: Config, log: telemetry::Handle) -> Result<(node::Ended, SignalKind), Failure> {
    let metrics = Arc::new(Metrics::new(config.extensive_metrics));
    for gate in Gate::ALL {
        metrics.server.set_feature(gate.name(), gate.stage().as_str(), config.feature_gates.enabled(gate));
    }
    let (ended, signal) = until_signal(|stop| node::fallback::run(config, metrics, log, stop)).await?;
    Ok((ended?, signal))
}

/// Runs something that stops when it is told to, which a signal does.
async fn until_signal<F: Future>(
    start: impl FnOnce(CancellationToken) -> F,
) -> Result<(F::Output, SignalKind), Failure> {
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut terminations = signal(SignalKind::terminate())?;
    let stop = CancellationToken::new();
    let running = start(stop.clone());
    tokio::pin!(running);
    let mut received = SignalKind::terminate();
    loop {
        tokio::select! {
            ended = &mut running => return Ok((ended, received)),
            kind = next(&mut interrupts, &mut terminations), if !stop.is_cancelled() => {
                tracing::info!(target: LOG, signal = signal_name(kind), "received signal; shutting down");
                received = kind;
                stop.cancel();
            }
        }
    }
}

async fn next(interrupts: &mut Signal, terminations: &mut Signal) -> SignalKind {
    tokio::select! {
        _ = interrupts.recv() => SignalKind::interrupt(),
        _ = terminations.recv() => SignalKind::terminate(),
    }
}

fn signal_name(kind: SignalKind) -> &'static str {
    if kind == SignalKind::interrupt() { "interrupt" } else { "terminated" }
}

/// One thread on small machines: with two cores or fewer, moving work between threads costs more than it gains.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut builder = if cores <= 2 {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    builder.enable_all().build()
}

/// A panic in one task could leave the others serving a state that nobody maintains.
fn end_on_panic() {
    telemetry::log_panics();
    let log = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        log(panic);
        leave(101);
    }));
}

/// Ends as a program without a handler would, which is what etcd does; the first process of a container just exits.
fn end_as(signal: SignalKind) -> i32 {
    if std::process::id() == 1 {
        return SUCCESS;
    }
    let signal =
        if signal == SignalKind::interrupt() { rustix::process::Signal::INT } else { rustix::process::Signal::TERM };
    restore_default(signal);
    if let Err(error) = rustix::process::kill_process(rustix::process::getpid(), signal) {
        tracing::warn!(target: LOG, %error, "failed to end by the signal received");
    }
    SUCCESS
}

fn restore_default(signal: rustix::process::Signal) {
    // SAFETY: the default disposition is no handler, so no code of ours runs in signal context.
    unsafe {
        libc::signal(signal.as_raw(), libc::SIG_DFL);
    }
}
