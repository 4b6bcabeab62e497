//! Does what a plan says: [`membership`] its one step, [`mod@ensure`] what is always to be there, both by [`objects`]; [`auth`] a change of
//! users and roles.

mod auth;
mod ensure;
mod membership;
mod objects;
mod refusal;

pub use auth::change as change_auth;
pub use ensure::{ensure_all, keep_pod_monitor, of_pod};
pub use membership::{Error, leader, perform};
pub use objects::{Error as ObjectsError, FIELD_MANAGER, Objects, apply, delete, ensure, gone, would_grow, would_take};
pub use refusal::{Refusals, is_refusal, sentence};
