//! What a definition's schema has no place for: the names of Kubernetes' own types, and what each value of a choice means.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// Deeper than any field of ours; a schema that contains itself ends there.
const DEPTH: usize = 12;

/// Of a field.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Named {
    /// The type's full name, if it is one of Kubernetes' own.
    pub(crate) foreign: Option<String>,
    /// Sentences about values.
    pub(crate) values: Vec<String>,
}

/// By path, such as `spec.podTemplate.affinity`.
pub(crate) fn of<T: JsonSchema>() -> BTreeMap<String, Named> {
    let schema = SchemaSettings::openapi3().into_generator().into_root_schema_for::<T>();
    let root = serde_json::to_value(schema).unwrap_or_default();
    let mut named = BTreeMap::new();
    for part in ["spec", "status"] {
        look(&root, &root["properties"][part], part, DEPTH, &mut named);
    }
    named
}

fn look(root: &Value, schema: &Value, path: &str, depth: usize, named: &mut BTreeMap<String, Named>) {
    if depth == 0 {
        return;
    }
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        if name.starts_with("io.k8s.") {
            named.entry(path.to_owned()).or_default().foreign = Some(name.to_owned());
            return;
        }
        look(root, &root["components"]["schemas"][name], path, depth - 1, named);
    }
    for group in ["allOf", "anyOf", "oneOf"] {
        for schema in schema[group].as_array().into_iter().flatten() {
            if let (Some(value), Some(about)) = (value_of(schema), schema["description"].as_str()) {
                named.entry(path.to_owned()).or_default().values.push(format!("`{value}`: {}", one_line(about)));
            }
            look(root, schema, path, depth - 1, named);
        }
    }
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        look(root, schema, &format!("{path}.{name}"), depth - 1, named);
    }
    if let Some(items) = schema.get("items") {
        // A list of Kubernetes' own type is one field; a list of ours has fields of its own.
        look(root, items, &list_path(items, path), depth - 1, named);
    }
}

fn list_path(items: &Value, path: &str) -> String {
    let is_foreign = items["$ref"].as_str().is_some_and(|name| name.contains("io.k8s."));
    if is_foreign { path.to_owned() } else { format!("{path}[]") }
}

fn value_of(schema: &Value) -> Option<&str> {
    let only = schema["enum"].as_array().filter(|values| values.len() == 1).and_then(|values| values.first());
    schema.get("const").or(only).and_then(Value::as_str)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
