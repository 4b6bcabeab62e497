//! Which path is which method: the `google.api.http` options of the protocol's definitions.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use http::uri::PathAndQuery;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor, Value};

/// The option's name and the names of its fields that are read.
const RULE: &str = "google.api.http";
const POST: &str = "post";
const OTHER_PATHS: &str = "additional_bindings";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the protocol's descriptors can't be read")]
    Descriptors(#[from] prost_reflect::DescriptorError),
    #[error("the protocol's descriptors lack the option {RULE}")]
    NoRules,
    #[error("{0} is no method's path")]
    Path(String),
}

/// A method.
#[derive(Debug)]
pub struct Route {
    pub method: MethodDescriptor,
    /// Of the gRPC request.
    pub grpc_path: PathAndQuery,
}

impl Route {
    fn new(method: MethodDescriptor) -> Result<Self, Error> {
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        match PathAndQuery::try_from(&path) {
            Ok(grpc_path) => Ok(Self { method, grpc_path }),
            Err(_) => Err(Error::Path(path)),
        }
    }

    pub fn input(&self) -> MessageDescriptor {
        self.method.input()
    }

    pub fn output(&self) -> MessageDescriptor {
        self.method.output()
    }
}

/// Every method by its paths.
#[derive(Debug)]
pub struct Routes(BTreeMap<String, Arc<Route>>);

impl Routes {
    /// Those of etcd's API.
    pub fn load() -> Result<Self, Error> {
        let pool = DescriptorPool::decode(quorate_proto::DESCRIPTORS)?;
        let rule = pool.get_extension_by_name(RULE).ok_or(Error::NoRules)?;
        let mut routes = BTreeMap::new();
        for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
            let options = method.options();
            if !options.has_extension(&rule) {
                continue;
            }
            let route = Arc::new(Route::new(method)?);
            let mut paths = Vec::new();
            collect_paths(&options.get_extension(&rule), &mut paths);
            routes.extend(paths.into_iter().map(|path| (path, Arc::clone(&route))));
        }
        Ok(Self(routes))
    }

    pub fn find(&self, path: &str) -> Option<&Arc<Route>> {
        self.0.get(path)
    }

    /// By path, in the order of the alphabet.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Route)> {
        self.0.iter().map(|(path, route)| (path.as_str(), route.as_ref()))
    }
}

fn collect_paths(rule: &Value, paths: &mut Vec<String>) {
    let Some(rule) = rule.as_message() else { return };
    let field = |name: &str| -> Option<Cow<'_, Value>> { DynamicMessage::get_field_by_name(rule, name) };
    paths.extend(field(POST).and_then(|path| path.as_str().map(str::to_owned)).filter(|path| !path.is_empty()));
    if let Some(others) = field(OTHER_PATHS) {
        for other in others.as_list().unwrap_or_default() {
            collect_paths(other, paths);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn a_path_leads_to_its_method_and_an_alias_to_the_same() {
        let routes = Routes::load().unwrap();
        for (path, method) in [
            ("/v3/kv/range", "/etcdserverpb.KV/Range"),
            ("/v3/lease/revoke", "/etcdserverpb.Lease/LeaseRevoke"),
            ("/v3/kv/lease/revoke", "/etcdserverpb.Lease/LeaseRevoke"),
            ("/v3/maintenance/transfer-leadership", "/etcdserverpb.Maintenance/MoveLeader"),
            ("/v3/lock/lock", "/v3lockpb.Lock/Lock"),
            ("/v3/election/observe", "/v3electionpb.Election/Observe"),
        ] {
            assert_eq!(routes.find(path).unwrap().grpc_path, method);
        }
        assert!(routes.find("/v3/kv/rangestream").is_none());
    }

    /// RangeStream came with etcd 3.7, whose gateway leaves it out.
    #[test]
    fn every_method_has_a_path_but_range_stream() {
        let routes = Routes::load().unwrap();
        let pool = DescriptorPool::decode(quorate_proto::DESCRIPTORS).unwrap();
        let has_path =
            |method: &MethodDescriptor| routes.iter().any(|(_, route)| route.method.full_name() == method.full_name());
        let methods: Vec<MethodDescriptor> =
            pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()).collect();
        let without: Vec<&str> =
            methods.iter().filter(|&method| !has_path(method)).map(MethodDescriptor::name).collect();
        assert_eq!(without, ["RangeStream"]);
    }

    #[test]
    fn every_route_has_counters() {
        let metrics = Metrics::new(false);
        for (path, route) in Routes::load().unwrap().iter() {
            assert!(metrics.rpcs.get(route.grpc_path.as_str()).is_some(), "{path}");
        }
    }
}
