//! Users, roles and what they may do. A function of the log, but for [`Tokens`], which are in memory only, as etcd's.

mod caller;
mod refusal;
mod registry;
mod rights;
mod tokens;

pub use caller::Caller;
pub use refusal::Refusal;
pub use registry::{ROOT, Registry};
pub use tokens::Tokens;

pub(in crate::store) use registry::row;
pub(in crate::store) use rights::is_grantable;
