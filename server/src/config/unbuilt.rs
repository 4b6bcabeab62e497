//! What etcd has and this server does not have yet: asking for it is refused at start, by name.
//!
//! This is the only list. A part that gets built deletes its line here and nothing else changes.

use super::error::Error;

/// Flags refused when given a value other than their default, with the missing part.
const FLAGS: &[(&str, &str)] = &[("proxy", "the v2 proxy")];

/// Refuses a flag that was moved away from its default.
pub fn check_flag(name: &str) -> Result<(), Error> {
    match FLAGS.iter().find(|(flag, _)| *flag == name) {
        Some((_, what)) => Err(Error::Unbuilt { flag: name.to_owned(), what }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{legacy, table};

    #[test]
    fn every_name_is_a_flag() {
        for (name, _) in FLAGS {
            assert!(table::find(name).is_some() || legacy::find(name).is_some(), "{name}");
        }
    }
}
