//! The gateway described as OpenAPI 3.1, made of the descriptors that it runs on: paths, messages, and their comments.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::route::{Route, Routes};

const JSON: &str = "application/json";
const FAILURE: &str = "Error";

pub fn document(routes: &Routes) -> Value {
    let mut schemas = Schemas::default();
    let paths: Map<String, Value> =
        routes.iter().map(|(path, route)| (path.to_owned(), json!({ "post": operation(path, route) }))).collect();
    for (_, route) in routes.iter() {
        schemas.add(&route.input());
        schemas.add(&route.output());
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Quorate",
            "description": "Calls of etcd's API in JSON.",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "paths": paths,
        "components": {
            "schemas": schemas.finish(),
            "securitySchemes": { "token": { "type": "apiKey", "in": "header", "name": "Authorization" } },
        },
        "security": [{}, { "token": [] }],
    })
}

fn operation(path: &str, route: &Route) -> Value {
    let method = &route.method;
    let service = method.parent_service();
    let output = reference(route.output().full_name());
    let reply = match method.is_server_streaming() {
        true => json!({
            "type": "object",
            "properties": { "result": output, "error": reference(FAILURE) },
            "description": "One line of many.",
        }),
        false => output,
    };
    let mut operation = Map::new();
    operation.insert("operationId".to_owned(), path.trim_start_matches("/v3/").replace(['/', '-'], "_").into());
    operation.insert("tags".to_owned(), json!([service.name()]));
    operation.insert("summary".to_owned(), method.name().into());
    describe(&mut operation, comment(&method.parent_file(), method.path()));
    let request = match method.is_client_streaming() {
        true => "Any number of these, one behind the other.",
        false => "An empty body is the object without properties.",
    };
    operation.insert(
        "requestBody".to_owned(),
        json!({ "description": request, "content": content(reference(route.input().full_name())) }),
    );
    operation.insert(
        "responses".to_owned(),
        json!({
            "200": { "description": "The reply.", "content": content(reply) },
            "default": { "description": "The call failed.", "content": content(reference(FAILURE)) },
        }),
    );
    operation.into()
}

fn content(schema: Value) -> Value {
    json!({ JSON: { "schema": schema } })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// The messages and enums that operations refer to, and those that these refer to.
#[derive(Default)]
struct Schemas {
    seen: BTreeSet<String>,
    by_name: BTreeMap<String, Value>,
}

impl Schemas {
    fn add(&mut self, message: &MessageDescriptor) {
        if !self.seen.insert(message.full_name().to_owned()) {
            return;
        }
        let mut properties = Map::new();
        for field in message.fields() {
            match field.kind() {
                Kind::Message(inner) => self.add(&inner),
                Kind::Enum(inner) => self.add_enum(&inner),
                _ => {}
            }
            properties.insert(field.name().to_owned(), property(&field));
        }
        let mut schema = Map::new();
        schema.insert("type".to_owned(), "object".into());
        describe(&mut schema, comment(&message.parent_file(), message.path()));
        schema.insert("properties".to_owned(), properties.into());
        self.by_name.insert(message.full_name().to_owned(), schema.into());
    }

    fn add_enum(&mut self, kind: &EnumDescriptor) {
        let names: Vec<String> = kind.values().map(|value| value.name().to_owned()).collect();
        let mut schema = Map::new();
        schema.insert("type".to_owned(), "string".into());
        describe(&mut schema, comment(&kind.parent_file(), kind.path()));
        schema.insert("enum".to_owned(), names.into());
        self.by_name.insert(kind.full_name().to_owned(), schema.into());
    }

    fn finish(mut self) -> Value {
        let failure = json!({
            "type": "object",
            "properties": {
                "code": { "type": "integer", "format": "int32", "description": "Of gRPC." },
                "message": { "type": "string" },
            },
        });
        self.by_name.insert(FAILURE.to_owned(), failure);
        Value::Object(self.by_name.into_iter().collect())
    }
}

fn property(field: &FieldDescriptor) -> Value {
    let one = match field.kind() {
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::String => json!({ "type": "string" }),
        Kind::Bytes => json!({ "type": "string", "format": "byte" }),
        Kind::Double => json!({ "type": "number", "format": "double" }),
        Kind::Float => json!({ "type": "number", "format": "float" }),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => json!({ "type": "integer", "format": "int32" }),
        Kind::Uint32 | Kind::Fixed32 => json!({ "type": "integer", "format": "uint32" }),
        // As text, because JavaScript's numbers have 53 bits.
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => json!({ "type": "string", "format": "int64" }),
        Kind::Uint64 | Kind::Fixed64 => json!({ "type": "string", "format": "uint64" }),
        Kind::Message(message) => reference(message.full_name()),
        Kind::Enum(kind) => reference(kind.full_name()),
    };
    let mut schema = match (field.is_list(), one) {
        (true, one) => Map::from_iter([("type".to_owned(), "array".into()), ("items".to_owned(), one)]),
        (false, Value::Object(one)) => one,
        (false, other) => return other,
    };
    describe(&mut schema, comment(&field.parent_file(), field.path()));
    schema.into()
}

fn describe(schema: &mut Map<String, Value>, comment: Option<String>) {
    if let Some(comment) = comment {
        schema.insert("description".to_owned(), comment.into());
    }
}

/// What stands before a definition, in one line.
fn comment(file: &FileDescriptor, path: &[i32]) -> Option<String> {
    let source = file.file_descriptor_proto().source_code_info.as_ref()?;
    let location = source.location.iter().find(|location| location.path == path)?;
    let words: Vec<&str> = location.leading_comments.as_deref()?.split_whitespace().collect();
    Some(words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect_references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|field| collect_references(field, found));
            }
            Value::Array(items) => items.iter().for_each(|item| collect_references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn every_path_is_described_and_every_reference_leads_somewhere() {
        let routes = Routes::load().unwrap();
        let document = document(&routes);
        for (path, _) in routes.iter() {
            assert!(document["paths"][path]["post"]["requestBody"].is_object(), "{path}");
        }
        let mut references = Vec::new();
        collect_references(&document, &mut references);
        assert!(references.len() > routes.iter().count());
        for reference in references {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }

    #[test]
    fn fields_have_the_types_they_have_in_json() {
        let document = document(&Routes::load().unwrap());
        let range = &document["components"]["schemas"]["etcdserverpb.RangeRequest"]["properties"];
        assert_eq!(range["key"], json!({ "type": "string", "format": "byte" }));
        assert_eq!(
            range["limit"],
            json!({ "type": "string", "format": "int64", "description": "Largest number of pairs to return, 0 for all." })
        );
        assert_eq!(range["sort_order"]["$ref"], "#/components/schemas/etcdserverpb.RangeRequest.SortOrder");
        let order = &document["components"]["schemas"]["etcdserverpb.RangeRequest.SortOrder"];
        assert_eq!(order["enum"], json!(["NONE", "ASCEND", "DESCEND"]));
    }

    #[test]
    fn ids_of_operations_are_unique() {
        let document = document(&Routes::load().unwrap());
        let paths = document["paths"].as_object().unwrap();
        let ids: BTreeSet<&str> = paths.values().map(|path| path["post"]["operationId"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), paths.len());
    }
}
