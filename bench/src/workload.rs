//! What is measured, and what etcd's load generator prints about it.

/// One call of the load generator.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// As the table names it.
    pub name: &'static str,
    /// Only the leader is asked; else all members in turn.
    pub to_leader: bool,
    /// Arguments after the endpoints and before the total.
    pub arguments: &'static [&'static str],
    /// Requests of one run at scale 1.
    pub requests: u64,
}

/// 1000 clients on 100 connections that put.
const PUT_FROM_1000: &[&str] = &[
    "--conns=100",
    "--clients=1000",
    "put",
    "--key-size=8",
    "--val-size=256",
    "--sequential-keys",
    "--key-space-size=100000",
];

/// Puts go to keys in sequence over a bounded key space: new ones and overwritten ones.
pub const WORKLOADS: [Workload; 5] = [
    Workload {
        name: "put, 1 client",
        to_leader: true,
        arguments: &[
            "--conns=1",
            "--clients=1",
            "put",
            "--key-size=8",
            "--val-size=256",
            "--sequential-keys",
            "--key-space-size=100000",
        ],
        requests: 3_000,
    },
    Workload {
        name: "put, 1000 clients, 100 connections, to the leader",
        to_leader: true,
        arguments: PUT_FROM_1000,
        requests: 100_000,
    },
    Workload {
        name: "put, 1000 clients, 100 connections, over all members",
        to_leader: false,
        arguments: PUT_FROM_1000,
        requests: 100_000,
    },
    Workload {
        name: "range of one key, linearizable, 1000 clients, to the leader",
        to_leader: true,
        arguments: &["--conns=100", "--clients=1000", "range", KEY, "--consistency=l"],
        requests: 100_000,
    },
    Workload {
        name: "range of one key, serializable, 1000 clients, to the leader",
        to_leader: true,
        arguments: &["--conns=100", "--clients=1000", "range", KEY, "--consistency=s"],
        requests: 100_000,
    },
];

/// The key that ranges read; the runner writes it first.
pub const KEY: &str = "range-key";

/// What one run of the load generator said.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Summary {
    pub requests_per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

impl Summary {
    /// Reads the generator's report: `Requests/sec: 123.4`, `50% in 0.0012 secs.`, `99% in 0.0034 secs.`
    pub fn parse(report: &str) -> Option<Summary> {
        let after = |label: &str| {
            let line = report.lines().find_map(|line| line.trim().strip_prefix(label))?;
            line.split_whitespace().next()?.parse::<f64>().ok()
        };
        Some(Summary {
            requests_per_second: after("Requests/sec:")?,
            p50_ms: after("50% in")? * 1000.0,
            p99_ms: after("99% in")? * 1000.0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_understood() {
        let report = "\nSummary:\n  Total:\t1.0 secs.\n  Requests/sec:\t4321.5\n\nLatency distribution:\n  \
            50% in 0.0012 secs.\n  99% in 0.0340 secs.\n  99.9% in 0.1 secs.\n";
        let summary = Summary { requests_per_second: 4321.5, p50_ms: 1.2, p99_ms: 34.0 };
        assert_eq!(Summary::parse(report), Some(summary));
        assert_eq!(Summary::parse("error: no endpoint"), None);
    }
}
