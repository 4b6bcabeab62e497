//! The reply to a transaction, made of the replies of its operations.

use prost::Message;
use quorate_proto::etcdserverpb::{ResponseOp, TxnResponse, response_op::Response};

use super::{Json, Object, Reply, Style, Text, header};

impl Reply for TxnResponse {
    fn simple(&self, style: Style) -> Text {
        let mut out = Text::new();
        out.line(if self.succeeded { "SUCCESS" } else { "FAILURE" });
        for operation in &self.responses {
            out.line("");
            match &operation.response {
                Some(Response::ResponseRange(reply)) => out.append(reply.simple(style)),
                Some(Response::ResponsePut(reply)) => out.append(reply.simple(style)),
                Some(Response::ResponseDeleteRange(reply)) => out.append(reply.simple(style)),
                Some(Response::ResponseTxn(reply)) => out.append(reply.simple(style)),
                None => out.line("unexpected response without content"),
            }
        }
        out
    }

    fn fields(&self, style: Style) -> Option<Text> {
        let mut out = Text::new();
        header::fields(self.header.as_ref(), style.hex, &mut out);
        out.field("Succeeded", self.succeeded);
        for operation in &self.responses {
            let fields = match &operation.response {
                Some(Response::ResponseRange(reply)) => reply.fields(style),
                Some(Response::ResponsePut(reply)) => reply.fields(style),
                Some(Response::ResponseDeleteRange(reply)) => reply.fields(style),
                Some(Response::ResponseTxn(reply)) => reply.fields(style),
                None => None,
            };
            match fields {
                Some(fields) => out.append(fields),
                None => out.quoted_field("Unknown", b"response without content"),
            }
        }
        Some(out)
    }

    fn json(&self, style: Style) -> Option<Json> {
        let operations: Vec<Object> = self
            .responses
            .iter()
            .map(|operation| Object::new().always("Response", operation_object(operation, style)))
            .collect();
        let object = header::object_with(self.header.as_ref())
            .nonzero("succeeded", self.succeeded)
            .nonzero("responses", operations);
        Some(object.into())
    }

    fn protobuf(&self) -> Option<Vec<u8>> {
        Some(self.encode_to_vec())
    }
}

fn operation_object(operation: &ResponseOp, style: Style) -> Object {
    let object = Object::new();
    match &operation.response {
        Some(Response::ResponseRange(reply)) => object.always("response_range", reply.json(style)),
        Some(Response::ResponsePut(reply)) => object.always("response_put", reply.json(style)),
        Some(Response::ResponseDeleteRange(reply)) => object.always("response_delete_range", reply.json(style)),
        Some(Response::ResponseTxn(reply)) => object.always("response_txn", reply.json(style)),
        None => object,
    }
}
