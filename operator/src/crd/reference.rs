//! The reference of the resources for people, as Markdown, out of their schemas.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;

use super::named::{self, Named};
use super::{EtcdBackup, EtcdBackupSchedule, EtcdCluster, EtcdMember, EtcdRestore, definitions};

/// Release of Kubernetes whose reference describes its own types.
const KUBERNETES: &str = "v1.33";

const INTRODUCTION: &str = "\
# Reference of the resources

Every field of `quorate.io/v1alpha1`, printed from the types by `quorate-operator reference`; `make fix` writes this page. `kubectl explain
etcdcluster.spec` shows the same. Fields without a default may be left out unless they are marked as required. Types of Kubernetes itself are
links to its own reference.
";

/// The whole page.
pub fn markdown() -> String {
    let named = all_named();
    let kinds = definitions().into_iter().zip(&named).map(|((_, definition), named)| kind(&definition, named));
    std::iter::once(INTRODUCTION.to_owned()).chain(kinds).collect::<Vec<_>>().join("\n")
}

/// As [`definitions`] has them.
pub(crate) fn all_named() -> [BTreeMap<String, Named>; 5] {
    [
        named::of::<EtcdCluster>(),
        named::of::<EtcdMember>(),
        named::of::<EtcdBackup>(),
        named::of::<EtcdBackupSchedule>(),
        named::of::<EtcdRestore>(),
    ]
}

fn kind(definition: &CustomResourceDefinition, named: &BTreeMap<String, Named>) -> String {
    let page = page(definition, named);
    let names = &definition.spec.names;
    let short = names.short_names.iter().flatten().map(|name| format!(", short `{name}`")).collect::<String>();
    let schema =
        definition.spec.versions.iter().filter_map(|version| version.schema.as_ref()?.open_api_v3_schema.as_ref());
    let about = schema.filter_map(|schema| schema.description.clone()).next().unwrap_or_default();
    let mut text = format!("## {}\n\n{about} In kubectl: `{}`{short}.\n", names.kind, names.plural);
    for part in ["spec", "status"] {
        let fields: Vec<&Field> =
            page.fields.iter().filter(|field| field.path.split(['.', '[']).next() == Some(part)).collect();
        if fields.is_empty() {
            continue;
        }
        let _ = write!(
            text,
            "\n### {} {part}\n\n| field | type | default | bounds | |\n|---|---|---|---|---|\n",
            names.kind
        ); // A text takes everything.
        for field in fields {
            let Field { path, type_, default, bounds, description, values } = field;
            let about = [description.as_str(), values.as_str()].join(" ");
            let _ = writeln!(text, "| `{path}` | {type_} | {default} | {} | {} |", cell(bounds), cell(about.trim()));
        }
    }
    if !page.rules.is_empty() {
        let _ = write!(
            text,
            "\n### {} rules\n\nThe API server refuses a resource that breaks one.\n\n| of | rule | in CEL |\n|---|---|---|\n",
            names.kind
        );
        for Rule { path, message, expression } in &page.rules {
            let _ = writeln!(text, "| `{path}` | {} | `{}` |", cell(message), cell(expression));
        }
    }
    text
}

/// A bar ends a cell, in code too.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// A row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Field {
    pub(crate) path: String,
    pub(crate) type_: String,
    pub(crate) default: String,
    pub(crate) bounds: String,
    pub(crate) description: String,
    /// What each of its values means.
    pub(crate) values: String,
}

/// A rule that looks at several fields, or at a change.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rule {
    pub(crate) path: String,
    pub(crate) message: String,
    pub(crate) expression: String,
}

/// What a kind's schema says.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) fields: Vec<Field>,
    pub(crate) rules: Vec<Rule>,
}

pub(crate) fn page(definition: &CustomResourceDefinition, named: &BTreeMap<String, Named>) -> Page {
    let mut page = Page::default();
    for version in &definition.spec.versions {
        let schema = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
        let schema = serde_json::to_value(schema).unwrap_or_default();
        rules("metadata", &schema, &mut page);
        for part in ["spec", "status"] {
            if let Some(schema) = schema["properties"].get(part) {
                rules(part, schema, &mut page);
                fields(part, schema, named, &mut page);
            }
        }
    }
    page
}

fn rules(path: &str, schema: &Value, page: &mut Page) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    page.rules.extend(schema["x-kubernetes-validations"].as_array().into_iter().flatten().map(|rule| Rule {
        path: path.to_owned(),
        message: text(&rule["message"]),
        expression: text(&rule["rule"]),
    }));
}

/// Everything below an object of ours; a type of Kubernetes is left folded.
fn fields(path: &str, schema: &Value, named: &BTreeMap<String, Named>, page: &mut Page) {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let known = named.get(&path);
        let foreign = known.and_then(|known| known.foreign.as_deref());
        let is_required = required.contains(&name.as_str()) && schema.get("default").is_none();
        page.fields.push(Field {
            path: path.clone(),
            type_: type_of(schema, foreign),
            default: if is_required { "required".to_owned() } else { default_of(schema) },
            bounds: bounds_of(schema),
            description: schema["description"].as_str().unwrap_or_default().to_owned(),
            values: known.map(|known| known.values.join(" ")).unwrap_or_default(),
        });
        rules(&path, schema, page);
        if foreign.is_none() {
            fields(&path, schema, named, page);
            rules(&format!("{path}[]"), &schema["items"], page);
            fields(&format!("{path}[]"), &schema["items"], named, page);
        }
    }
}

fn type_of(schema: &Value, foreign: Option<&str>) -> String {
    let kind = schema["type"].as_str().unwrap_or("any");
    if kind == "array" {
        return format!("list of {}", type_of(&schema["items"], foreign));
    }
    if let Some(foreign) = foreign {
        return link(foreign);
    }
    if let Some(values) = schema["enum"].as_array() {
        let mut values: Vec<String> =
            values.iter().filter_map(Value::as_str).map(|value| format!("`{value}`")).collect();
        values.sort();
        return values.join(", ");
    }
    match (kind, schema["format"].as_str(), schema.get("additionalProperties")) {
        ("string", Some("date-time"), _) => "time".to_owned(),
        ("object", _, Some(values)) => format!("map of {}", type_of(values, None)),
        (kind, ..) => kind.to_owned(),
    }
}

/// `io.k8s.api.core.v1.Affinity` as a link.
fn link(name: &str) -> String {
    let mut parts = name.rsplit('.');
    let (kind, version, group) = (parts.next(), parts.next(), parts.next());
    let [kind, version, group] = [kind, version, group].map(Option::unwrap_or_default);
    let anchor = format!("{}-{version}-{group}", kind.to_lowercase());
    format!("[{kind}](https://kubernetes.io/docs/reference/generated/kubernetes-api/{KUBERNETES}/#{anchor})")
}

/// Of an object, the fields have their own.
fn default_of(schema: &Value) -> String {
    match schema.get("default") {
        None | Some(Value::Null | Value::Object(_) | Value::Array(_)) => String::new(),
        Some(Value::String(text)) => format!("`{text}`"),
        Some(value) => format!("`{value}`"),
    }
}

fn bounds_of(schema: &Value) -> String {
    let number = |key: &str| schema[key].as_f64().map(|number| number.to_string());
    let mut bounds = Vec::new();
    bounds.extend(range(number("minimum"), number("maximum"), ""));
    bounds.extend(range(number("minLength").filter(|least| least != "0"), number("maxLength"), " characters"));
    bounds.extend(range(number("minItems").filter(|least| least != "0"), number("maxItems"), " items"));
    bounds.extend(schema["pattern"].as_str().map(|pattern| format!("`{pattern}`")));
    let items = &schema["items"];
    // Those of an object are at its fields.
    if items["type"].as_str().is_some_and(|kind| kind != "object") {
        let each = bounds_of(items);
        bounds.extend((!each.is_empty()).then(|| format!("each {each}")));
    }
    bounds.join(", ")
}

fn range(least: Option<String>, most: Option<String>, unit: &str) -> Option<String> {
    match (least, most) {
        (Some(least), Some(most)) => Some(format!("{least} to {most}{unit}")),
        (Some(least), None) => Some(format!("at least {least}{unit}")),
        (None, Some(most)) => Some(format!("at most {most}{unit}")),
        (None, None) => None,
    }
}
