//! What went wrong, and what to do about it.

use std::error::Error as _;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no access to Kubernetes is configured")]
    Configuration(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the API server at {url} can't be reached")]
    Unreachable { url: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the API server at {url} doesn't accept your credentials: {said}")]
    Credentials { url: String, said: String },
    #[error("you may not {verb} {resource} in namespace {namespace}")]
    Forbidden { verb: &'static str, resource: String, namespace: String },
    #[error("this Kubernetes doesn't know EtcdCluster")]
    NotInstalled,
    #[error("there is no EtcdCluster {name} in namespace {namespace}")]
    NoCluster { name: String, namespace: String, there: Vec<String>, elsewhere: Vec<String> },
    #[error("{cluster} has no member {name}")]
    NoMember { name: String, cluster: String, there: Vec<String> },
    #[error("the API server refuses to {verb} {resource}: {said}")]
    Refused { verb: &'static str, resource: String, said: String },
    #[error("{what}")]
    Situation { what: String, remedy: String },
    #[error("in the pod {pod}, {command} failed: {said}")]
    Command { pod: String, command: String, said: String },
    #[error("{what} took longer than {limit_s} s; last, the operator said: {last}")]
    TooLate { what: String, limit_s: i64, last: String },
    #[error("writing the output failed")]
    Output(#[source] std::io::Error),
    #[error("the report is no JSON")]
    Json(#[source] serde_json::Error),
}

impl Error {
    /// A state in which a command makes no sense, and what to do instead.
    pub fn situation(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Situation { what: what.into(), remedy: remedy.into() }
    }

    /// What happened with its causes, and below it what to do.
    pub fn explained(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let said = error.to_string();
            // Errors of others repeat what they come from.
            if !text.contains(&said) {
                text += &format!(": {said}");
            }
            cause = error.source();
        }
        match self.remedy() {
            Some(remedy) => format!("{text}\n  {remedy}"),
            None => text,
        }
    }

    fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::Configuration(_) => {
                "set KUBECONFIG or give --kubeconfig; `kubectl config get-contexts` lists the contexts".into()
            }
            Self::Unreachable { .. } => "see whether `kubectl version` works; --context chooses another cluster".into(),
            Self::Credentials { .. } => "log in again; `kubectl auth whoami` says who you are".into(),
            Self::Forbidden { verb, resource, namespace } => {
                format!("ask for a role with it; check by `kubectl auth can-i {verb} {resource} -n {namespace}`")
            }
            Self::NotInstalled => {
                "install the operator with its custom resource definitions, or choose another --context".into()
            }
            Self::NoCluster { name, there, elsewhere, .. } if there.is_empty() && elsewhere.is_empty() => {
                format!("there is none at all in this namespace; `kubectl get etcdclusters -A` looks for {name} in all")
            }
            Self::NoCluster { elsewhere, .. } if !elsewhere.is_empty() => {
                format!("there is one in {}; choose it by --namespace", elsewhere.join(", "))
            }
            Self::NoCluster { there, .. } | Self::NoMember { there, .. } if !there.is_empty() => {
                format!("there are: {}", there.join(", "))
            }
            Self::Situation { remedy, .. } => remedy.clone(),
            Self::TooLate { .. } => {
                "it goes on without this command; `kubectl quorate status` shows how far it is".into()
            }
            Self::NoCluster { .. }
            | Self::NoMember { .. }
            | Self::Refused { .. }
            | Self::Command { .. }
            | Self::Output(_)
            | Self::Json(_) => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_says_what_and_what_to_do() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let no_cluster = |there: &[&str], elsewhere: &[&str]| Error::NoCluster {
            name: "smaple".into(),
            namespace: "db".into(),
            there: names(there),
            elsewhere: names(elsewhere),
        };
        for (error, text) in [
            (
                no_cluster(&["sample", "other"], &[]),
                "there is no EtcdCluster smaple in namespace db\n  there are: sample, other",
            ),
            (
                no_cluster(&["other"], &["prod", "test"]),
                "there is no EtcdCluster smaple in namespace db\n  there is one in prod, test; choose it by --namespace",
            ),
            (
                no_cluster(&[], &[]),
                "there is no EtcdCluster smaple in namespace db\n  there is none at all in this namespace; \
                 `kubectl get etcdclusters -A` looks for smaple in all",
            ),
            (
                Error::NoMember { name: "a".into(), cluster: "sample".into(), there: names(&["sample-x", "sample-y"]) },
                "sample has no member a\n  there are: sample-x, sample-y",
            ),
            (
                Error::Forbidden { verb: "create", resource: "pods/exec".into(), namespace: "db".into() },
                "you may not create pods/exec in namespace db\n  ask for a role with it; check by \
                 `kubectl auth can-i create pods/exec -n db`",
            ),
            (Error::situation("sample is paused", "unpause it first"), "sample is paused\n  unpause it first"),
        ] {
            assert_eq!(error.explained(), text);
        }
    }

    #[test]
    fn a_cause_is_said_once() {
        let cause = std::io::Error::other("disk full");
        assert_eq!(Error::Output(cause).explained(), "writing the output failed: disk full");
    }
}
