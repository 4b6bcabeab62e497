//! Where the processor's time goes: a signal, a hundred times in each second of it, looks at what runs.

use std::time::Duration;

use pprof::{ProfilerGuard, ProfilerGuardBuilder};
use pprof_util::{StackProfile, WeightedStack};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{Error, Timing, encode, nanos};
use crate::background;

/// Go's.
const FREQUENCY_HZ: i32 = 100;
const PERIOD_NANOS: i64 = 1_000_000_000 / FREQUENCY_HZ as i64;
/// The signal's handler and the kernel's way back from it, which are on top of what they interrupted.
const HANDLER_FRAMES: usize = 2;

/// There is one timer and one signal. Asking the profiler instead would cost every refused caller a look at its own stack.
static TURN: Semaphore = Semaphore::const_new(1);

struct Running {
    // Before `_turn`: fields are dropped in order, and it must have stopped before another one starts.
    profiler: ProfilerGuard<'static>,
    _turn: SemaphorePermit<'static>,
}

/// Samples for that long. Dropped before, it stops.
pub async fn cpu(time: Duration) -> Result<Vec<u8>, Error> {
    let turn = TURN.try_acquire().map_err(|_| Error::InUse)?;
    let running = background::run("profile-start", move || start(turn)).await.map_err(Error::Thread)??;
    tokio::time::sleep(time).await;
    background::run("profile", move || finish(&running.profiler, time)).await.map_err(Error::Thread)?
}

fn start(turn: SemaphorePermit<'static>) -> Result<Running, Error> {
    // A sample within the unwinder would have it unwind itself.
    let profiler = ProfilerGuardBuilder::default().frequency(FREQUENCY_HZ).blocklist(&["libgcc"]).build();
    Ok(Running { profiler: profiler.map_err(Error::Start)?, _turn: turn })
}

fn finish(profiler: &ProfilerGuard<'_>, time: Duration) -> Result<Vec<u8>, Error> {
    let handler = signal_handler();
    let samples = profiler.report().build_unresolved().map_err(Error::Read)?;
    let mut profile =
        StackProfile { mappings: mappings::MAPPINGS.clone().unwrap_or_default(), ..StackProfile::default() };
    for (sample, count) in &samples.data {
        let handled = sample.frames.iter().position(|frame| frame.symbol_address() as usize == handler);
        let interrupted = handled.map_or(0, |at| at + HANDLER_FRAMES);
        let mut addrs: Vec<usize> = sample.frames.iter().skip(interrupted).map(|frame| frame.ip() as usize).collect();
        // All others are where a call returns to, and the encoder takes the instruction before.
        if let Some(interrupted) = addrs.first_mut() {
            *interrupted += 1;
        }
        addrs.reverse();
        profile.push_stack(WeightedStack { addrs, weight: *count as f64 * PERIOD_NANOS as f64 }, None);
    }
    encode(&profile, ("cpu", "nanoseconds"), &Timing { duration_nanos: nanos(time), period: PERIOD_NANOS })
}

/// The address of the function that takes the samples, as the kernel has it; 0 if there is none.
fn signal_handler() -> usize {
    // SAFETY: all zeroes is a value of this plain structure.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: nothing is set, and the current action is written to a structure of that type.
    unsafe { libc::sigaction(libc::SIGPROF, std::ptr::null(), &raw mut action) };
    action.sa_sigaction
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// What the profile is to find.
    #[inline(never)]
    fn spins_until_told(stop: &AtomicBool) -> u64 {
        let mut turns = 0_u64;
        while !stop.load(Ordering::Relaxed) {
            turns = std::hint::black_box(turns.wrapping_add(1));
        }
        turns
    }

    /// One test: there is one profiler in a process.
    #[tokio::test]
    async fn a_profile_names_what_runs_and_one_runs_at_a_time() {
        let stop = Arc::new(AtomicBool::new(false));
        let spinning = stop.clone();
        let thread = std::thread::spawn(move || spins_until_told(&spinning));

        let (first, second) = futures::future::join(cpu(Duration::from_secs(1)), cpu(Duration::from_secs(1))).await;
        let profile = first.unwrap();
        assert!(matches!(second, Err(Error::InUse)), "{second:?}");
        stop.store(true, Ordering::Relaxed);
        assert!(thread.join().unwrap() > 0);
        let mut message = Vec::new();
        flate2::read::MultiGzDecoder::new(profile.as_slice()).read_to_end(&mut message).unwrap();
        let has = |text: &str| message.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(has("spins_until_told") && has("nanoseconds"));
        assert!(!has("perf_signal_handler"), "the profiler is in its own profile");
    }
}
