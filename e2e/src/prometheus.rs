//! What a Prometheus knows of members after scraping them, and what it makes of that by etcd's rules and dashboard.
//!
//! Scrapes are taken as fast as a test likes, and told to promtool as [`INTERVAL_SECONDS`] apart: half an hour passes in seconds.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::Error;
use crate::binaries::tool;
use crate::cluster::Cluster;
use crate::ctl::Ctl;
use crate::health;

/// The interval that etcd's rules assume.
const INTERVAL_SECONDS: usize = 30;
/// Every alert that fired at any time.
const FIRED: &str = r#"max by (alertname, severity) (max_over_time(ALERTS{alertstate="firing"}[1d]))"#;

/// Scrapes of members, in the order they were taken.
#[derive(Debug)]
pub struct Scrapes {
    members: Vec<(String, SocketAddr)>,
    /// Where promtool's input is written.
    folder: PathBuf,
    rules: PathBuf,
    dashboard: Vec<String>,
    /// The metrics that rules and dashboard read; nothing else is kept.
    names: BTreeSet<String>,
    /// Of each series its value in each scrape; none: the scrape didn't have it.
    series: BTreeMap<String, Vec<Option<String>>>,
    count: usize,
}

impl Scrapes {
    /// Of all members, by nobody yet.
    pub fn of(cluster: &Cluster) -> Result<Scrapes, Error> {
        let rules = tool("etcd-rules.json")?;
        let mut expressions = Vec::new();
        let mut dashboard = Vec::new();
        collect(&read(&rules)?, &mut expressions);
        collect(&read(&tool("etcd-dashboard.json")?)?, &mut dashboard);
        let names = expressions.iter().chain(&dashboard).flat_map(|text| names(text)).collect();
        let members = cluster.members().iter().map(|member| {
            let address = member.endpoint().parse().map_err(|_| Error::Answer {
                what: format!("the endpoint of {} is no address", member.name()),
                answer: member.endpoint(),
            })?;
            Ok((member.name().to_owned(), address))
        });
        Ok(Scrapes {
            members: members.collect::<Result<_, Error>>()?,
            folder: cluster.folder().to_owned(),
            rules,
            dashboard,
            names,
            series: BTreeMap::new(),
            count: 0,
        })
    }

    /// Asks every member once. One that doesn't answer is down, as `up` tells.
    pub async fn take(&mut self) {
        for (name, address) in self.members.clone() {
            let scraped = match health::get(address, "/metrics").await {
                Ok((200, text)) => text,
                _ => String::new(),
            };
            self.note(&format!(r#"up{{job="etcd",instance="{name}"}}"#), f64::from(!scraped.is_empty()));
            for (series, value) in scraped.lines().filter_map(|line| parse(line, &name)) {
                if self.names.contains(series.split('{').next().unwrap_or_default()) {
                    self.note(&series, value);
                }
            }
        }
        self.count += 1;
    }

    /// The latest value of a member's metric without labels of its own.
    pub fn latest(&self, member: &str, metric: &str) -> Option<f64> {
        let values = self.series.get(&format!(r#"{metric}{{job="etcd",instance="{member}"}}"#))?;
        values.get(self.count.checked_sub(1)?)?.as_ref()?.parse().ok()
    }

    /// An error unless these alerts have fired, each as its name and severity, and no other.
    pub async fn fired(&self, expected: &[(&str, &str)]) -> Result<(), Error> {
        let samples = expected.iter().map(|(name, severity)| {
            json!({ "labels": format!(r#"{{alertname="{name}", severity="{severity}"}}"#), "value": 1 })
        });
        self.check(&[json!({
            "expr": FIRED,
            "eval_time": self.end(),
            "exp_samples": samples.collect::<Vec<_>>(),
        })])
        .await
    }

    /// An error unless every query of the dashboard, and every metric of the rules, has a number.
    pub async fn answered(&self) -> Result<(), Error> {
        let window = format!("{}s", 4 * INTERVAL_SECONDS);
        let queries = self.dashboard.iter().map(|query| {
            let query = query.replace("$__rate_interval", &window).replace("$cluster", "etcd");
            // Not a number is not equal to itself: an average of nothing is an empty panel.
            format!("count(({query}) == ({query})) > bool 0")
        });
        let metrics = self.names.iter().map(|name| format!(r#"count({name}{{job="etcd"}}) > bool 0"#));
        let checks = queries.chain(metrics).map(
            |query| json!({ "expr": query, "eval_time": self.end(), "exp_samples": [{ "labels": "{}", "value": 1 }] }),
        );
        self.check(&checks.collect::<Vec<_>>()).await
    }

    async fn check(&self, checks: &[Value]) -> Result<(), Error> {
        let series = self.series.iter().map(|(series, values)| {
            let values = values.iter().map(|value| value.as_deref().unwrap_or("stale"));
            // A series that ended has no value any more; promtool doesn't look behind the last one.
            let rest = std::iter::repeat_n("stale", self.count - values.len());
            json!({ "series": series, "values": values.chain(rest).collect::<Vec<_>>().join(" ") })
        });
        let interval = format!("{INTERVAL_SECONDS}s");
        let input = json!({
            "rule_files": [self.rules],
            "evaluation_interval": interval,
            "tests": [{
                "interval": interval,
                "input_series": series.collect::<Vec<_>>(),
                "promql_expr_test": checks,
            }],
        });
        let file = self.folder.join("promtool.json");
        fs::write(&file, input.to_string()).map_err(Error::io(format!("writing {}", file.display())))?;
        let output = Ctl::of(tool("promtool")?).run(&["test", "rules", &file.to_string_lossy()]).await?;
        match output.code {
            0 => Ok(()),
            _ => Err(Error::Answer { what: "promtool".into(), answer: output.stdout + &output.stderr }),
        }
    }

    fn end(&self) -> String {
        format!("{}s", self.count.saturating_sub(1) * INTERVAL_SECONDS)
    }

    fn note(&mut self, series: &str, value: f64) {
        let values = self.series.entry(series.to_owned()).or_default();
        values.resize(self.count, None);
        values.push(Some(value.to_string()));
    }
}

fn read(file: &std::path::Path) -> Result<Value, Error> {
    let text = fs::read_to_string(file).map_err(Error::io(format!("reading {}", file.display())))?;
    serde_json::from_str(&text)
        .map_err(|error| Error::Answer { what: format!("{}", file.display()), answer: error.to_string() })
}

/// All fields named `expr`, wherever they are.
fn collect(value: &Value, expressions: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            expressions.extend(fields.get("expr").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| collect(value, expressions));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, expressions)),
        _ => {}
    }
}

/// The metrics that an expression reads.
fn names(expression: &str) -> impl Iterator<Item = String> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let metrics =
        words.filter(|word| ["etcd_", "grpc_server_", "process_"].iter().any(|start| word.starts_with(start)));
    metrics.map(str::to_owned)
}

/// A line of a scrape as a series with Prometheus's own labels, and its value.
fn parse(line: &str, instance: &str) -> Option<(String, f64)> {
    let (series, value) = line.rsplit_once(' ').filter(|_| !line.starts_with('#'))?;
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let own = if labels == "}" { "" } else { "," };
    Some((format!(r#"{name}{{job="etcd",instance="{instance}"{own}{labels}"#), value.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scraped_line_gets_the_labels_of_its_target() {
        let told = |line| parse(line, "m0");
        assert_eq!(told("a 1"), Some((r#"a{job="etcd",instance="m0"}"#.into(), 1.0)));
        assert_eq!(told(r#"a{b="c d"} 2e+09"#), Some((r#"a{job="etcd",instance="m0",b="c d"}"#.into(), 2e9)));
        assert_eq!(told("# TYPE a counter"), None);
    }

    #[test]
    fn an_expression_names_its_metrics() {
        let text = r#"sum(rate(etcd_a_total{grpc_code="x"}[5m])) / grpc_server_b > 1"#;
        assert_eq!(names(text).collect::<Vec<_>>(), ["etcd_a_total", "grpc_server_b"]);
    }
}
