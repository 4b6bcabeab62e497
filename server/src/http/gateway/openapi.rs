//! The gateway described as OpenAPI 3.1, made of the descriptors that it runs on: paths, messages, and their comments.

use serde_json::{Map, Value, json};

use super::route::{Route, Routes};
use super::schema::{FAILURE, Schemas, comment, describe, reference};

const JSON: &str = "application/json";
/// Services that call others inside the server pass on their texts without their codes, as etcd's do; and an action that
/// `Downgrade` doesn't know, or a hash of a password that isn't base64, has no code in etcd either.
const WITHOUT_CODES: [&str; 4] = [
    "v3lockpb.Lock.",
    "v3electionpb.Election.",
    "etcdserverpb.Maintenance.Downgrade",
    "etcdserverpb.Auth.UserChangePassword",
];

pub fn document(routes: &Routes) -> Value {
    let mut schemas = Schemas::default();
    let paths: Map<String, Value> =
        routes.iter().map(|(path, route)| (path.to_owned(), json!({ "post": operation(path, route) }))).collect();
    routes.iter().for_each(|(_, route)| schemas.add_input(&route.input()));
    routes.iter().for_each(|(_, route)| schemas.add_output(&route.output()));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Quorate",
            "description": "Calls of etcd's API in JSON. Another method than POST is answered with 501.",
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
    operation.insert("responses".to_owned(), responses(method.full_name(), reply).into());
    operation.into()
}

/// What a call may be answered with. A failure of the server itself is none of these.
fn responses(method: &str, reply: Value) -> Map<String, Value> {
    let failures = [
        ("400", "The request is none, or can't be done as things are."),
        ("401", "The token is not valid, or no longer."),
        ("403", "The user may not do this."),
        ("404", "What the request is about is not there."),
        ("429", "Too much at once, or no space left."),
        ("503", "No leader, no quorum, or the member is stopping."),
        ("504", "The time that the client gave has passed."),
        ("default", "The server failed."),
    ];
    let refused = WITHOUT_CODES.iter().any(|prefix| method.starts_with(prefix));
    let refused = refused.then_some(("500", "The call was refused; the text says why."));
    let failures = failures.into_iter().chain(refused);
    let mut responses: Map<String, Value> = failures
        .map(|(code, why)| (code.to_owned(), json!({ "description": why, "content": content(reference(FAILURE)) })))
        .collect();
    responses.insert("200".to_owned(), json!({ "description": "The reply.", "content": content(reply) }));
    responses
}

fn content(schema: Value) -> Value {
    json!({ JSON: { "schema": schema } })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

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
        assert_eq!(range["key"]["type"], json!(["string", "null"]));
        assert_eq!(range["key"]["format"], "byte");
        let limit = &range["limit"];
        assert_eq!(limit["description"], "Largest number of pairs to return, 0 for all.");
        assert_eq!(limit["type"], json!(["string", "integer", "null"]));
        assert_eq!((&limit["minimum"], &limit["maximum"]), (&i64::MIN.into(), &i64::MAX.into()));
        assert_eq!(range["sort_order"]["anyOf"][0]["$ref"], "#/components/schemas/etcdserverpb.RangeRequest.SortOrder");
        let order = &document["components"]["schemas"]["etcdserverpb.RangeRequest.SortOrder"];
        assert_eq!(order["enum"], json!(["NONE", "ASCEND", "DESCEND"]));
    }

    /// Replies are described as they are written: `null` and numbers in other forms are what requests may have.
    #[test]
    fn a_reply_has_numbers_as_text_and_no_nulls() {
        let document = document(&Routes::load().unwrap());
        let header = &document["components"]["schemas"]["etcdserverpb.ResponseHeader"]["properties"];
        assert_eq!(header["cluster_id"]["type"], "string");
        assert_eq!(header["cluster_id"]["pattern"], "^(0|[1-9][0-9]*)$");
        let range = &document["components"]["schemas"]["etcdserverpb.RangeResponse"]["properties"];
        assert_eq!(range["header"]["$ref"], "#/components/schemas/etcdserverpb.ResponseHeader");
    }

    #[test]
    fn of_a_oneof_there_is_one() {
        let document = document(&Routes::load().unwrap());
        let operation = &document["components"]["schemas"]["etcdserverpb.RequestOp"];
        let pairs = operation["not"]["anyOf"].as_array().unwrap();
        assert_eq!(pairs.len(), 6, "of four fields");
        assert_eq!(pairs[0]["required"], json!(["request_range", "request_put"]));
    }

    #[test]
    fn calls_whose_refusals_have_no_code_are_refused_with_500_and_no_others() {
        let document = document(&Routes::load().unwrap());
        for (path, item) in document["paths"].as_object().unwrap() {
            let without_code = ["/v3/lock/", "/v3/election/", "/v3/maintenance/downgrade", "/v3/auth/user/changepw"];
            let without_code = without_code.iter().any(|prefix| path.starts_with(prefix));
            assert_eq!(item["post"]["responses"]["500"].is_object(), without_code, "{path}");
        }
    }

    #[test]
    fn ids_of_operations_are_unique() {
        let document = document(&Routes::load().unwrap());
        let paths = document["paths"].as_object().unwrap();
        let ids: BTreeSet<&str> = paths.values().map(|path| path["post"]["operationId"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), paths.len());
    }
}
