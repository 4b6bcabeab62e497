//! What the operating system knows about this process; read from `/proc` at scrape time.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use super::families::Builder;

/// The kernel's unit for CPU time in `/proc`; the same on every Linux this runs on.
const TICKS_PER_SECOND: f64 = 100.0;

pub(super) struct Process {
    cpu_seconds: Counter<f64, AtomicU64>,
    resident_bytes: Gauge,
    virtual_bytes: Gauge,
    start_seconds: Gauge<f64, AtomicU64>,
    open_fds: Gauge,
    max_fds: Gauge,
    os_fd_used: Gauge,
    os_fd_limit: Gauge,
}

impl Process {
    pub(super) fn new(b: &mut Builder) -> Self {
        Self {
            cpu_seconds: b.counter("process_cpu_seconds_total", "CPU time used, in seconds"),
            resident_bytes: b.gauge("process_resident_memory_bytes", "Resident memory in bytes"),
            virtual_bytes: b.gauge("process_virtual_memory_bytes", "Virtual memory in bytes"),
            start_seconds: b.add("process_start_time_seconds", "Unix time of the start", Gauge::default()),
            open_fds: b.gauge("process_open_fds", "Open file descriptors"),
            max_fds: b.gauge("process_max_fds", "Most file descriptors allowed"),
            os_fd_used: b.gauge("os_fd_used", "Open file descriptors"),
            os_fd_limit: b.gauge("os_fd_limit", "Most file descriptors allowed"),
        }
    }

    /// Values that cannot be read keep what they were.
    pub(super) fn update(&self) {
        if let Some(fds) = open_fds() {
            self.open_fds.set(fds);
            self.os_fd_used.set(fds);
        }
        if let Some(limit) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            self.max_fds.set(limit);
            self.os_fd_limit.set(limit);
        }
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        if let Some(bytes) = kilobytes(&status, "VmRSS:") {
            self.resident_bytes.set(bytes);
        }
        if let Some(bytes) = kilobytes(&status, "VmSize:") {
            self.virtual_bytes.set(bytes);
        }
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        if let Some((ticks, started_ticks)) = times(&stat) {
            self.cpu_seconds.inner().store((ticks / TICKS_PER_SECOND).to_bits(), Ordering::Relaxed);
            if let Some(boot) = boot_seconds() {
                self.start_seconds.set(boot + started_ticks / TICKS_PER_SECOND);
            }
        }
    }
}

fn open_fds() -> Option<i64> {
    let count = std::fs::read_dir("/proc/self/fd").ok()?.count();
    // One of them is the folder being read.
    i64::try_from(count.saturating_sub(1)).ok()
}

fn kilobytes(status: &str, key: &str) -> Option<i64> {
    let line = status.lines().find(|line| line.starts_with(key))?;
    line.split_whitespace().nth(1)?.parse::<i64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// CPU ticks used, and ticks between boot and start. Fields are counted behind the name, which may hold spaces.
fn times(stat: &str) -> Option<(f64, f64)> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    Some((field(14)? + field(15)?, field(22)?))
}

fn boot_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}
