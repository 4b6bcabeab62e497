//! Short digests that are kept in annotations: another one tells that what was wanted has changed.

use sha2::{Digest, Sha256};

/// The first eight bytes of its SHA-256, in hex: enough to tell, and no proof of anything.
pub fn short(text: impl AsRef<[u8]>) -> String {
    Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
