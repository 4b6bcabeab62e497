//! Which image members may run.

use crate::desired;
use crate::observe::{Etcd, World, pod};

/// What members are made with.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    pub image: String,
    /// Why it isn't the one that the resource asks for.
    pub refusal: Option<String>,
}

/// The image that the resource asks for, or the one before if its version may not follow. Versions rise by one minor at a time, as
/// etcd's upgrade guide has it, and never fall below the minor that the oldest member has.
pub fn choose(world: &World) -> Choice {
    let asked = desired::pod::image(&world.cluster, &world.default_image);
    let Some(refusal) = refuse(world, &asked) else { return Choice { image: asked, refusal: None } };
    let before = served(world).or_else(|| world.cluster.status.as_ref()?.image.clone());
    Choice { image: before.unwrap_or(asked), refusal: Some(refusal) }
}

/// The image that most members serve with.
fn served(world: &World) -> Option<String> {
    let Etcd::Seen(view) = &world.etcd else { return None };
    let serving = world.members.iter().filter(|member| member.row(&view.rows).is_some_and(|row| view.is_ready(row.id)));
    let mut images: Vec<String> = serving.filter_map(|member| pod::image(member.pod.as_ref()?)).collect();
    images.sort();
    let most = images.chunk_by(|one, other| one == other).max_by_key(|same| same.len())?;
    most.first().cloned()
}

fn refuse(world: &World, image: &str) -> Option<String> {
    let wanted = wanted(world, image)?;
    let running = running(world)?;
    if wanted.major != running.major || wanted.minor < running.minor {
        return Some(format!(
            "spec.version {wanted} is below the {running} that members run, and data can't go back by it; ask for {}.{} or newer, or \
             restore a backup into another cluster",
            running.major, running.minor
        ));
    }
    (wanted.minor > running.minor + 1).then(|| {
        format!(
            "spec.version {wanted} is more than one minor above the {running} that members run; ask for {}.{} first",
            running.major,
            running.minor + 1
        )
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    major: u32,
    minor: u32,
    patch: u32,
}

impl std::fmt::Display for Version {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

fn parse(text: &str) -> Option<Version> {
    let mut numbers = text.split('.').map(str::parse);
    let version = Version { major: numbers.next()?.ok()?, minor: numbers.next()?.ok()?, patch: numbers.next()?.ok()? };
    numbers.next().is_none().then_some(version)
}

/// The tag of its image if that begins with a version of etcd, since that is what runs, or what the resource says. Of other images nothing
/// is known beforehand.
fn wanted(world: &World, image: &str) -> Option<Version> {
    let tag = image.rsplit_once(':').and_then(|(_, tag)| release(tag)).filter(|version| version.major == 3);
    tag.or_else(|| parse(world.cluster.spec.version.as_ref()?))
}

/// Of a tag such as `v3.7.3` or `3.7.3-amd64`.
fn release(tag: &str) -> Option<Version> {
    let numbers = tag.strip_prefix('v').unwrap_or(tag);
    let end = numbers.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(numbers.len());
    parse(numbers.get(..end)?)
}

/// The oldest among the members.
fn running(world: &World) -> Option<Version> {
    let seen = match &world.etcd {
        Etcd::Seen(view) => view.answers.values().filter_map(|answer| parse(&answer.version)).min(),
        Etcd::Nobody | Etcd::Silent(_) => None,
    };
    seen.or_else(|| parse(world.cluster.status.as_ref()?.version.as_ref()?))
}
