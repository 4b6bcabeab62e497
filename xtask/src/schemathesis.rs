//! schemathesis, which tries an HTTP interface by its own description: a Python environment in the cache, pinned with hashes.

use crate::clients;
use crate::place::Place;
use crate::run::{self, Failure};

const NAME: &str = "schemathesis";

/// Builds what the cache lacks, and links it among the tools.
pub fn build(place: &Place) -> Result<(), Failure> {
    let sources = place.checkout.join("e2e").join(NAME);
    let folder = place.cache.join("tools").join(format!("{NAME}-{}", clients::key(&sources)?));
    let built = clients::complete(folder, |folder| clients::environment(place, &sources, folder))?;
    run::link(&built.join("environment/bin").join(NAME), &place.tools(), NAME)
}
