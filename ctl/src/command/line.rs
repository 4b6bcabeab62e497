//! Lines of standard input in which txn and watch take commands.

use std::{ffi::OsString, os::unix::ffi::OsStringExt};

use crate::{
    failure::{Exit, Failure},
    go,
};

/// Splits a line into words. Words may stand in single quotes, taken as they are, or in double quotes with Go's escapes.
pub(super) fn words(line: &str) -> Result<Vec<OsString>, Failure> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let behind = match first {
            '\'' => match rest[1..].split_once('\'') {
                Some((word, behind)) => {
                    words.push(OsString::from(word));
                    behind
                }
                None => return Err(unclosed(line)),
            },
            '"' => match go::unquote_prefix(rest) {
                Ok((word, behind)) => {
                    words.push(OsString::from_vec(word));
                    behind
                }
                Err(_) => return Err(unclosed(line)),
            },
            _ => {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                words.push(OsString::from(&rest[..end]));
                &rest[end..]
            }
        };
        rest = behind.trim_start();
    }
    Ok(words)
}

fn unclosed(line: &str) -> Failure {
    Failure::new(Exit::InvalidInput, format!("invalid quoted string in: {line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_keep_words_together() {
        let line = r#"put  key1 "over \"wrote\"\x00" 'a "b" \n' --lease=1"#;
        assert_eq!(words(line).unwrap(), ["put", "key1", "over \"wrote\"\0", "a \"b\" \\n", "--lease=1"]);
        assert_eq!(words("").unwrap(), [""; 0]);
    }

    #[test]
    fn an_open_quote_is_refused() {
        assert!(words("put \"a").is_err());
        assert!(words("put 'a").is_err());
    }
}
