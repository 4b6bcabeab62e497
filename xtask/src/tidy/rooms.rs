//! Which room of the server may name which: `http -> raft -> {wal, store}`, and only `node.rs` knows all.

use super::File;

const SOURCES: &str = "server/src/";

/// A room or file at the top of the server crate, and the other rooms that it may name. What is not listed as a room
/// here (`clock`, `position`, `metrics`, …) is a leaf: every room may name it, and it may name no room but `config`.
const ROOMS: [(&str, &[&str]); 9] = [
    // `store` for reads and subscriptions, `duty` for the expiry times that a leader holds; writes pass `raft`.
    ("http", &["raft", "store", "duty", "config"]),
    ("raft", &["wal", "store", "config"]),
    ("wal", &[]),
    ("store", &[]),
    // It only proposes, and reads what to propose.
    ("duty", &["raft", "store", "config"]),
    // Prepares a data folder before any part runs, out of a foreign one too.
    ("bootstrap", &["raft", "wal", "store", "config"]),
    // Stands in front of members; it is none.
    ("proxy", &["http", "config"]),
    // A service of its own in front of a cluster, which it reaches as a proxy does.
    ("discovery", &["http", "proxy", "config"]),
    ("config", &[]),
];

/// Files that wire the parts.
const WIRING: [&str; 4] = ["node", "program", "main", "lib"];

pub(super) fn check(file: &File, breaches: &mut Vec<String>) {
    let Some(inside) = file.path.strip_prefix(SOURCES).filter(|path| path.ends_with(".rs")) else { return };
    let own = inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs");
    if WIRING.contains(&own) {
        return;
    }
    let allowed = ROOMS.iter().find(|(room, _)| *room == own).map_or(&["config"][..], |(_, allowed)| allowed);
    for (number, named) in named_modules(&file.text) {
        let is_room = named == "node" || ROOMS.iter().any(|(room, _)| *room == named);
        if is_room && named != own && !allowed.contains(&named.as_str()) {
            breaches.push(format!("{}:{number}: `{own}` must not know `{named}`", file.path));
        }
    }
}

/// Line and name of every module after `crate::` in the code, also in braces: `use crate::{clock, raft::Handle};`.
fn named_modules(text: &str) -> Vec<(usize, String)> {
    let code: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap_or(line)).collect();
    let code = code.join("\n");
    let mut named = Vec::new();
    for (at, path) in code.match_indices("crate::") {
        let number = code[..at].matches('\n').count() + 1;
        let rest = &code[at + path.len()..];
        match rest.strip_prefix('{') {
            Some(list) => named.extend(top_of_list(list).map(|item| (number, first_name(item.trim()).to_owned()))),
            None => named.push((number, first_name(rest).to_owned())),
        }
    }
    named
}

/// The items of a list in braces, without what their own braces hold, up to the brace that ends the list.
fn top_of_list(list: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    let end = list.find(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        depth < 0
    });
    let mut depth = 0;
    list[..end.unwrap_or(list.len())].split(move |c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    })
}

fn first_name(path: &str) -> &str {
    path.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches(path: &str, text: &str) -> Vec<String> {
        let mut breaches = Vec::new();
        check(&File { path: path.into(), text: text.into() }, &mut breaches);
        breaches
    }

    #[test]
    fn the_direction_of_dependencies_is_kept() {
        for (path, allowed) in [
            ("server/src/http/client/kv.rs", "use crate::raft::Handle;"),
            ("server/src/http/client/watch.rs", "use crate::store::watch::Hub;"),
            ("server/src/raft/log.rs", "use crate::wal::Wal;"),
            ("server/src/store/kv/range.rs", "use crate::position::Position;"),
            ("server/src/store/kv/range.rs", "use crate::store::Error;"),
            ("server/src/node.rs", "use crate::{http, raft, store, wal};"),
            ("ctl/src/main.rs", "use crate::store::X;"),
        ] {
            assert!(breaches(path, allowed).is_empty(), "{path}: {allowed}");
        }
    }

    #[test]
    fn an_edge_against_the_direction_is_refused() {
        for (path, refused) in [
            ("server/src/http/peer/append.rs", "use crate::wal::Wal;"),
            ("server/src/raft/log.rs", "use crate::http::status;"),
            ("server/src/wal/mod.rs", "use crate::store::Store;"),
            ("server/src/store/mod.rs", "fn f(w: &crate::wal::Wal) {}"),
            ("server/src/store/mod.rs", "use crate::{clock, raft::{Handle, Status}};"),
            ("server/src/store/mod.rs", "use crate::{\n    clock,\n    raft::{Handle, Status},\n};"),
            ("server/src/duty/mod.rs", "use crate::wal;"),
            ("server/src/clock.rs", "use crate::raft::Handle;"),
            ("server/src/http/mod.rs", "use crate::node::Node;"),
        ] {
            assert_eq!(breaches(path, refused).len(), 1, "{path}: {refused}");
        }
    }

    #[test]
    fn a_comment_is_no_dependency() {
        assert!(breaches("server/src/wal/mod.rs", "//! Unlike [`crate::store`], bytes only.").is_empty());
    }
}
