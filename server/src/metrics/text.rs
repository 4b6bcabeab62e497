//! The classic text format of Prometheus, version 0.0.4.
//!
//! The library writes OpenMetrics, which differs in four places: counters lose and regain `_total`, helps end in a dot,
//! whole bucket bounds have a fraction, and the text ends in `# EOF`. Names must be etcd's exactly, so lines are adapted.

use prometheus_client::registry::Registry;

pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) struct Text {
    registry: Registry,
    bare_counters: Vec<&'static str>,
}

impl Text {
    pub(super) fn new(registry: Registry, bare_counters: Vec<&'static str>) -> Self {
        Self { registry, bare_counters }
    }

    pub(super) fn render(&self) -> String {
        let mut open_metrics = String::with_capacity(128 << 10);
        // Writing to a String does not fail.
        let _ = prometheus_client::encoding::text::encode_registry(&mut open_metrics, &self.registry);
        let mut out = String::with_capacity(open_metrics.len());
        let mut help = "";
        // The counter whose samples have to lose `_total` again.
        let mut bare: Option<&str> = None;
        for line in open_metrics.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                help = rest.split_once(' ').map(|(_, help)| help).unwrap_or_default();
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap_or((rest, "untyped"));
                bare = self.bare_counters.iter().find(|counter| **counter == name).copied();
                let suffix = if kind == "counter" && bare.is_none() { "_total" } else { "" };
                let kind = if kind == "unknown" { "untyped" } else { kind };
                push(&mut out, &["# HELP ", name, suffix, " ", help, "\n# TYPE ", name, suffix, " ", kind, "\n"]);
            } else {
                let sample = bare.and_then(|name| line.strip_prefix(name)?.strip_prefix("_total"));
                match (bare, sample) {
                    (Some(name), Some(rest)) => push(&mut out, &[name, rest, "\n"]),
                    _ => push_sample(&mut out, line),
                }
            }
        }
        out
    }
}

/// Go writes a bound or value without a fraction as a whole number.
fn push_sample(out: &mut String, line: &str) {
    let (labels, value) = line.rsplit_once(' ').unwrap_or((line, ""));
    match labels.rsplit_once("le=\"").and_then(|(before, bound)| Some((before, bound.strip_suffix(".0\"}")?))) {
        Some((before, bound)) => push(out, &[before, "le=\"", bound, "\"}"]),
        None => out.push_str(labels),
    }
    push(out, &[" ", value.strip_suffix(".0").unwrap_or(value), "\n"]);
}

fn push(out: &mut String, parts: &[&str]) {
    for part in parts {
        out.push_str(part);
    }
}
