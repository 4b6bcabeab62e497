//! How long it takes from a snapshot file to a member that serves it: `etcdutl snapshot restore`, and the first start.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use quorate_e2e::Error;
use quorate_e2e::binaries::Flavour;
use quorate_e2e::cluster::Cluster;
use quorate_e2e::ctl::Ctl;

use crate::median::median;

const STEP_LIMIT: Duration = Duration::from_secs(900);

/// Restores a snapshot of upstream's with upstream's programs and with ours, in turns.
#[derive(Args)]
pub struct Arguments {
    /// MiB of values in the snapshot.
    #[arg(long, default_value_t = 1024)]
    mib: usize,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Writes the table to a file too.
    #[arg(long)]
    output: Option<PathBuf>,
}

/// Seconds of one restore.
#[derive(Default)]
struct Seen {
    restore: Vec<f64>,
    start: Vec<f64>,
    both: Vec<f64>,
}

pub async fn measure(arguments: &Arguments) -> Result<(), Error> {
    let folder = tempfile::tempdir().map_err(Error::io("making a temporary folder"))?;
    let snapshot = folder.path().join("snapshot.db");
    save(arguments.mib, &snapshot).await?;
    let mut seen = [Seen::default(), Seen::default()];
    for round in 0..arguments.rounds {
        let mut order = [Flavour::Upstream, Flavour::Quorate];
        order.rotate_left(round % 2);
        for flavour in order {
            let (restore, start) = restore(flavour, &snapshot).await?;
            eprintln!("round {round}, {flavour}: {restore:.2} s to restore, {start:.2} s to start");
            let seen = &mut seen[usize::from(flavour == Flavour::Quorate)];
            seen.restore.push(restore);
            seen.start.push(start);
            seen.both.push(restore + start);
        }
    }
    let mut table = format!(
        "One member and a snapshot with {} MiB of values of 4 KiB; medians of {}, in seconds.\n\n\
         | server | `etcdutl snapshot restore` | first start | together |\n|---|---:|---:|---:|\n",
        arguments.mib, arguments.rounds
    );
    for (flavour, Seen { restore, start, both }) in ["upstream", "quorate"].iter().zip(seen) {
        let (restore, start, both) = (median(restore), median(start), median(both));
        let _ = writeln!(table, "| {flavour} | {restore:.2} | {start:.2} | {both:.2} |");
    }
    println!("{table}");
    match &arguments.output {
        Some(path) => std::fs::write(path, table).map_err(Error::io(format!("writing {}", path.display()))),
        None => Ok(()),
    }
}

async fn save(mib: usize, snapshot: &Path) -> Result<(), Error> {
    let source = Cluster::builder(Flavour::Upstream, 1).flag("--quota-backend-bytes=8589934592").start().await?;
    crate::fill::fill(&source.client().await?, mib).await?;
    let ctl = Ctl::etcdctl(Flavour::Upstream, &source.endpoints())?.limit(STEP_LIMIT);
    ctl.run(&["snapshot", "save", &snapshot.to_string_lossy()]).await?.success().map(drop)
}

/// Seconds of the command, and of the start until the member is healthy.
async fn restore(flavour: Flavour, snapshot: &Path) -> Result<(f64, f64), Error> {
    let mut cluster = Cluster::builder(flavour, 1).flag("--quota-backend-bytes=8589934592").prepare()?;
    let list = cluster.initial_cluster().to_owned();
    let member = cluster.member(0);
    let arguments = [
        "snapshot".to_owned(),
        "restore".to_owned(),
        snapshot.to_string_lossy().into_owned(),
        format!("--name={}", member.name()),
        format!("--data-dir={}", member.data_dir().display()),
        format!("--initial-cluster={list}"),
        format!("--initial-advertise-peer-urls={}", member.peer_url()),
    ];
    let began = Instant::now();
    Ctl::etcdutl(flavour)?.limit(STEP_LIMIT).run(&arguments).await?.success()?;
    let restore = began.elapsed().as_secs_f64();
    let began = Instant::now();
    cluster.launch(0)?;
    cluster.member(0).ready().await?;
    Ok((restore, began.elapsed().as_secs_f64()))
}
