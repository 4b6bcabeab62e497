//! Messages as JSON schemas: what the gateway takes in requests, and what it writes in replies.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

/// The answer of a call that failed.
pub const FAILURE: &str = "Error";
/// Numbers as text: without zeros before them, as in JSON.
const INTEGER: &str = "^(0|-?[1-9][0-9]*)$";
const UNSIGNED: &str = "^(0|[1-9][0-9]*)$";

pub fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

pub fn describe(schema: &mut Map<String, Value>, comment: Option<String>) {
    if let Some(comment) = comment {
        schema.insert("description".to_owned(), comment.into());
    }
}

/// What stands before a definition, in one line.
pub fn comment(file: &FileDescriptor, path: &[i32]) -> Option<String> {
    let source = file.file_descriptor_proto().source_code_info.as_ref()?;
    let location = source.location.iter().find(|location| location.path == path)?;
    let words: Vec<&str> = location.leading_comments.as_deref()?.split_whitespace().collect();
    Some(words.join(" "))
}

/// A reader takes more than a writer writes: numbers in both forms, `null` for what is left out, names that it doesn't know.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Read,
    Written,
}

/// The messages and enums that operations refer to, and those that these refer to.
#[derive(Default)]
pub struct Schemas {
    seen: BTreeSet<String>,
    by_name: BTreeMap<String, Value>,
}

impl Schemas {
    /// All inputs come before the first output: what is both is described as what is read.
    pub fn add_input(&mut self, message: &MessageDescriptor) {
        self.add(message, Side::Read);
    }

    pub fn add_output(&mut self, message: &MessageDescriptor) {
        self.add(message, Side::Written);
    }

    fn add(&mut self, message: &MessageDescriptor, side: Side) {
        if !self.seen.insert(message.full_name().to_owned()) {
            return;
        }
        let mut properties = Map::new();
        for field in message.fields() {
            match field.kind() {
                Kind::Message(inner) => self.add(&inner, side),
                Kind::Enum(inner) => self.add_enum(&inner),
                _ => {}
            }
            properties.insert(field.name().to_owned(), property(&field, side));
        }
        let mut schema = Map::new();
        schema.insert("type".to_owned(), "object".into());
        describe(&mut schema, comment(&message.parent_file(), message.path()));
        schema.insert("properties".to_owned(), properties.into());
        let pairs = exclusive(message);
        if !pairs.is_empty() {
            schema.insert("not".to_owned(), json!({ "anyOf": pairs }));
        }
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

    pub fn finish(mut self) -> Value {
        let failure = json!({
            "type": "object",
            "properties": {
                "code": { "type": "integer", "format": "int32", "description": "Of gRPC.", "minimum": 1, "maximum": 16 },
                "message": { "type": "string" },
            },
            "required": ["code", "message"],
            "additionalProperties": false,
        });
        self.by_name.insert(FAILURE.to_owned(), failure);
        Value::Object(self.by_name.into_iter().collect())
    }
}

/// The pairs of fields of which a message has one; `null` is none.
fn exclusive(message: &MessageDescriptor) -> Vec<Value> {
    let given = || json!({ "not": { "type": "null" } });
    let mut pairs = Vec::new();
    for oneof in message.oneofs() {
        let names: Vec<String> = oneof.fields().map(|field| field.name().to_owned()).collect();
        for (at, one) in names.iter().enumerate() {
            let other = names.iter().skip(at + 1);
            pairs.extend(
                other.map(
                    |other| json!({ "required": [one, other], "properties": { (one): given(), (other): given() } }),
                ),
            );
        }
    }
    pairs
}

fn property(field: &FieldDescriptor, side: Side) -> Value {
    let one = value(&field.kind(), side);
    let mut schema = match (field.is_list(), side) {
        (true, Side::Read) => json!({ "type": ["array", "null"], "items": one }),
        (true, Side::Written) => json!({ "type": "array", "items": one }),
        (false, Side::Read) => or_null(one),
        (false, Side::Written) => one,
    };
    if let Value::Object(schema) = &mut schema {
        describe(schema, comment(&field.parent_file(), field.path()));
    }
    schema
}

fn value(kind: &Kind, side: Side) -> Value {
    match kind {
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::String => json!({ "type": "string" }),
        Kind::Bytes => json!({ "type": "string", "format": "byte" }),
        Kind::Double => json!({ "type": "number", "format": "double" }),
        Kind::Float => json!({ "type": "number", "format": "float" }),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            json!({ "type": "integer", "format": "int32", "minimum": i32::MIN, "maximum": i32::MAX })
        }
        Kind::Uint32 | Kind::Fixed32 => {
            json!({ "type": "integer", "format": "uint32", "minimum": 0, "maximum": u32::MAX })
        }
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => large("int64", INTEGER, i64::MIN.into(), i64::MAX.into(), side),
        Kind::Uint64 | Kind::Fixed64 => large("uint64", UNSIGNED, 0.into(), u64::MAX.into(), side),
        Kind::Message(message) => reference(message.full_name()),
        Kind::Enum(kind) => match side {
            Side::Read => json!({ "anyOf": [
                reference(kind.full_name()),
                { "type": "integer", "format": "int32", "minimum": i32::MIN, "maximum": i32::MAX },
                { "type": "string", "description": "Unknown names are ignored." },
            ] }),
            Side::Written => reference(kind.full_name()),
        },
    }
}

/// Written as text, because JavaScript's numbers have 53 bits.
fn large(format: &str, pattern: &str, minimum: Value, maximum: Value, side: Side) -> Value {
    match side {
        Side::Read => json!({
            "type": ["string", "integer"], "format": format, "pattern": pattern, "minimum": minimum, "maximum": maximum,
        }),
        Side::Written => json!({ "type": "string", "format": format, "pattern": pattern }),
    }
}

fn or_null(mut schema: Value) -> Value {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.push("null".into());
    } else if let Some(one) = schema.get_mut("type") {
        *one = json!([one.take(), "null"]);
    } else if let Some(Value::Array(kinds)) = schema.get_mut("anyOf") {
        kinds.push(json!({ "type": "null" }));
    } else {
        return json!({ "anyOf": [schema, { "type": "null" }] });
    }
    schema
}
