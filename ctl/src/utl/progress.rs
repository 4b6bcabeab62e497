//! A bar on the terminal while a large file is read; nothing when standard error is a file or a pipe.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressStyle};

const TEMPLATE: &str = "{msg} [{bar:40}] {bytes}/{total_bytes} ({bytes_per_sec}, {eta} left)";

/// Disappears when it is dropped.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    done_bytes: u64,
}

impl Progress {
    pub(super) fn new(task: &'static str, total_bytes: u64) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(total_bytes).with_style(style).with_message(task)
        });
        Self { bar, done_bytes: 0 }
    }

    pub(super) fn add(&mut self, bytes: usize) {
        self.set(self.done_bytes + bytes as u64);
    }

    pub(super) fn set(&mut self, done_bytes: u64) {
        self.done_bytes = done_bytes;
        if let Some(bar) = &self.bar {
            bar.set_position(done_bytes);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
