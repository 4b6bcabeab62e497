//! Simple tokens: given out through the log so that every member knows them, and gone with the process, as etcd's.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

/// More are not kept; the oldest goes, and its holder authenticates again.
const MAX_TOKENS: usize = 100_000;
/// [`Token::used_ms`] before the first look at it.
const UNUSED: u64 = 0;

/// The tokens in force on this member. There is no clock in here: times are milliseconds of the caller's, above 0.
#[derive(Debug, Default)]
pub struct Tokens(RwLock<BTreeMap<u64, Token>>);

#[derive(Debug)]
struct Token {
    text: String,
    user: String,
    used_ms: AtomicU64,
}

impl Tokens {
    /// A token's text ends with a point and the index of its entry in the log.
    pub fn index(text: &str) -> Option<u64> {
        text.rsplit_once('.')?.1.parse().ok()
    }

    /// Puts a token in force; its text.
    pub(in crate::store) fn assign(&self, prefix: &str, index: u64, user: &str) -> String {
        let text = format!("{prefix}.{index}");
        let mut tokens = self.0.write();
        let token = Token { text: text.clone(), user: user.to_owned(), used_ms: AtomicU64::new(UNUSED) };
        tokens.insert(index, token);
        if tokens.len() > MAX_TOKENS {
            tokens.pop_first();
        }
        text
    }

    /// The user whose token it is; it counts as used now.
    pub fn user(&self, text: &str, now_ms: u64) -> Option<String> {
        let tokens = self.0.read();
        let token = tokens.get(&Self::index(text)?).filter(|token| token.text == text)?;
        token.used_ms.store(now_ms, Ordering::Relaxed);
        Some(token.user.clone())
    }

    /// Ends the tokens that nobody has used for `ttl_ms`.
    pub fn expire(&self, now_ms: u64, ttl_ms: u64) {
        self.0.write().retain(|_, token| {
            // Until it is used, a token's time runs from the first look at it.
            let first = token.used_ms.compare_exchange(UNUSED, now_ms, Ordering::Relaxed, Ordering::Relaxed);
            first.err().is_none_or(|used_ms| now_ms.saturating_sub(used_ms) < ttl_ms)
        });
    }

    pub fn is_empty(&self) -> bool {
        self.0.read().is_empty()
    }

    pub(in crate::store) fn end_of(&self, user: &str) {
        self.0.write().retain(|_, token| token.user != user);
    }

    pub(in crate::store) fn end_all(&self) {
        self.0.write().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_user_until_it_is_idle_for_too_long() {
        let tokens = Tokens::default();
        let text = tokens.assign("abc", 7, "alice");
        assert_eq!((text.as_str(), Tokens::index(&text)), ("abc.7", Some(7)));
        tokens.expire(100, 50);
        tokens.expire(149, 50);
        assert_eq!(tokens.user(&text, 149).as_deref(), Some("alice"));
        tokens.expire(198, 50);
        assert_eq!(tokens.user(&text, 198).as_deref(), Some("alice"));
        tokens.expire(248, 50);
        assert_eq!(tokens.user(&text, 248), None);
    }

    #[test]
    fn only_the_whole_text_is_the_token() {
        let tokens = Tokens::default();
        tokens.assign("abc", 7, "alice");
        for wrong in ["", ".7", "abd.7", "abc.8", "abc", "abc.7x", "abc.07", "x.abc.7"] {
            assert_eq!(tokens.user(wrong, 1), None, "{wrong}");
        }
    }

    #[test]
    fn the_tokens_of_a_user_end_together_and_others_stay() {
        let tokens = Tokens::default();
        let (one, two, other) =
            (tokens.assign("a", 1, "alice"), tokens.assign("b", 2, "alice"), tokens.assign("c", 3, "bob"));
        tokens.end_of("alice");
        assert_eq!((tokens.user(&one, 1), tokens.user(&two, 1)), (None, None));
        assert!(tokens.user(&other, 1).is_some());
    }

    #[test]
    fn tokens_are_bounded_and_the_oldest_go_first() {
        let tokens = Tokens::default();
        let texts: Vec<String> = (0..=MAX_TOKENS as u64).map(|index| tokens.assign("t", index, "u")).collect();
        assert_eq!(tokens.user(&texts[0], 1), None);
        assert!(tokens.user(&texts[1], 1).is_some());
    }
}
