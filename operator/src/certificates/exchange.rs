//! The order in which the Secrets of a cluster get what they are to have: pure.
//!
//! Nobody may be shown a certificate that it doesn't trust, and who reads a changed Secret when is not known. So authorities come first: all
//! trust the old and the new. When every member has proved that it does, certificates follow; and when every member shows its new one,
//! the old authorities go. What was interrupted is found again in the Secrets themselves.

use jiff::{SignedDuration, Timestamp};

use super::material::Trust;

/// A Secret that members or clients read.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    pub secret: String,
    /// Members trust each other in one way, and clients in another.
    pub is_of_peers: bool,
    pub has: Option<Has>,
    /// What it is to trust.
    pub trust: Trust,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Has {
    pub trust: Trust,
    /// Its certificate is the wanted one.
    pub is_wanted: bool,
}

/// What only members can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Does each accept a wanted certificate?
    Accepts,
    /// Does each show its wanted certificate?
    Shows,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    pub secret: String,
    /// The wanted certificate; otherwise the one that it has stays.
    pub takes_wanted: bool,
    pub trust: Trust,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    Settled,
    Write(Vec<Write>),
    /// Nothing is written before all members say yes.
    Ask(Question),
    /// Clients have until then to read what was written.
    Wait(Timestamp),
}

/// `changed`: when trust was last written. `agreed`: to what all members have said yes by now.
pub fn next(
    places: &[Place],
    changed: Option<Timestamp>,
    grace: SignedDuration,
    now: Timestamp,
    agreed: Option<Question>,
) -> Next {
    let missing = places.iter().filter(|place| place.has.is_none());
    let missing: Vec<Write> = missing.map(|place| write(place, true, others(places, place))).collect();
    if !missing.is_empty() {
        return Next::Write(missing);
    }
    let found: Vec<(&Place, &Has)> =
        places.iter().filter_map(|place| place.has.as_ref().map(|has| (place, has))).collect();
    let narrow: Vec<Write> = found
        .iter()
        .filter(|(place, has)| !has.trust.contains(&place.trust))
        .map(|(place, has)| write(place, has.is_wanted, has.trust.with(&place.trust)))
        .collect();
    if !narrow.is_empty() {
        return Next::Write(narrow);
    }
    let has_old = found.iter().any(|(place, has)| has.trust != place.trust);
    let unshown: Vec<Write> = found
        .iter()
        .filter(|(_, has)| !has.is_wanted)
        .map(|(place, has)| write(place, true, has.trust.clone()))
        .collect();
    if !has_old {
        return if unshown.is_empty() { Next::Settled } else { Next::Write(unshown) };
    }
    let question = if unshown.is_empty() { Question::Shows } else { Question::Accepts };
    if let Some(end) = changed.map(|changed| changed + grace).filter(|end| *end > now) {
        return Next::Wait(end);
    }
    if agreed != Some(question) {
        return Next::Ask(question);
    }
    if !unshown.is_empty() {
        return Next::Write(unshown);
    }
    let wide = found.iter().filter(|(place, has)| has.trust != place.trust);
    Next::Write(wide.map(|(place, _)| write(place, true, place.trust.clone())).collect())
}

fn write(place: &Place, takes_wanted: bool, trust: Trust) -> Write {
    Write { secret: place.secret.clone(), takes_wanted, trust }
}

/// One that is lost in the middle trusts whom the others of its kind do.
fn others(places: &[Place], lost: &Place) -> Trust {
    let kin = places.iter().filter(|place| place.is_of_peers == lost.is_of_peers);
    kin.filter_map(|place| place.has.as_ref()).fold(lost.trust.clone(), |trust, has| trust.with(&has.trust))
}
