//! What `status` says, pure: [`contents`] makes a report of what was found, [`text`] prints it for people, and serde for programs.
//! [`certificate`] reads a Secret, [`amount`] words ages and sizes.

pub mod amount;
pub mod certificate;
pub mod contents;
pub mod text;

pub use contents::{Report, report};

#[cfg(test)]
mod report_test;
