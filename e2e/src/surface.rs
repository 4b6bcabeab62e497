//! What a program offers, as it says of itself; and the page that tells where ours differs from upstream's.

use std::collections::{BTreeMap, BTreeSet};

use crate::Error;
use crate::ctl::Ctl;

/// Names of what is offered, and what is known of each. Empty: that it is there.
pub type Surface = BTreeMap<String, String>;

/// The server's flags with their defaults, from its help.
pub fn flags(help: &str) -> Surface {
    let flag = |line: &str| {
        let rest = line.strip_prefix("  --")?;
        let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let default = rest.strip_prefix('\'').and_then(|rest| rest.split_once('\'')).map(|(default, _)| default);
        Some((format!("--{name}"), default.unwrap_or_default().to_owned()))
    };
    let mut flags = Surface::new();
    for (name, default) in help.lines().filter_map(flag) {
        let known = flags.entry(name).or_default();
        if known.is_empty() {
            *known = default;
        }
    }
    flags
}

/// All commands below a program's name, with the flags of each.
pub async fn commands(ctl: &Ctl, program: &str) -> Result<Surface, Error> {
    let mut surface = Surface::new();
    let mut left = vec![Vec::<String>::new()];
    while let Some(path) = left.pop() {
        let mut arguments = path.clone();
        arguments.push("--help".to_owned());
        let help = ctl.run(&arguments).await?;
        let help = format!("{}{}", help.stdout, help.stderr);
        let name = [&[program.to_owned()], &path[..]].concat().join(" ");
        surface.extend(options(&help, &name));
        for command in subcommands(&help) {
            left.push([&path[..], &[command]].concat());
        }
        surface.insert(name, String::new());
    }
    Ok(surface)
}

/// The flags in a command's help, behind its name.
pub fn options(help: &str, name: &str) -> Surface {
    help.lines().filter_map(flag_of_command).map(|flag| (format!("{name} {flag}"), String::new())).collect()
}

/// `  -w, --write-out string   ...`, in either program's help.
fn flag_of_command(line: &str) -> Option<String> {
    let text = line.trim_start();
    if text.len() == line.len() {
        return None;
    }
    let long = match text.split_once(", ") {
        Some((short, rest)) if short.len() == 2 && short.starts_with('-') => rest,
        _ => text,
    };
    let name = long.strip_prefix("--")?;
    let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(name.len());
    (end > 0 && &name[..end] != "help").then(|| format!("--{}", &name[..end]))
}

fn subcommands(help: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut is_list = false;
    for line in help.lines() {
        let words = line.trim_end_matches(':');
        if words.ends_with("ommands") && !line.starts_with(' ') {
            is_list = true;
        } else if line.is_empty() {
            is_list = false;
        } else if is_list {
            let name = line.split_whitespace().next().filter(|name| *name != "help");
            found.extend(name.map(str::to_owned));
        }
    }
    found
}

/// Metrics with their types and the names of their labels, as far as there are samples.
pub fn metrics(scraped: &str) -> Surface {
    let mut types = BTreeMap::new();
    let mut labels: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in scraped.lines() {
        if let Some((name, type_)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            types.insert(name.to_owned(), type_.to_owned());
        } else if let Some((sample, rest)) = line.split_once('{') {
            let suffixes = ["_bucket", "_count", "_sum"];
            let base = suffixes.iter().find_map(|suffix| sample.strip_suffix(suffix));
            let name = base.filter(|base| types.contains_key(*base)).unwrap_or(sample);
            let inside = rest.rsplit_once('}').map_or("", |(inside, _)| inside);
            let names = inside.split("\",").filter_map(|pair| pair.split_once('=')).map(|(name, _)| name.to_owned());
            labels.entry(name.to_owned()).or_default().extend(names.filter(|name| name != "le"));
        }
    }
    let shown = |(name, type_): (String, String)| {
        let labels = labels.get(&name).map(|labels| labels.iter().cloned().collect::<Vec<_>>().join(","));
        let what = labels.filter(|labels| !labels.is_empty()).map_or(type_.clone(), |all| format!("{type_} by {all}"));
        (name, what)
    };
    types.into_iter().map(shown).collect()
}

/// What is not the same, by name.
pub fn differences(theirs: &Surface, ours: &Surface) -> BTreeMap<String, String> {
    let names: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
    let difference = |name: &String| match (theirs.get(name), ours.get(name)) {
        (Some(theirs), Some(ours)) if theirs.is_empty() || theirs == ours => None,
        (Some(theirs), Some(ours)) => Some(format!("{} there, {} here", quoted(theirs), quoted(ours))),
        (Some(_), None) => Some("not here".to_owned()),
        (None, _) => Some("only here".to_owned()),
    };
    names.into_iter().filter_map(|name| Some((name.clone(), difference(name)?))).collect()
}

fn quoted(text: &str) -> String {
    if text.is_empty() { "nothing".to_owned() } else { format!("`{text}`") }
}

/// What stands in a row whose reason nobody has given yet.
pub const UNEXPLAINED: &str = "?";

/// The page with the rows of one table exchanged: the lines between `<!-- name -->` and `<!-- end -->`. Reasons that it has stay.
pub fn with_table(page: &str, name: &str, differences: &BTreeMap<String, String>) -> Option<String> {
    let start = format!("<!-- {name} -->\n");
    let (before, rest) = page.split_once(&start)?;
    let (table, after) = rest.split_once("<!-- end -->")?;
    let reasons: BTreeMap<&str, &str> = table.lines().filter_map(reason).collect();
    let mut rows = String::from("| | difference | why |\n|---|---|---|\n");
    for (name, difference) in differences {
        let given = reasons.get(name.as_str()).filter(|reason| !reason.trim().is_empty());
        let reason = given.unwrap_or(&UNEXPLAINED);
        rows += &format!("| `{name}` | {difference} | {reason} |\n");
    }
    Some(format!("{before}{start}{rows}<!-- end -->{after}"))
}

fn reason(row: &str) -> Option<(&str, &str)> {
    let (name, rest) = row.strip_prefix("| `")?.split_once("` | ")?;
    let (_, reason) = rest.strip_suffix(" |")?.rsplit_once(" | ")?;
    Some((name, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surface(given: &[(&str, &str)]) -> Surface {
        given.iter().map(|(name, what)| ((*name).to_owned(), (*what).to_owned())).collect()
    }

    #[test]
    fn flags_have_their_defaults() {
        let help = "Usage:\n    --not-one of these\n\nMember:\n  --name 'default'\n    Text --of it.\n  --bare\n  --empty ''\n";
        assert_eq!(flags(help), surface(&[("--bare", ""), ("--empty", ""), ("--name", "default")]));
    }

    #[test]
    fn commands_and_their_flags_are_found_in_either_help() {
        let theirs =
            "Usage:\n  etcdctl [command]\n\nKey-value commands\n  get  Gets --it\n\nUtility commands\n  help  Help\n";
        let ours = "Usage: etcdctl [COMMAND]\n\nCommands:\n  get   Gets it\n  help  Print\n\nOptions:\n  -h, --help  Print help\n";
        assert_eq!(subcommands(theirs), subcommands(ours));
        let lines =
            ["  -w, --write-out string   set", "      --hex[=<BOOL>]", "  -h, --help", "text --no", "  text, --no"];
        let found: Vec<_> = lines.iter().filter_map(|line| flag_of_command(line)).collect();
        assert_eq!(found, ["--write-out", "--hex"]);
    }

    #[test]
    fn metrics_have_types_and_labels() {
        let scraped = "# TYPE a counter\na{x=\"1,2\",y=\"}\"} 1\n# TYPE b histogram\nb_bucket{le=\"1\"} 2\nb_sum 1\n# TYPE c gauge\nc 1\n";
        assert_eq!(metrics(scraped), surface(&[("a", "counter by x,y"), ("b", "histogram"), ("c", "gauge")]));
    }

    #[test]
    fn a_table_keeps_its_reasons_and_loses_what_is_the_same_now() {
        let theirs = surface(&[("gone", "1"), ("kept", "1"), ("same", "1")]);
        let ours = surface(&[("kept", "2"), ("new", ""), ("same", "1")]);
        let page = "before\n<!-- t -->\n| `kept` | old | a reason |\n| `same` | old | another |\n<!-- end -->\nafter\n";
        let now = with_table(page, "t", &differences(&theirs, &ours)).unwrap();
        let rows =
            "| `gone` | not here | ? |\n| `kept` | `1` there, `2` here | a reason |\n| `new` | only here | ? |\n";
        assert_eq!(
            now,
            format!("before\n<!-- t -->\n| | difference | why |\n|---|---|---|\n{rows}<!-- end -->\nafter\n")
        );
        assert_eq!(with_table("nothing of it", "t", &BTreeMap::new()), None);
    }
}
