//! Which of our crates may depend on which: everybody on the protocol, the file formats, TLS and DNS, products never on each other,
//! but for the plugin, which shows what the operator has written.

use super::File;

/// A crate's folder and what it may depend on.
const CRATES: [(&str, &[&str]); 13] = [
    ("proto", &[]),
    ("format", &["quorate-proto"]),
    ("dns", &[]),
    ("tls", &[]),
    ("restore", &["quorate-proto", "quorate-format"]),
    ("server", &["quorate-proto", "quorate-format", "quorate-dns", "quorate-tls"]),
    ("ctl", &["quorate-proto", "quorate-format", "quorate-restore", "quorate-dns", "quorate-tls"]),
    ("backup", &["quorate-proto", "quorate-format", "quorate-restore", "quorate-tls"]),
    ("operator", &["quorate-proto", "quorate-tls"]),
    ("plugin", &["quorate-operator"]),
    ("e2e", &["quorate-proto", "quorate-format"]),
    ("bench", &["quorate-e2e"]),
    ("xtask", &[]),
];

pub(super) fn check(file: &File, breaches: &mut Vec<String>) {
    let Some(folder) = file.path.strip_suffix("/Cargo.toml") else { return };
    let Some((_, allowed)) = CRATES.iter().find(|(name, _)| *name == folder) else {
        breaches.push(format!("{}: a new crate needs its line in xtask/src/tidy/crates.rs", file.path));
        return;
    };
    for (number, line) in (1..).zip(file.text.lines()) {
        let name = line.split(['.', ' ', '=']).next().unwrap_or(line);
        if name.starts_with("quorate-") && !allowed.contains(&name) {
            breaches.push(format!("{}:{number}: `{folder}` must not depend on `{name}`", file.path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches(path: &str, text: &str) -> usize {
        let mut breaches = Vec::new();
        check(&File { path: path.into(), text: text.into() }, &mut breaches);
        breaches.len()
    }

    #[test]
    fn products_do_not_depend_on_each_other() {
        assert_eq!(breaches("ctl/Cargo.toml", "[dependencies]\nquorate-server.workspace = true\n"), 1);
        assert_eq!(breaches("server/Cargo.toml", "[dependencies]\nquorate-ctl = { path = \"../ctl\" }\n"), 1);
        assert_eq!(breaches("ctl/Cargo.toml", "[dependencies]\nquorate-proto.workspace = true\n"), 0);
    }

    #[test]
    fn the_root_is_no_crate_and_a_new_crate_must_be_listed() {
        assert_eq!(breaches("Cargo.toml", "quorate-proto = { path = \"proto\" }\n"), 0);
        assert_eq!(breaches("surprise/Cargo.toml", ""), 1);
    }
}
