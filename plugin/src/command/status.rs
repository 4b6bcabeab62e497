//! `status`: a cluster on one screen.

use std::time::Duration;

use super::say;
use crate::Error;
use crate::access::Access;
use crate::arguments::Output;
use crate::observe::found;
use crate::report::{report, text};

/// Between two drawings.
const STEP: Duration = Duration::from_secs(2);
/// Clears a terminal and begins at its top.
const CLEAR: &str = "\x1b[H\x1b[2J";

pub async fn run(access: &Access, name: &str, output: Output, watch: bool) -> Result<(), Error> {
    loop {
        let report = report(&found::read(access, name).await?);
        let text = match output {
            Output::Text => text::text(&report),
            Output::Json => format!("{}\n", serde_json::to_string_pretty(&report).map_err(Error::Json)?),
        };
        if !watch {
            return say::text(&text);
        }
        say::text(&format!("{CLEAR}{text}"))?;
        tokio::time::sleep(STEP).await;
    }
}
