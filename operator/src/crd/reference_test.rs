#![allow(clippy::unwrap_used, reason = "a failed unwrap in a test is its report")]

use std::path::Path;

use super::reference::{Field, Page, all_named, markdown, page};
use super::*;

fn pages() -> [Page; 5] {
    let named = all_named();
    let definitions = definitions();
    std::array::from_fn(|kind| page(&definitions[kind].1, &named[kind]))
}

fn field(path: &str) -> Field {
    pages()[0].fields.iter().find(|field| field.path == path).cloned().unwrap()
}

#[test]
fn the_page_is_what_the_types_say() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operator/reference.md");
    let found = std::fs::read_to_string(file).unwrap_or_default();
    assert!(found == markdown(), "docs/operator/reference.md is not what the types say; `make fix` writes it");
}

#[test]
fn every_field_is_described() {
    let pages = pages();
    assert!(pages[0].fields.len() > 70 && pages[1].fields.len() > 5, "fields are missing");
    let bare: Vec<String> = pages
        .into_iter()
        .flat_map(|page| page.fields)
        .filter(|field| field.description.trim().is_empty())
        .map(|field| field.path)
        .collect();
    assert_eq!(bare, [""; 0], "these have no description");
}

#[test]
fn a_row_has_everything_that_the_schema_says() {
    let replicas = field("spec.replicas");
    assert_eq!(
        (replicas.type_.as_str(), replicas.default.as_str(), replicas.bounds.as_str()),
        ("integer", "`3`", "0 to 9")
    );
    let arguments = field("spec.etcd.extraArgs");
    assert_eq!(arguments.type_, "list of string");
    assert_eq!(arguments.bounds, "at most 32 items, each at most 512 characters, `^--[a-z0-9-]+(=.*)?$`");
    assert_eq!(field("spec.storage.medium").default, "`Disk`");
    assert_eq!(field("status.members[].name").default, "required");
}

#[test]
fn types_of_kubernetes_are_links_and_are_not_unfolded() {
    let affinity = field("spec.podTemplate.affinity");
    assert!(affinity.type_.starts_with("[Affinity](https://"), "{}", affinity.type_);
    assert!(affinity.type_.ends_with("#affinity-v1-core)"), "{}", affinity.type_);
    assert!(field("spec.podTemplate.tolerations").type_.starts_with("list of [Toleration]("));
    assert!(field("status.conditions").type_.contains("#condition-v1-meta"));
    let [cluster, ..] = pages();
    assert!(!cluster.fields.iter().any(|field| field.path.starts_with("spec.podTemplate.affinity.")));
}

#[test]
fn values_say_what_they_mean() {
    assert!(field("status.phase").values.contains("`Unavailable`: No quorum answers."));
}

#[test]
fn every_rule_is_there() {
    let [cluster, ..] = pages();
    let of = |path: &str| cluster.rules.iter().filter(|rule| rule.path == path).count();
    assert_eq!(of("metadata"), 2);
    assert!(of("spec") >= 5);
    assert_eq!(of("spec.etcd.extraArgs"), 1);
    assert!(cluster.rules.iter().all(|rule| !rule.message.is_empty()));
}

/// First words of a page's table rows, as code.
fn rows(page: &str, section: &str) -> Vec<String> {
    let (_, after) = page.split_once(&format!("## {section}\n")).unwrap();
    let section = after.split("\n## ").next().unwrap();
    let row = |line: &str| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned());
    section.lines().filter_map(row).collect()
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

/// Names are strings of the code in one file each; phases are those of the schema.
#[test]
fn every_condition_reason_phase_and_step_is_explained() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(folder.join("../docs/operator/conditions.md")).unwrap();
    let named = |code: &str, before: &str| {
        let names = code.lines().filter_map(|line| Some(line.split_once(before)?.1.split_once('"')?.0.to_owned()));
        sorted(names.collect())
    };
    let conditions = include_str!("condition.rs");
    assert_eq!(sorted(rows(&page, "Conditions")), named(conditions, ": &str = \""));
    assert_eq!(sorted(rows(&page, "Reasons")), named(conditions, " => \""));
    assert_eq!(sorted(rows(&page, "Steps")), named(include_str!("../plan/step.rs"), " => \""));
    let phases = field("status.phase").type_.split(", ").map(|phase| phase.trim_matches('`').to_owned()).collect();
    assert_eq!(sorted(rows(&page, "Phases")), sorted(phases));
}
