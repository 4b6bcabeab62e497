//! What Go calls the system's errors and signals.

use std::io;

/// By number on Linux, from 1.
const SIGNALS: [&str; 15] = [
    "hangup",
    "interrupt",
    "quit",
    "illegal instruction",
    "trace/breakpoint trap",
    "aborted",
    "bus error",
    "floating point exception",
    "killed",
    "user defined signal 1",
    "segmentation fault",
    "user defined signal 2",
    "broken pipe",
    "alarm clock",
    "terminated",
];

pub fn signal_name(number: i32) -> String {
    let name = usize::try_from(number - 1).ok().and_then(|at| SIGNALS.get(at));
    name.map_or_else(|| format!("signal {number}"), |name| (*name).to_owned())
}

/// The system's text without its number, and with a small letter in front.
pub fn error_text(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_go() {
        assert_eq!(signal_name(9), "killed");
        assert_eq!(signal_name(40), "signal 40");
        assert_eq!(error_text(&io::Error::from_raw_os_error(libc::ENOENT)), "no such file or directory");
    }
}
