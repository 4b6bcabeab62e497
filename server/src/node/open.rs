//! What a member keeps: its log and its store, found or made.

use std::path::Path;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::observers::{StoreTimes, WalTimes};
use super::{Error, texts};
use crate::bootstrap::{self, Identified};
use crate::config::{Config, Gate};
use crate::data_folder::DataFolder;
use crate::dial::Dial;
use crate::metrics::Metrics;
use crate::store::{self, Store, Writer};
use crate::wal::{self, Wal};

pub struct Opened {
    pub wal: Wal,
    pub store: Store,
    pub writer: Writer,
    pub identified: Identified,
    /// It has run before.
    pub was_here: bool,
}

/// Opens log and store, or makes them for a member that begins. `None`: it was stopped before it knew the others.
pub async fn open(
    config: &Config,
    folder: &DataFolder,
    metrics: &Arc<Metrics>,
    dial: &Dial,
    stop: &CancellationToken,
) -> Result<Option<Opened>, Error> {
    let wal_options = wal::Options {
        observer: Arc::new(WalTimes(metrics.clone())),
        disk: Arc::new(wal::disk::RealDisk { skips_syncs: config.unsafe_no_fsync }),
        ..wal::Options::default()
    };
    let wal_dir = config.wal_path();
    let store_options = store::Options {
        compaction_batch_rows: config.compaction_batch_limit,
        compaction_pause: config.compaction_sleep_interval,
        compaction_hashes: config.feature_gates.enabled(Gate::CompactHashCheck),
        ..store::Options::default()
    };
    bootstrap::import(folder, &wal_dir, &wal_options)?;
    if Wal::exists(&wal_dir, &wal_options)? {
        let (wal, recovered) = Wal::open(&wal_dir, wal_options)?;
        folder.mark_begun()?;
        let (store, writer) = open_store(&folder.store(), store_options, metrics).await?;
        defragment_at_start(&store, config.bootstrap_defrag_threshold_megabytes).await?;
        bootstrap::check_learners(&store, config.max_learners)?;
        let identified = Identified::restarted(recovered.metadata.node_id, recovered.metadata.cluster_id);
        if config.force_new_cluster {
            let peer_urls = texts(&config.advertise_peer_urls);
            bootstrap::force_new_cluster(&wal, &store, identified.member_id, peer_urls).await?;
        }
        tracing::info!(
            local_member_id = format!("{:x}", identified.member_id),
            cluster_id = format!("{:x}", identified.cluster_id),
            commit_index = recovered.state.map(|state| state.commit).unwrap_or_default(),
            applied_index = store.applied().index,
            "restarting local member"
        );
        return Ok(Some(Opened { wal, store, writer, identified, was_here: true }));
    }
    let (store, writer) = open_store(&folder.store(), store_options, metrics).await?;
    // A new member's store is empty: this was another's, or its log is lost, and with it what it voted and acknowledged.
    if store.applied().index > 0 || folder.has_begun() {
        return Err(Error::LogMissing { member: folder.member().to_owned(), wal: wal_dir });
    }
    let Some(identified) = stop.run_until_cancelled(bootstrap::begin(config, dial)).await else { return Ok(None) };
    let identified = identified?;
    let metadata = wal::Metadata { node_id: identified.member_id, cluster_id: identified.cluster_id };
    // The log comes last: a folder counts as a member's from then on.
    let wal = Wal::create(&wal_dir, metadata, wal_options)?;
    folder.mark_begun()?;
    tracing::info!(
        local_member_id = format!("{:x}", identified.member_id),
        cluster_id = format!("{:x}", identified.cluster_id),
        "starting local member"
    );
    Ok(Some(Opened { wal, store, writer, identified, was_here: false }))
}

/// Gives back what lies free in the store, if it is at least the threshold.
async fn defragment_at_start(store: &Store, threshold_megabytes: Option<u64>) -> Result<(), Error> {
    let Some(threshold_megabytes) = threshold_megabytes else { return Ok(()) };
    let size = store.size();
    let free_bytes = (size.total - size.in_use).max(0) as u64;
    let threshold_bytes = threshold_megabytes.saturating_mul(1 << 20);
    if free_bytes < threshold_bytes {
        tracing::info!(free_bytes, threshold_bytes, "Skipping defragmentation");
        return Ok(());
    }
    tracing::info!(free_bytes, threshold_bytes, "Defragmenting before the start");
    let store = store.clone();
    let done = tokio::task::spawn_blocking(move || store.defragment()).await;
    Ok(done.map_err(|error| store::Error::Folder(error.to_string()))??)
}

async fn open_store(dir: &Path, options: store::Options, metrics: &Arc<Metrics>) -> Result<(Store, Writer), Error> {
    let dir = dir.to_owned();
    let opened = tokio::task::spawn_blocking(move || Store::open(&dir, options)).await;
    let (store, writer) = opened.map_err(|error| store::Error::Folder(error.to_string()))??;
    store.observe(Arc::new(StoreTimes(metrics.clone())));
    Ok((store, writer))
}
