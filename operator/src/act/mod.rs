//! Does what a plan says: [`membership`] its one step, [`mod@ensure`] what is always to be there, both by [`objects`].

mod ensure;
mod membership;
mod objects;
mod refusal;

pub use ensure::{ensure_all, keep_pod_monitor, of_pod};
pub use membership::{Error, perform};
pub use objects::{Error as ObjectsError, FIELD_MANAGER, Objects, apply, delete, ensure, gone, would_grow, would_take};
pub use refusal::{Refusals, is_refusal, sentence};
