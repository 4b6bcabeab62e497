//! `/debug/pprof/`: the paths of Go's `net/http/pprof`, for `go tool pprof` and for what scrapes profiles.
//!
//! What only a Go runtime has is not implemented, and says what to ask for instead.

use std::time::Duration;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::any;

use super::{plain_error, query};
use crate::last_words;
use crate::telemetry::profile;

/// Go's.
const SECONDS_DEFAULT: u64 = 30;
/// Samples that don't fit into memory go to a file, which this bounds.
const SECONDS_MAX: u64 = 300;
/// By this `go tool pprof` knows an error that it may show.
const FAILED: HeaderName = HeaderName::from_static("x-go-pprof");

/// Paths below `/debug/pprof/` that have an answer, and what it is.
const SERVED: &[(&str, &str)] = &[
    ("cmdline", "The command line, its arguments separated by NUL."),
    (
        "profile",
        "Where the processor's time goes, for the number of seconds in the parameter <code>seconds</code> (30).",
    ),
    ("symbol", "Says that addresses need no look-up: profiles name their functions."),
];

/// Paths that have none here.
const MISSING: &[(&str, &str)] = &[
    ("allocs", "past allocations are not sampled"),
    ("block", "waiting for locks is not sampled; /debug/pprof/profile shows the time that is spent spinning"),
    ("goroutine", "there are no goroutines, and the runtime keeps no list of its tasks"),
    ("heap", "allocations are not sampled; process_resident_memory_bytes of /metrics is the memory in use"),
    ("mutex", "waiting for locks is not sampled; /debug/pprof/profile shows the time that is spent spinning"),
    ("threadcreate", "the stacks that start threads are not kept; threads have names, which `ps -L` shows"),
    ("trace", "there is no Go scheduler to trace; see --enable-distributed-tracing for traces of calls"),
];

pub(super) fn router() -> Router {
    let mut router = Router::new()
        .route("/debug/pprof", any(async || Redirect::temporary("/debug/pprof/")))
        .route("/debug/pprof/", any(index))
        .route("/debug/pprof/{name}", any(async || failed(StatusCode::NOT_FOUND, "Unknown profile")))
        .route("/debug/pprof/cmdline", any(cmdline))
        .route("/debug/pprof/profile", any(cpu))
        .route("/debug/pprof/symbol", any(async || plain("num_symbols: 0\n")));
    for (name, reason) in MISSING {
        let text = format!("{name} is not implemented: {reason}");
        let answer = move || std::future::ready(failed(StatusCode::NOT_IMPLEMENTED, &text));
        router = router.route(&format!("/debug/pprof/{name}"), any(answer));
    }
    router
}

async fn index() -> Html<String> {
    let served = SERVED.iter().map(|(name, what)| format!("<li><a href=\"{name}\">{name}</a>: {what}</li>\n"));
    let missing = MISSING.iter().map(|(name, reason)| format!("<li>{name}: {reason}</li>\n"));
    Html(format!(
        "<html>\n<head><title>/debug/pprof/</title></head>\n<body>\n<p>Profiles of this process. Read one with <code>go tool \
         pprof URL</code>.</p>\n<ul>\n{}</ul>\n<p>Not implemented:</p>\n<ul>\n{}</ul>\n</body>\n</html>\n",
        served.collect::<String>(),
        missing.collect::<String>(),
    ))
}

async fn cmdline() -> Response {
    let arguments: Vec<String> = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
    plain(arguments.join("\0"))
}

async fn cpu(uri: Uri) -> Response {
    let seconds = match seconds(&uri) {
        Ok(seconds) => seconds,
        Err(refusal) => return failed(StatusCode::BAD_REQUEST, &refusal),
    };
    match profile::cpu(Duration::from_secs(seconds)).await {
        Ok(profile) => attached("profile", profile),
        Err(error) => {
            let reason = last_words::chain(&error);
            tracing::warn!(reason, "failed to profile");
            failed(StatusCode::INTERNAL_SERVER_ERROR, &format!("Could not enable CPU profiling: {reason}"))
        }
    }
}

fn seconds(uri: &Uri) -> Result<u64, String> {
    let given = query(uri).into_iter().find(|(name, _)| name == "seconds").map(|(_, value)| value);
    let Some(given) = given.filter(|given| !given.is_empty()) else { return Ok(SECONDS_DEFAULT) };
    match given.parse() {
        Ok(seconds @ 1..=SECONDS_MAX) => Ok(seconds),
        _ => Err(format!(
            "invalid value for \"seconds\" - must be a whole number from 1 to {SECONDS_MAX} (set to {given:?})"
        )),
    }
}

fn attached(name: &str, profile: Vec<u8>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    (headers, profile).into_response()
}

fn plain(text: impl IntoResponse) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")], text)
        .into_response()
}

fn failed(status: StatusCode, text: &str) -> Response {
    let mut response = plain_error(status, text);
    response.headers_mut().insert(FAILED, HeaderValue::from_static("1"));
    response
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    async fn ask(path: &str) -> (u16, String) {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let answer = router().oneshot(request).await.unwrap();
        let status = answer.status().as_u16();
        (status, String::from_utf8_lossy(&answer.into_body().collect().await.unwrap().to_bytes()).into_owned())
    }

    #[tokio::test]
    async fn seconds_that_are_no_number_or_out_of_range_are_refused_by_name() {
        for given in ["0", "-1", "301", "1.5", "x", "99999999999999999999"] {
            let (status, text) = ask(&format!("/debug/pprof/profile?seconds={given}")).await;
            assert_eq!(status, 400, "{given}");
            assert!(text.contains("\"seconds\"") && text.contains("from 1 to 300") && text.contains(given), "{text}");
        }
    }

    #[tokio::test]
    async fn the_index_names_every_path_that_answers_and_no_other_answers() {
        let (status, page) = ask("/debug/pprof/").await;
        assert_eq!(status, 200);
        for (name, _) in SERVED {
            assert!(page.contains(&format!("href=\"{name}\"")), "{name}");
        }
        for (name, reason) in MISSING {
            let (status, text) = ask(&format!("/debug/pprof/{name}")).await;
            assert_eq!((status, text.contains(reason)), (501, true), "{name}: {text}");
            assert!(page.contains(&format!("<li>{name}: ")) && !page.contains(&format!("href=\"{name}\"")), "{name}");
        }
        assert_eq!(ask("/debug/pprof/nothing").await.0, 404);
        assert_eq!(ask("/debug/pprof").await.0, 307);
    }
}
