//! The events of all revisions.

use std::collections::HashMap;
use std::time::Duration;

use etcd_client::{Client, EventType, GetOptions, WatchOptions};

use super::operation::Version;
use crate::Error;

/// The watch must have told everything up to the revision seen before within this time.
const LIMIT: Duration = Duration::from_secs(60);

/// One key's change at one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub revision: i64,
    pub key: String,
    /// `None`: deleted.
    pub value: Option<String>,
}

/// All events in the order told, and the last revision that they cover.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    pub events: Vec<Event>,
    pub revision: i64,
}

impl Committed {
    /// Reads a member's whole history of the keys with a prefix: a watch from revision 1 up to the current revision.
    /// Nothing may have been compacted.
    pub async fn read(client: &mut Client, prefix: &str) -> Result<Committed, Error> {
        let now = client
            .get(prefix, Some(GetOptions::new().with_prefix().with_count_only()))
            .await
            .map_err(Error::client("reading the current revision"))?;
        let revision = now.header().map_or(0, |header| header.revision());
        // A watch on one key beyond the prefix would not do: the last events may be elsewhere. A marker write ends it.
        let marker = format!("{prefix}~end");
        client.put(marker.as_str(), "", None).await.map_err(Error::client("writing the end marker"))?;
        let read = Self::until_marker(client, prefix, &marker);
        let events = tokio::time::timeout(LIMIT, read).await.map_err(|_| Error::TooLate {
            what: format!("the watch of all events up to revision {revision}"),
            waited_ms: LIMIT.as_millis(),
            last: "an unfinished watch".into(),
        })??;
        Ok(Committed { events, revision })
    }

    async fn until_marker(client: &mut Client, prefix: &str, marker: &str) -> Result<Vec<Event>, Error> {
        let options = WatchOptions::new().with_prefix().with_start_revision(1);
        let mut stream = client.watch(prefix, Some(options)).await.map_err(Error::client("watching"))?;
        let mut events = Vec::new();
        while let Some(response) = stream.message().await.map_err(Error::client("reading the watch"))? {
            if response.canceled() {
                return Err(Error::Answer {
                    what: "a watch from revision 1 was cancelled".into(),
                    answer: response.cancel_reason().to_owned(),
                });
            }
            for event in response.events() {
                let Some(kv) = event.kv() else { continue };
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let key = text(kv.key());
                if key == marker {
                    return Ok(events);
                }
                let value = (event.event_type() == EventType::Put).then(|| text(kv.value()));
                events.push(Event { revision: kv.mod_revision(), key, value });
            }
        }
        Err(Error::Answer { what: "the watch ended early".into(), answer: format!("{} events", events.len()) })
    }

    /// Each key's versions in order.
    pub(super) fn by_key(&self) -> Versions<'_> {
        let mut keys: HashMap<&str, Vec<&Event>> = HashMap::new();
        for event in &self.events {
            keys.entry(&event.key).or_default().push(event);
        }
        Versions { keys }
    }
}

/// Events by key, sorted by revision.
pub(super) struct Versions<'a> {
    keys: HashMap<&'a str, Vec<&'a Event>>,
}

impl Versions<'_> {
    /// The key as of a revision.
    pub(super) fn at(&self, key: &str, revision: i64) -> Option<Version> {
        let events = self.keys.get(key)?;
        let newest = events.partition_point(|event| event.revision <= revision).checked_sub(1)?;
        let event = events[newest];
        Some(Version { value: event.value.clone()?, mod_revision: event.revision })
    }
}
