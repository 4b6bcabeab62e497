//! Waiting on conditions. Nothing in the tests sleeps for a fixed time.

use std::time::{Duration, Instant};

use crate::Error;

/// Time between two looks at a condition.
const STEP: Duration = Duration::from_millis(20);

/// What one look at a condition found.
pub enum Look<T> {
    /// It holds.
    Yes(T),
    /// Not yet; the text goes into the error when time runs out.
    NotYet(String),
}

/// Looks until the condition holds, at most for `limit`. An error of the look itself ends the wait.
pub async fn until<T>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> Result<Look<T>, Error>,
) -> Result<T, Error> {
    let start = Instant::now();
    loop {
        let last = match look().await? {
            Look::Yes(value) => return Ok(value),
            Look::NotYet(last) => last,
        };
        if start.elapsed() >= limit {
            return Err(Error::TooLate { what: what.to_owned(), waited_ms: start.elapsed().as_millis(), last });
        }
        tokio::time::sleep(STEP).await;
    }
}
