//! etcd's protocol definitions and our peer protocol: generated types, clients and servers, and nothing else.
//!
//! etcd's API comes in two views of the same files in `proto/`:
//! - the modules of the root are plain: decoded types and clients, for the tools, the tests and the file formats;
//! - [`served`] is for the server, where a key-value pair stays the bytes it was stored as ([`EncodedKeyValue`]).
//!
//! `bytes` fields are [`bytes::Bytes`] everywhere.

mod encoded_key_value;

pub use encoded_key_value::EncodedKeyValue;

/// Includes a generated package, whose style is not ours to check.
macro_rules! package {
    ($(#[$doc:meta])* $name:ident, $pass:literal, $file:literal) => {
        $(#[$doc])*
        #[allow(clippy::all, clippy::pedantic, clippy::restriction, rustdoc::all, reason = "generated")]
        pub mod $name {
            include!(concat!(env!("OUT_DIR"), "/", $pass, "/", $file, ".rs"));
        }
    };
}

package!(/** Users, roles and permissions. */ authpb, "plain", "authpb");
package!(/** etcd's API, the requests in the log, the WAL's metadata record. */ etcdserverpb, "plain", "etcdserverpb");
package!(/** Leases as stored. */ leasepb, "plain", "leasepb");
package!(/** Members and cluster versions as agreed through the log. */ membershippb, "plain", "membershippb");
package!(/** Key-value pairs and events. */ mvccpb, "plain", "mvccpb");
package!(/** What raft has on disk. */ raftpb, "plain", "raftpb");
package!(/** The `.snap` file. */ snappb, "plain", "snappb");
package!(/** Elections as a service. */ v3electionpb, "plain", "v3electionpb");
package!(/** Locks as a service. */ v3lockpb, "plain", "v3lockpb");
package!(/** Records of the WAL. */ walpb, "plain", "walpb");
package!(/** The standard health service. */ health, "both_sides", "grpc.health.v1");
package!(/** What members say to each other. */ peer, "both_sides", "quorate.peer");

/// A `FileDescriptorSet` of etcd's services: methods with their paths over HTTP, messages, and the comments on both.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/described.bin"));

/// etcd's API with servers, where `mvccpb.KeyValue` is [`EncodedKeyValue`].
pub mod served {
    package!(/** etcd's API and the requests in the log. */ etcdserverpb, "served", "etcdserverpb");
    package!(/** Events around encoded key-value pairs. */ mvccpb, "served", "mvccpb");
    package!(/** Elections as a service. */ v3electionpb, "served", "v3electionpb");
    package!(/** Locks as a service. */ v3lockpb, "served", "v3lockpb");
}
