//! Rows in RocksDB.
//!
//! RocksDB's own log is off: the raft log is the log, and replays what was not flushed. Atomic flush makes every flush of the
//! column families end at one write, so that the applied position on disk is true for all rows on disk.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use bytes::{Bytes, BytesMut};
use rocksdb::{
    BlockBasedOptions, BottommostLevelCompaction, Cache, ColumnFamily, ColumnFamilyDescriptor, CompactOptions, DB,
    DBCompressionType, FlushOptions, IngestExternalFileOptions, LogLevel, ReadOptions, SstFileWriter, WriteBatch,
    WriteOptions, checkpoint::Checkpoint,
};

use super::{Backend, Batch, Error, Family, RowKey, View, Visit};
use crate::store::{options::Options, state::meta};

/// Memtable of the families beside [`Family::Key`]. They hold little, but the applied position is written with every batch and a full
/// memtable flushes all families: this is room for about 80 000 batches. Taken only as it fills.
const SMALL_WRITE_BUFFER_BYTES: usize = 8 << 20;
/// Uncompressed bytes of a table's block. Keys of a list lie scattered over the history, so a read wants one row: larger blocks
/// cost it decompression and cache.
const BLOCK_BYTES: usize = 4 << 10;
/// Rows an iterator passes over on its way to a wanted one before seeking it costs less.
const STEPS: u32 = 16;
/// Rows looked up at a time.
const LOOKUP_ROWS: usize = 512;
/// Copies of many rows share pieces of this size.
const COPY_BYTES: usize = 64 << 10;
/// Room for a row in the pieces of few.
const ROW_BYTES: usize = 512;
/// A read of more rows than this does not push out what others have in the cache.
const CACHED_ROWS: usize = 8192;
/// Read ahead of a scan.
const READAHEAD_BYTES: usize = 1 << 20;

/// A RocksDB database.
pub struct Rocks {
    // Closed before `discard` looks at the folder: fields go in this order.
    db: DB,
    write: WriteOptions,
    discard: Discard,
    /// Different whenever a database is opened: while it is open, no two of its tables have the same name.
    source: u64,
}

struct Discard {
    folder: PathBuf,
    wanted: AtomicBool,
}

impl Drop for Discard {
    fn drop(&mut self) {
        if self.wanted.load(Ordering::Relaxed)
            && let Err(error) = fs::remove_dir_all(&self.folder)
        {
            // The next start removes it.
            tracing::warn!(%error, folder = %self.folder.display(), "cannot remove replaced rows");
        }
    }
}

impl Rocks {
    /// Opens the database in `folder`, which is made if it does not exist.
    pub fn open(folder: &Path, options: &Options) -> Result<Self, Error> {
        let (database, families) = settings(options);
        Ok(Self::new(DB::open_cf_descriptors(&database, folder, families)?, folder))
    }

    /// Opens the database in `folder` without changing it.
    pub fn open_for_reading(folder: &Path, options: &Options) -> Result<Self, Error> {
        let (database, families) = settings(options);
        Ok(Self::new(DB::open_cf_descriptors_read_only(&database, folder, families, false)?, folder))
    }

    /// The row that every store has once it has applied anything.
    pub(in crate::store) fn get_applied(&self) -> Result<Option<Bytes>, Error> {
        self.get(Family::Meta, meta::APPLIED.as_bytes())
    }

    fn new(db: DB, folder: &Path) -> Self {
        let mut write = WriteOptions::default();
        write.disable_wal(true);
        Self {
            db,
            write,
            discard: Discard { folder: folder.to_owned(), wanted: AtomicBool::new(false) },
            source: rand::random(),
        }
    }

    /// Takes in rows of the keys whose family is empty behind the first of them: as a table of their own, written once. They are in
    /// the order of their keys; others are refused.
    pub(in crate::store) fn take_in(&self, rows: &[(RowKey, Bytes)], options: &Options) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let table = self.discard.folder.join("taken-in.sst");
        let mut settings = family_settings(Family::Key, options, &Cache::new_hyper_clock_cache(1 << 20, BLOCK_BYTES));
        // There is nothing below it: it is at the bottom.
        settings.set_compression_type(DBCompressionType::Lz4);
        let mut writer = SstFileWriter::create(&settings);
        writer.open(&table)?;
        for (key, value) in rows {
            writer.put(key, value)?;
        }
        writer.finish()?;
        let mut ingestion = IngestExternalFileOptions::default();
        ingestion.set_move_files(true);
        Ok(self.db.ingest_external_file_cf_opts(self.family(Family::Key)?, &ingestion, vec![table])?)
    }

    fn family(&self, family: Family) -> Result<&ColumnFamily, Error> {
        self.db
            .cf_handle(family.name())
            .ok_or_else(|| Error::Damaged(format!("column family {} is missing", family.name())))
    }

    fn families(&self) -> Result<Vec<&ColumnFamily>, Error> {
        Family::ALL.into_iter().map(|family| self.family(family)).collect()
    }

    fn get_with(&self, family: Family, key: &[u8], options: &ReadOptions) -> Result<Option<Bytes>, Error> {
        let row = self.db.get_pinned_cf_opt(self.family(family)?, key, options)?;
        Ok(row.map(|row| Bytes::copy_from_slice(&row)))
    }

    fn rows_with(&self, keys: &[RowKey], mut options: ReadOptions) -> Result<Vec<Option<Bytes>>, Error> {
        let family = self.family(Family::Key)?;
        if let [key] = keys {
            return Ok(vec![self.get_with(Family::Key, key.as_bytes(), &options)?]);
        }
        // In the order of the history, whatever order they are wanted in: neighbours share blocks, and one is often the next of another.
        let mut order: Vec<u32> = (0..keys.len() as u32).collect();
        if !keys.is_sorted() {
            order.sort_unstable_by_key(|&at| &keys[at as usize]);
        }
        options.fill_cache(keys.len() <= CACHED_ROWS);
        let mut rows = vec![None; keys.len()];
        let wanted = order.into_iter().map(|at| (at as usize, keys[at as usize].as_bytes()));
        let mut copies = Copies::room_for(keys.len());
        let each = |at: usize, row: &[u8]| rows[at] = Some(copies.of(row));
        if is_scattered(keys) {
            self.look_up(family, wanted.collect(), &options, each)?;
        } else {
            self.walk(family, wanted, options, each)?;
        }
        Ok(rows)
    }

    /// Gives `each` the wanted rows that are stored, looked up in batches. `wanted` is sorted by key.
    fn look_up(
        &self,
        family: &ColumnFamily,
        wanted: Vec<(usize, &[u8])>,
        options: &ReadOptions,
        mut each: impl FnMut(usize, &[u8]),
    ) -> Result<(), Error> {
        // Found rows hold the blocks they are in: not more of them at a time than this.
        for batch in wanted.chunks(LOOKUP_ROWS) {
            let keys = batch.iter().map(|(_, key)| *key);
            let found = self.db.batched_multi_get_cf_opt(family, keys, true, options);
            for ((at, _), row) in batch.iter().zip(found) {
                if let Some(row) = row? {
                    each(*at, &row);
                }
            }
        }
        Ok(())
    }

    /// Gives `each` the wanted rows that are stored, met on a walk. `wanted` is sorted by key.
    fn walk<'k>(
        &self,
        family: &ColumnFamily,
        wanted: impl Iterator<Item = (usize, &'k [u8])>,
        options: ReadOptions,
        mut each: impl FnMut(usize, &[u8]),
    ) -> Result<(), Error> {
        let mut stored = self.db.raw_iterator_cf_opt(family, options);
        for (at, key) in wanted {
            let mut steps = 0;
            while steps < STEPS && stored.key().is_some_and(|stored| stored < key) {
                stored.next();
                steps += 1;
            }
            if stored.key().is_none_or(|stored| stored < key) {
                // A seek forgets the failure that ended the walk.
                stored.status()?;
                stored.seek(key);
            }
            if let Some((_, row)) = stored.item().filter(|(stored, _)| *stored == key) {
                each(at, row);
            }
        }
        Ok(stored.status()?)
    }

    fn scan_with(
        &self,
        family: Family,
        from: &[u8],
        to: Option<&[u8]>,
        each: &mut Visit<'_>,
        mut options: ReadOptions,
    ) -> Result<(), Error> {
        // A scan reads each block once: keep it from pushing out what point reads need.
        options.fill_cache(false);
        options.set_readahead_size(READAHEAD_BYTES);
        if let Some(to) = to {
            options.set_iterate_upper_bound(to);
        }
        let mut rows = self.db.raw_iterator_cf_opt(self.family(family)?, options);
        rows.seek(from);
        while let Some((key, value)) = rows.item() {
            if each(key, value).is_break() {
                return Ok(());
            }
            rows.next();
        }
        Ok(rows.status()?)
    }
}

/// Whether so much of the history lies between these rows that a walk would pass over more than it wants.
fn is_scattered(keys: &[RowKey]) -> bool {
    let mains = || keys.iter().map(|key| key.revision().main);
    let (Some(first), Some(last)) = (mains().min(), mains().max()) else { return false };
    (last - first) / i64::from(STEPS) > keys.len() as i64
}

/// Copies of rows that are read together and let go together: they share memory, so that many are freed at little cost.
struct Copies {
    piece: BytesMut,
    piece_bytes: usize,
}

impl Copies {
    fn room_for(rows: usize) -> Self {
        Self { piece: BytesMut::new(), piece_bytes: rows.saturating_mul(ROW_BYTES).min(COPY_BYTES) }
    }

    fn of(&mut self, row: &[u8]) -> Bytes {
        if self.piece.capacity() < row.len() {
            self.piece = BytesMut::with_capacity(self.piece_bytes.max(row.len()));
        }
        self.piece.extend_from_slice(row);
        self.piece.split().freeze()
    }
}

impl View for Rocks {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.get_with(family, key, &ReadOptions::default())
    }

    fn rows(&self, keys: &[RowKey]) -> Result<Vec<Option<Bytes>>, Error> {
        self.rows_with(keys, ReadOptions::default())
    }

    fn scan(&self, family: Family, from: &[u8], to: Option<&[u8]>, each: &mut Visit<'_>) -> Result<(), Error> {
        self.scan_with(family, from, to, each, ReadOptions::default())
    }
}

struct Snapshot<'a> {
    rocks: &'a Rocks,
    inner: rocksdb::Snapshot<'a>,
}

impl Snapshot<'_> {
    fn options(&self) -> ReadOptions {
        let mut options = ReadOptions::default();
        options.set_snapshot(&self.inner);
        options
    }
}

impl View for Snapshot<'_> {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.rocks.get_with(family, key, &self.options())
    }

    fn rows(&self, keys: &[RowKey]) -> Result<Vec<Option<Bytes>>, Error> {
        self.rocks.rows_with(keys, self.options())
    }

    fn scan(&self, family: Family, from: &[u8], to: Option<&[u8]>, each: &mut Visit<'_>) -> Result<(), Error> {
        self.rocks.scan_with(family, from, to, each, self.options())
    }
}

impl Backend for Rocks {
    fn snapshot(&self) -> Box<dyn View + '_> {
        Box::new(Snapshot { rocks: self, inner: self.db.snapshot() })
    }

    fn write(&self, batch: Batch) -> Result<(), Error> {
        let mut changes = WriteBatch::default();
        let key_family = self.family(Family::Key)?;
        for (key, value) in &batch.rows {
            changes.put_cf(key_family, key, value);
        }
        for key in &batch.removed {
            changes.delete_cf(key_family, key);
        }
        for (family, key, value) in &batch.others {
            match value {
                Some(value) => changes.put_cf(self.family(*family)?, key, value),
                None => changes.delete_cf(self.family(*family)?, key),
            }
        }
        Ok(self.db.write_opt(changes, &self.write)?)
    }

    fn flush(&self) -> Result<(), Error> {
        let mut options = FlushOptions::default();
        options.set_wait(true);
        Ok(self.db.flush_cfs_opt(&self.families()?, &options)?)
    }

    fn compact(&self) -> Result<(), Error> {
        let mut options = CompactOptions::default();
        options.set_bottommost_level_compaction(BottommostLevelCompaction::ForceOptimized);
        for family in self.families()? {
            self.db.compact_range_cf_opt(family, None::<&[u8]>, None::<&[u8]>, &options);
        }
        Ok(())
    }

    fn checkpoint(&self, folder: &Path) -> Result<u64, Error> {
        // The default column family is not ours and empty; RocksDB flushes the others, whose writes have no log.
        self.flush()?;
        Checkpoint::new(&self.db)?.create_checkpoint(folder)?;
        Ok(self.source)
    }

    fn discard(&self) {
        self.discard.wanted.store(true, Ordering::Relaxed);
    }
}

fn settings(options: &Options) -> (rocksdb::Options, [ColumnFamilyDescriptor; Family::ALL.len()]) {
    let mut database = rocksdb::Options::default();
    database.create_if_missing(true);
    database.create_missing_column_families(true);
    database.set_atomic_flush(true);
    database.set_paranoid_checks(true);
    database.set_max_open_files(options.max_open_files);
    database.set_max_background_jobs(2);
    // One writer at a time: a lock-free memtable would only cost.
    database.set_allow_concurrent_memtable_write(false);
    database.set_keep_log_file_num(2);
    database.set_max_log_file_size(1 << 20);
    database.set_log_level(LogLevel::Warn);
    database.set_stats_dump_period_sec(0);
    let cache = Cache::new_hyper_clock_cache(options.cache_bytes, BLOCK_BYTES);
    let families =
        Family::ALL.map(|family| ColumnFamilyDescriptor::new(family.name(), family_settings(family, options, &cache)));
    (database, families)
}

fn family_settings(family: Family, options: &Options, cache: &Cache) -> rocksdb::Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_block_size(BLOCK_BYTES);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    table.set_format_version(6);
    let mut settings = rocksdb::Options::default();
    settings.set_block_based_table_factory(&table);
    settings.set_compression_type(DBCompressionType::None);
    settings.set_bottommost_compression_type(DBCompressionType::Lz4);
    settings.set_max_write_buffer_number(2);
    settings.set_write_buffer_size(match family {
        Family::Key => options.write_buffer_bytes,
        _ => SMALL_WRITE_BUFFER_BYTES,
    });
    settings
}
