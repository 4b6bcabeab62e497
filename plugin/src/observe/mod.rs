//! Reads everything that `status` shows: [`found`] the objects, [`gauges`] what the members measure.

pub mod found;
pub mod gauges;

pub use found::Found;
pub use gauges::Gauges;
