//! Standard output.

use std::io::Write as _;

use crate::Error;

pub fn line(text: &str) -> Result<(), Error> {
    self::text(&format!("{text}\n"))
}

pub fn text(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Error::Output)
}
