//! Every test, in groups, and one line that counts them.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use clap::ValueEnum;

use crate::place::Place;
use crate::run::{self, Failure};
use crate::{build, clients, images, schemathesis, tools};

/// What a group of tests needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Group {
    /// Nothing but cargo: unit, model and in-process tests.
    InProcess,
    /// Our binaries and upstream's: the e2e tests `server` and `compat`.
    Processes,
    /// A Kubernetes node: the e2e test `operator`.
    Kubernetes,
}

impl Group {
    /// This group's programs, which are folders of `e2e/tests/`. Each test there has up to three members of its own, so that
    /// more than two at a time only wait for each other; and every program costs its linking.
    fn programs(self) -> &'static [&'static str] {
        match self {
            Group::InProcess => &[],
            Group::Processes => &["server", "compat"],
            Group::Kubernetes => &["operator"],
        }
    }
}

/// What was counted.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    passed: u64,
    failed: u64,
    /// Names of failed tests, and of runs that gave no count.
    failures: Vec<String>,
}

/// Runs the groups (none named: all) and fails if a test failed or nothing ran.
pub fn run(place: &Place, groups: &[Group]) -> Result<(), Failure> {
    let all = [Group::InProcess, Group::Processes, Group::Kubernetes];
    let groups = if groups.is_empty() { &all } else { groups };
    let mut count = Count::default();
    for group in groups {
        let started = match group {
            Group::InProcess => in_process(place, &mut count),
            Group::Processes | Group::Kubernetes => processes(place, *group, &mut count),
        };
        if let Err(Failure(text)) = started {
            // A build that fails must not hide the tests of the other groups.
            count.failed += 1;
            count.failures.push(text);
        }
    }
    for failure in &count.failures {
        println!("failed: {failure}");
    }
    println!("{} passed, {} failed", count.passed, count.failed);
    if count.failed > 0 || count.passed == 0 { Err(Failure("the tests did not pass".into())) } else { Ok(()) }
}

fn in_process(place: &Place, count: &mut Count) -> Result<(), Failure> {
    let others = ["test", "--release", "--workspace", "--exclude", "quorate-e2e", "--no-fail-fast"];
    count_run(run::cargo(place, &others), count)?;
    count_run(run::cargo(place, &["test", "--release", "--package", "quorate-e2e", "--lib", "--bins"]), count)
}

fn processes(place: &Place, group: Group, count: &mut Count) -> Result<(), Failure> {
    build::binaries(place)?;
    tools::build(place, &[])?;
    match group {
        Group::InProcess => {}
        Group::Processes => {
            clients::build(place)?;
            schemathesis::build(place)?;
        }
        Group::Kubernetes => images::build(place)?,
    }
    let mut arguments = vec!["test", "--release", "--package", "quorate-e2e", "--no-fail-fast"];
    arguments.extend(group.programs().iter().flat_map(|program| ["--test", program]));
    arguments.extend(["--", "--test-threads=2"]);
    let mut command = run::cargo(place, &arguments);
    command.env("QUORATE_BIN", place.bin()).env("QUORATE_TOOLS", place.tools());
    command.env("QUORATE_IMAGES", place.images()).env("QUORATE_CLIENTS", place.clients());
    count_run(command, count)
}

/// Runs it with its output shown, and adds what it counted.
fn count_run(mut command: Command, count: &mut Count) -> Result<(), Failure> {
    let shown = run::show(&command);
    eprintln!("$ {shown}");
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(Failure::io(format!("starting `{shown}`")))?;
    let failed_before = count.failed;
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).split(b'\n') {
            let line = line.map_err(Failure::io(format!("reading the output of `{shown}`")))?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            add_line(&line, count);
        }
    }
    let status = child.wait().map_err(Failure::io(format!("waiting for `{shown}`")))?;
    if !status.success() && count.failed == failed_before {
        // It did not compile, or a test binary died before it could count.
        count.failed += 1;
        count.failures.push(format!("`{shown}`: {status}"));
    }
    Ok(())
}

/// Understands libtest's lines: `test NAME ... FAILED` and `test result: ok. 3 passed; 0 failed; …`.
fn add_line(line: &str, count: &mut Count) {
    if let Some(result) = line.strip_prefix("test result: ") {
        let number = |word: &str| {
            let before = result.split(word).next()?;
            before.trim_end().rsplit(' ').next()?.parse::<u64>().ok()
        };
        count.passed += number("passed").unwrap_or(0);
        count.failed += number("failed").unwrap_or(0);
    } else if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
        count.failures.push(name.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_several_binaries_add_up() {
        let mut count = Count::default();
        for line in [
            "running 3 tests",
            "test a::b ... ok",
            "test a::c ... FAILED",
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test result: ok. 25 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
        ] {
            add_line(line, &mut count);
        }
        assert_eq!(count, Count { passed: 27, failed: 1, failures: vec!["a::c".into()] });
    }

    #[test]
    fn a_run_that_dies_without_a_count_is_a_failure() {
        let mut count = Count::default();
        count_run(Command::new("false"), &mut count).unwrap();
        assert_eq!((count.passed, count.failed), (0, 1));
    }

    #[test]
    fn every_program_of_e2e_tests_belongs_to_a_group() {
        let folder = Place::find().unwrap().checkout.join("e2e/tests");
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(
                [Group::Processes, Group::Kubernetes].iter().any(|group| group.programs().contains(&name.as_str())),
                "{name}"
            );
        }
    }
}
