//! Outputs of command lines made comparable: what differs from run to run is replaced, everything else must be equal.

use crate::Error;
use crate::ctl::{Ctl, Output};
use crate::terminal::Answer;

/// Names of JSON fields and columns whose numbers differ from run to run.
const VARIABLE_FIELDS: [&str; 9] =
    ["cluster_id", "member_id", "leader", "ID", "ClusterID", "MemberID", "Leader", "dbSize", "dbSizeInUse"];
/// etcd's ids are random 63 or 64 bit numbers: 13 or more hex digits with near certainty.
const ID_HEX_DIGITS: usize = 13;
/// The same ids in decimal.
const ID_DECIMAL_DIGITS: usize = 15;

/// A call of a transcript: the arguments, and what is typed.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Split at blanks; `_` in an argument stands for a blank.
    pub line: &'static str,
    pub input: &'static str,
    /// If there are any, it runs on a terminal.
    pub answers: &'static [Answer],
}

/// A step without input.
pub const fn step(line: &'static str) -> Step {
    typed(line, "")
}

/// A step with text on its standard input.
pub const fn typed(line: &'static str, input: &'static str) -> Step {
    Step { line, input, answers: &[] }
}

/// A step on a terminal.
pub const fn asked(line: &'static str, answers: &'static [Answer]) -> Step {
    Step { line, input: "", answers }
}

/// Runs the steps one after the other and writes down the whole session, normalised.
pub async fn record(ctl: &Ctl, steps: &[Step]) -> Result<String, Error> {
    let mut session = String::new();
    for step in steps {
        let arguments: Vec<String> = step.line.split(' ').map(|argument| argument.replace('_', " ")).collect();
        let output = match step.answers {
            [] => ctl.run_with_input(&arguments, step.input).await?,
            answers => ctl.run_on_terminal(&arguments, answers).await?,
        };
        let Output { stdout, stderr, code } = output;
        session += &format!("$ {}\n{}", step.line, normalise(&stdout));
        session += &normalise(&stderr).lines().map(|line| format!("! {line}\n")).collect::<String>();
        if code != 0 {
            session += &format!("[exit code {code}]\n");
        }
    }
    Ok(session)
}

/// Without what is ours on purpose: the line with our own version, and help texts, which are made of our own words.
fn comparable(step: &str) -> String {
    let mut in_usage = false;
    let lines = step.lines().filter(|line| {
        in_usage = (in_usage || *line == "! Usage:") && !line.starts_with("[exit code");
        !in_usage && !line.starts_with("Quorate version: ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The steps of a part whose output differs, side by side.
pub fn difference(part: &str, expected: &str, got: &str) -> String {
    let steps = |session: &str| session.split("$ ").map(comparable).collect::<Vec<_>>();
    let mut differences = String::new();
    for (expected, got) in steps(expected).iter().zip(steps(got)).filter(|(expected, got)| *expected != got) {
        differences += &format!("--- {part}, expected:\n$ {expected}--- got:\n$ {got}\n");
    }
    differences
}

/// Replaces ids, addresses, durations and sizes; drops the client's log lines.
pub fn normalise(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with(r#"{"level":"#)).map(|line| normal_line(line) + "\n").collect()
}

fn normal_line(line: &str) -> String {
    // A table's columns are as wide as the ids in them.
    if line.starts_with(['┌', '├', '└']) {
        return "─".to_owned();
    }
    if line.starts_with('│') && line.contains("  ") {
        return normal_line(&line.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '_' | 'µ');
    let mut out = String::new();
    let mut rest = line;
    let mut field = "";
    while let Some(first) = rest.chars().next() {
        let end = if is_part(first) { rest.find(|c| !is_part(c)).unwrap_or(rest.len()) } else { first.len_utf8() };
        let (word, after) = rest.split_at(end);
        // Colons at a word's ends and a sentence's full stop belong to the text around it: `"ID":7`, `lease 6a:`, `took 2ms.`
        let bare = word.trim_matches(':').trim_end_matches('.');
        match replacement(bare, field) {
            Some(mark) => out += &word.replace(bare, mark),
            None => out += word,
        }
        if matches!(first, ',' | '{' | '}' | ']') {
            field = "";
        } else if is_part(first) && !bare.is_empty() {
            field = bare;
        }
        rest = after;
    }
    out
}

fn replacement(word: &str, field: &str) -> Option<&'static str> {
    let all = |accepts: fn(&char) -> bool| !word.is_empty() && word.chars().all(|c| accepts(&c));
    if word.starts_with("127.0.0.1:") {
        Some("ADDRESS")
    } else if all(char::is_ascii_digit) && (VARIABLE_FIELDS.contains(&field) || word.len() >= ID_DECIMAL_DIGITS) {
        Some("NUMBER")
    } else if all(char::is_ascii_hexdigit) && word.len() >= ID_HEX_DIGITS {
        Some("ID")
    } else if is_duration(word) {
        Some("DURATION")
    } else {
        None
    }
}

/// Go's way to print a duration: `1.234ms`, `2m0.5s`; whole seconds are part of the contract and stay.
fn is_duration(word: &str) -> bool {
    let number = |unit: &str| {
        word.strip_suffix(unit).is_some_and(|n| n.starts_with(|c: char| c.is_ascii_digit()) && n.parse::<f64>().is_ok())
    };
    number("ms") || number("µs") || number("ns") || (number("s") && word.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(given: &str, expected: &str) {
        assert_eq!(normalise(given), format!("{expected}\n"));
    }

    #[test]
    fn ids_are_replaced_and_revisions_stay() {
        check(
            r#"{"header":{"cluster_id":1484,"member_id":10276657743932975437,"revision":12,"raft_term":2}}"#,
            r#"{"header":{"cluster_id":NUMBER,"member_id":NUMBER,"revision":12,"raft_term":2}}"#,
        );
        check("lease 694d8bd7fd8a1f0c granted with TTL(60s)", "lease ID granted with TTL(60s)");
        check("\"Lease\" : 7587862094657822412", "\"Lease\" : NUMBER");
    }

    #[test]
    fn addresses_and_durations_are_replaced() {
        check(
            "127.0.0.1:4711 is healthy: successfully committed proposal: took = 1.892ms",
            "ADDRESS is healthy: successfully committed proposal: took = DURATION",
        );
        check("http://127.0.0.1:4711, x", "http://ADDRESS, x");
        check("took 9.315795ms. (x)", "took DURATION. (x)");
    }

    #[test]
    fn words_are_not_taken_for_ids() {
        check("deadbeef feedfacecafe 123456", "deadbeef feedfacecafe 123456");
        check("Error: etcdserver: key not found", "Error: etcdserver: key not found");
    }

    #[test]
    fn log_lines_of_the_client_are_dropped() {
        assert_eq!(normalise("{\"level\":\"warn\",\"ts\":\"x\"}\nOK\n"), "OK\n");
    }
}
