//! Questions before something that is felt.

use std::io::{BufRead as _, IsTerminal as _};

use super::say;
use crate::Error;

/// Goes on after a yes alone; without a terminal there is nobody to ask.
pub fn confirm(what_happens: &str) -> Result<(), Error> {
    let refused = |what: &str| Err(Error::situation(what, "--yes does it without asking"));
    if !std::io::stdin().is_terminal() {
        return refused("this needs a confirmation, and there is no terminal to ask at");
    }
    say::text(&format!("{what_happens}\nGo on? [y/N] "))?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(Error::Output)?;
    if is_yes(&answer) { Ok(()) } else { refused("nothing was changed") }
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        for (answer, yes) in
            [("y\n", true), ("YES\n", true), ("\n", false), ("", false), ("no\n", false), ("yo\n", false)]
        {
            assert_eq!(is_yes(answer), yes, "{answer:?}");
        }
    }
}
