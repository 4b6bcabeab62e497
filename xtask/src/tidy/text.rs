//! What no file may contain, and how long it may be.

use super::File;

/// A file of Rust that is longer is two files.
const LINES_LIMIT: usize = 500;

/// Written in two halves, so that this file does not break its own rule.
const UNFINISHED: [(&str, &str); 6] =
    [("to", "do!("), ("unimple", "mented!("), ("TO", "DO"), ("FIX", "ME"), ("#[ig", "nore]"), ("#[ig", "nore =")];
/// Folders of one person's machine.
const MACHINE_PATHS: [(&str, &str); 4] = [("/ro", "ot/"), ("/ho", "me/"), ("/Us", "ers/"), ("/wo", "rk/")];

pub(super) fn check(file: &File, breaches: &mut Vec<String>) {
    let is_rust = file.path.ends_with(".rs");
    let lines = file.text.lines().count();
    if is_rust && lines > LINES_LIMIT {
        breaches.push(format!("{}: {lines} lines; at most {LINES_LIMIT}, split it", file.path));
    }
    let is_contents = ["/mod.rs", "/lib.rs"].iter().any(|name| file.path.ends_with(name));
    if is_contents && !file.text.starts_with("//!") {
        breaches.push(format!("{}: a table of contents begins with what the module is for (`//!`)", file.path));
    }
    for (number, line) in (1..).zip(file.text.lines()) {
        if let Some((one, two)) = found(line, &UNFINISHED).filter(|_| is_rust) {
            breaches.push(format!("{}:{number}: `{one}{two}` is unfinished work", file.path));
        }
        if let Some((one, two)) = found(line, &MACHINE_PATHS) {
            breaches.push(format!("{}:{number}: `{one}{two}` is a path of one machine", file.path));
        }
    }
}

fn found<'a>(line: &str, forbidden: &'a [(&'a str, &'a str)]) -> Option<&'a (&'a str, &'a str)> {
    forbidden.iter().find(|(one, two)| {
        line.match_indices(one)
            .any(|(at, _)| line[at + one.len()..].starts_with(two) && !continues_a_word(line, at, one))
    })
}

/// A path such as `network/` or `docs/home/` is no path of a machine: those begin after something that ends a word.
fn continues_a_word(line: &str, at: usize, one: &str) -> bool {
    one.starts_with('/')
        && line[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '}' | ')'))
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
    fn a_file_of_more_than_500_lines_is_refused() {
        assert!(breaches("a/b.rs", &"x\n".repeat(500)).is_empty());
        assert_eq!(breaches("a/b.rs", &"x\n".repeat(501)).len(), 1);
        assert!(breaches("a/go.mod", &"x\n".repeat(501)).is_empty());
    }

    #[test]
    fn a_table_of_contents_without_words_is_refused() {
        assert_eq!(breaches("a/src/lib.rs", "mod b;\n").len(), 1);
        assert!(breaches("a/src/lib.rs", "//! What it is for.\nmod b;\n").is_empty());
    }

    #[test]
    fn unfinished_work_is_refused_in_rust_only() {
        for (one, two) in UNFINISHED {
            let text = format!("fn f() {{ {one}{two} }}\n");
            assert_eq!(breaches("a/b.rs", &text).len(), 1, "{text}");
            assert!(breaches("a/b.md", &text).is_empty(), "{text}");
        }
    }

    #[test]
    fn paths_of_one_machine_are_refused_everywhere() {
        for (one, two) in MACHINE_PATHS {
            assert_eq!(breaches("a/b.md", &format!("see `{one}{two}x`\n")).len(), 1);
            assert!(breaches("a/b.md", &format!("see net{one}{two}x\n")).is_empty());
        }
    }
}
