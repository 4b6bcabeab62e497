//! What a running process has cost so far.

use rustix::process::Pid;

use crate::Error;

/// Clock ticks a second in /proc: USER_HZ, 100 on every architecture we build for.
const TICKS_PER_SECOND: f64 = 100.0;

/// Processor time and memory of one process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// User and system time since its start.
    pub cpu_seconds: f64,
    /// Resident memory now.
    pub rss_bytes: u64,
}

impl Cost {
    /// Reads `/proc/PID/stat` and `/proc/PID/status`.
    pub fn of(pid: Pid) -> Result<Cost, Error> {
        let file = |name: &str| {
            let path = format!("/proc/{}/{name}", pid.as_raw_nonzero());
            std::fs::read_to_string(&path).map_err(Error::io(format!("reading {path}")))
        };
        let (stat, status) = (file("stat")?, file("status")?);
        match (cpu_seconds(&stat), rss_bytes(&status)) {
            (Some(cpu_seconds), Some(rss_bytes)) => Ok(Cost { cpu_seconds, rss_bytes }),
            _ => Err(Error::Answer { what: format!("/proc/{}", pid.as_raw_nonzero()), answer: stat + &status }),
        }
    }
}

/// proc_pid_stat(5): fields 14 and 15, user and system time in ticks.
fn cpu_seconds(stat: &str) -> Option<f64> {
    // The command's name (field 2) is in parentheses and may hold spaces and parentheses itself.
    let after_name = &stat[stat.rfind(')')? + 1..];
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some((field(14)? + field(15)?) as f64 / TICKS_PER_SECOND)
}

/// proc_pid_status(5): `VmRSS` in kB, which are 1024 bytes.
fn rss_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 10 0 0 0 150 50 0 0 20 0 9 0 100 123456 3";
        assert_eq!(cpu_seconds(stat), Some(2.0));
    }

    #[test]
    fn resident_memory_is_in_kibibytes() {
        assert_eq!(rss_bytes("Name:\tx\nVmRSS:\t     12 kB\n"), Some(12 * 1024));
    }

    #[test]
    fn this_process_uses_memory() {
        assert!(Cost::of(rustix::process::getpid()).unwrap().rss_bytes > 0);
    }
}
