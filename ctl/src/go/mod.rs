//! The text forms of Go's standard library, which the output and the flags of etcd's tools are made of.

mod duration;
mod integer;
mod size;
mod system;

pub use duration::{format_duration, parse_duration};
pub use integer::{parse_flag_int, parse_int, parse_uint};
pub use quorate_format::go_quote::{BadQuote, quote, unquote_prefix};
pub use size::format_size;
pub use system::{error_text, signal_name};
