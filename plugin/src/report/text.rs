//! The report as one screen.

use comfy_table::{ContentArrangement, Table, presets};
use jiff::Timestamp;

use super::contents::{Happened, Member, Report, Volume};
use super::{amount, certificate::Certificate};

/// Letters of an event's message.
const MESSAGE_LIMIT: usize = 100;
/// What isn't known.
const NONE: &str = "-";

/// For a screen of its own: sections that are empty are left out.
pub fn text(report: &Report) -> String {
    let now = report.now.0;
    let mut sections = vec![head(report)];
    let mut section = |title: &str, header: &[&str], rows: Vec<Vec<String>>| {
        if !rows.is_empty() {
            sections.push(format!("{title}\n{}", table(header, rows)));
        }
    };
    let conditions = report.conditions.iter().map(|condition| {
        let since = amount::age(condition.last_transition_time.0, now);
        [&condition.type_, &condition.status, &condition.reason, &since].map(String::clone).to_vec()
    });
    section("Not as it should be", &["CONDITION", "STATUS", "REASON", "FOR"], conditions.collect());
    let header = ["NAME", "ID", "ROLE", "READY", "VERSION", "DB", "LAG", "RESTARTS", "NODE", "VOLUME", "SIZE"];
    section("Members", &header, report.members.iter().map(member).collect());
    let said = report.members.iter().filter_map(|member| Some(vec![member.name.clone(), member.message.clone()?]));
    section("Members with something to say", &["NAME", "MESSAGE"], said.collect());
    let certificates = report.certificates.iter().map(|one| certificate(one, now));
    section("Certificates", &["SECRET", "ENDS"], certificates.collect());
    let volumes = report.unused_volumes.iter().map(|one| unused(one, now));
    section("Volumes that nobody uses", &["NAME", "STATUS", "SIZE", "AGE"], volumes.collect());
    let events = report.events.iter().map(|one| event(one, now));
    section("Last events", &["AGE", "TYPE", "OBJECT", "REASON", "MESSAGE"], events.collect());
    if !report.notes.is_empty() {
        sections.push(report.notes.iter().map(|note| format!("Note: {note}\n")).collect());
    }
    sections.join("\n")
}

fn head(report: &Report) -> String {
    let now = report.now.0;
    let phase = report.phase.map_or_else(|| "Unknown".to_owned(), |phase| format!("{phase:?}"));
    let mut text = format!("{}/{}: {phase}\n  {}\n", report.namespace, report.name, report.message);
    if report.is_behind {
        text += "  The operator has not seen the last change of the resource yet.\n";
    }
    let doing = report.step.as_ref().map(|step| {
        let member = step.member.as_ref().map(|member| format!(" {member}")).unwrap_or_default();
        // What it is for is mostly said above.
        let reason = if step.reason == report.message { String::new() } else { format!(": {}", step.reason) };
        format!("{}{member} for {}{reason}", step.kind, amount::age(step.since.0, now))
    });
    let recovery = report.recovery.as_ref().map(|recovery| {
        let (age, number, survivor) = (amount::age(recovery.started.0, now), recovery.number, &recovery.survivor);
        let state = if recovery.is_done { "ago" } else { "ago, under way" };
        format!("number {number}, from the data of {survivor}, {age} {state}")
    });
    let version = report.version.as_ref().map(|version| match &report.image {
        Some(image) => format!("{version} ({image})"),
        None => version.clone(),
    });
    let clients = report.client_endpoint.as_ref().map(|endpoint| match &report.client_secret {
        Some(secret) => format!("{endpoint} with the certificate in Secret {secret}"),
        None => endpoint.clone(),
    });
    let rows = [
        ("Doing", doing),
        ("Ready", Some(report.ready.clone())),
        ("Leader", report.leader.clone()),
        ("Version", version),
        ("Clients", clients),
        ("Quota", report.quota_bytes.map(amount::size)),
        ("Recovery", recovery),
        ("Id", report.cluster_id.clone()),
        ("Age", report.created.as_ref().map(|time| amount::age(time.0, now))),
    ];
    text.push('\n');
    for (name, value) in rows {
        if let Some(value) = value {
            text += &format!("  {name:<10}{value}\n");
        }
    }
    text
}

fn member(member: &Member) -> Vec<String> {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| NONE.to_owned());
    let volume = member.volume.as_ref();
    let size = volume.map(|volume| match (&volume.size, &volume.wanted_size) {
        (Some(size), Some(wanted)) => format!("{size}, {wanted} asked for"),
        (Some(size), None) => size.clone(),
        (None, _) => volume.phase.clone(),
    });
    vec![
        member.name.clone(),
        or_none(member.id.clone()),
        or_none(member.role.map(|role| format!("{role:?}"))),
        if member.ready { "yes" } else { "no" }.to_owned(),
        or_none(member.version.clone()),
        or_none(member.database_bytes.map(amount::size).or_else(|| member.database_size.clone())),
        or_none(member.lag.map(|lag| lag.to_string())),
        or_none(member.restarts.map(|restarts| restarts.to_string())),
        or_none(member.node.clone()),
        or_none(volume.map(|volume| volume.name.clone())),
        or_none(size),
    ]
}

fn certificate(certificate: &Certificate, now: Timestamp) -> Vec<String> {
    vec![certificate.secret.clone(), amount::end(certificate.ends.0, now)]
}

fn unused(volume: &Volume, now: Timestamp) -> Vec<String> {
    let age = volume.created.as_ref().map(|time| amount::age(time.0, now));
    let or_none = |text: Option<String>| text.unwrap_or_else(|| NONE.to_owned());
    vec![volume.name.clone(), volume.phase.clone(), or_none(volume.size.clone()), or_none(age)]
}

fn event(event: &Happened, now: Timestamp) -> Vec<String> {
    let mut age = event.time.as_ref().map_or_else(|| NONE.to_owned(), |time| amount::age(time.0, now));
    if event.count > 1 {
        age += &format!(" (x{})", event.count);
    }
    let line: String = event.message.split_whitespace().collect::<Vec<_>>().join(" ");
    let message = match line.char_indices().nth(MESSAGE_LIMIT) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    };
    vec![age, event.type_.clone(), event.object.clone(), event.reason.clone(), message]
}

/// Columns without lines, as kubectl has them.
fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt().lines().map(|line| format!("  {line}\n")).collect()
}
