//! What Kubernetes doesn't take: told to the user, and no reason to leave the rest undone.

use super::objects::Error;

/// Characters of one refusal.
const WORDS: usize = 500;

/// Collected while everything else is done.
#[derive(Debug, Default)]
pub struct Refusals {
    words: Vec<String>,
    has_foreign: bool,
}

impl Refusals {
    /// `None`: it was refused. What is no refusal, such as an API server that is away, ends what is under way.
    pub fn note<T>(&mut self, done: Result<T, impl Into<Error>>) -> Result<Option<T>, Error> {
        self.note_of("", done)
    }

    /// Of an object, which Kubernetes doesn't always name, and where it comes from.
    pub fn note_of<T>(&mut self, what: &str, done: Result<T, impl Into<Error>>) -> Result<Option<T>, Error> {
        match done.map_err(Into::into) {
            Ok(done) => Ok(Some(done)),
            Err(Error::Kubernetes(error)) if is_refusal(&error) => {
                let words = sentence(&error);
                self.add(&if what.is_empty() { words } else { format!("{what}: {words}") });
                Ok(None)
            }
            Err(foreign @ Error::Foreign { .. }) => {
                self.has_foreign = true;
                self.add(&foreign.to_string());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn add(&mut self, words: &str) {
        let words: String = words.chars().take(WORDS).collect();
        if !self.words.contains(&words) {
            self.words.push(words);
        }
    }

    /// Some object is somebody else's.
    pub fn has_foreign(&self) -> bool {
        self.has_foreign
    }

    pub fn into_words(self) -> Vec<String> {
        self.words
    }
}

/// Kubernetes understood the request, and doesn't do it: the object is invalid, or a policy or a quota is against it.
pub fn is_refusal(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 400 | 403 | 422))
}

/// An error with its causes. Of an answer of Kubernetes what it says, which names the object and the field.
pub fn sentence(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |cause| match cause.downcast_ref() {
        Some(kube::Error::Api(_)) => None,
        _ => cause.source(),
    });
    let words: Vec<String> = causes
        .map(|cause| match cause.downcast_ref() {
            Some(kube::Error::Api(status)) if !status.message.is_empty() => status.message.clone(),
            Some(kube::Error::Api(status)) => format!("HTTP {} {}", status.code, status.reason),
            _ => cause.to_string(),
        })
        .collect();
    words.join(": ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap in a test is its report")]

    use kube::core::Status;

    use super::*;

    fn answer(code: u16, message: &str) -> kube::Error {
        kube::Error::Api(Box::new(Status::failure(message, "Reason").with_code(code)))
    }

    #[test]
    fn a_refusal_is_noted_once_and_an_outage_is_no_refusal() {
        let mut refusals = Refusals::default();
        for _ in 0..2 {
            assert!(refusals.note(Err::<(), _>(answer(422, "Service \"a\" is invalid: spec.x"))).unwrap().is_none());
        }
        assert_eq!(refusals.note(Ok::<_, kube::Error>(7)).unwrap(), Some(7));
        refusals.note_of("the pod a-1", Err::<(), _>(answer(400, "quantities must match"))).unwrap();
        for code in [500, 503, 429, 409] {
            assert!(refusals.note(Err::<(), _>(answer(code, "later"))).is_err(), "{code}");
        }
        assert_eq!(refusals.into_words(), ["Service \"a\" is invalid: spec.x", "the pod a-1: quantities must match"]);
    }

    #[test]
    fn kubernetes_is_quoted_and_not_printed_as_a_structure() {
        let error = Error::Kubernetes(answer(403, "pods \"a\" is forbidden: exceeded quota"));
        assert_eq!(sentence(&error), "Kubernetes refuses an object: pods \"a\" is forbidden: exceeded quota");
    }
}
