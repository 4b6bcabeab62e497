//! Names that say nothing.

use super::File;

const FORBIDDEN: [&str; 8] = ["util", "utils", "common", "manager", "helper", "helpers", "misc", "v2"];

pub(super) fn check(file: &File, breaches: &mut Vec<String>) {
    if !file.path.ends_with(".rs") {
        return;
    }
    for part in file.path.trim_end_matches(".rs").split('/') {
        if FORBIDDEN.contains(&part) {
            breaches.push(format!("{}: `{part}` says nothing; name it after what it holds", file.path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn breaches(path: &str) -> usize {
        let mut breaches = Vec::new();
        check(&File { path: path.into(), text: String::new() }, &mut breaches);
        breaches.len()
    }

    #[test]
    fn an_empty_name_is_refused_as_a_file_and_as_a_folder() {
        assert_eq!(breaches("server/src/store/util.rs"), 1);
        assert_eq!(breaches("server/src/common/mod.rs"), 1);
        assert_eq!(breaches("server/src/store/mutilate.rs"), 0);
        assert_eq!(breaches("docs/util.md"), 0);
    }
}
