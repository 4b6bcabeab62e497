//! Headers of HTTP that are gRPC's metadata, on the way in and out.

use std::time::Duration;

use http::{HeaderMap, HeaderName, header};
use tonic::Status;
use tonic::metadata::MetadataMap;

/// What a client sends under such a name is metadata under the rest of it, and the other way round.
const PREFIX: &str = "grpc-metadata-";
/// Names that gRPC keeps for itself.
const OWN_PREFIX: &str = "grpc-";
const TIMEOUT: &str = "grpc-timeout";

/// The token and what is marked as metadata; all other headers are HTTP's.
pub fn metadata(headers: &HeaderMap) -> MetadataMap {
    let mut metadata = HeaderMap::new();
    for (name, value) in headers {
        let inner = match name.as_str().strip_prefix(PREFIX) {
            Some(inner) => HeaderName::try_from(inner).ok(),
            None => (name == header::AUTHORIZATION).then_some(header::AUTHORIZATION),
        };
        if let Some(inner) = inner.filter(|inner| !inner.as_str().starts_with(OWN_PREFIX))
            && value.to_str().is_ok()
        {
            metadata.append(inner, value.clone());
        }
    }
    MetadataMap::from_headers(metadata)
}

/// The metadata of a reply as headers.
pub fn marked(metadata: &MetadataMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in metadata.as_ref() {
        if let Ok(name) = HeaderName::try_from(format!("{PREFIX}{name}")) {
            headers.append(name, value.clone());
        }
    }
    headers
}

/// How long the client waits: digits and a unit. `None`: as long as it takes.
pub fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Status> {
    let Some(given) = headers.get(TIMEOUT) else { return Ok(None) };
    let parsed = given.to_str().ok().and_then(|text| {
        let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let number: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
        match unit {
            "H" => Some(Duration::from_secs(number * 3600)),
            "M" => Some(Duration::from_secs(number * 60)),
            "S" => Some(Duration::from_secs(number)),
            "m" => Some(Duration::from_millis(number)),
            "u" => Some(Duration::from_micros(number)),
            "n" => Some(Duration::from_nanos(number)),
            _ => None,
        }
    });
    let refused =
        || Status::invalid_argument(format!("invalid grpc-timeout: {}", String::from_utf8_lossy(given.as_bytes())));
    parsed.map(Some).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_token_and_marked_headers_go_on_and_no_others() {
        let given = headers(&[
            ("authorization", "token"),
            ("grpc-metadata-hasleader", "true"),
            ("grpc-metadata-grpc-timeout", "1S"),
            ("user-agent", "curl"),
            ("cookie", "a=b"),
        ]);
        let metadata = metadata(&given).into_headers();
        assert_eq!(metadata, headers(&[("authorization", "token"), ("hasleader", "true")]));
    }

    #[test]
    fn metadata_of_a_reply_is_marked() {
        let metadata = MetadataMap::from_headers(headers(&[("content-type", "application/grpc")]));
        assert_eq!(marked(&metadata)["grpc-metadata-content-type"], HeaderValue::from_static("application/grpc"));
    }

    #[test]
    fn a_timeout_has_digits_and_a_unit() {
        for (text, expected) in
            [("2S", Duration::from_secs(2)), ("15m", Duration::from_millis(15)), ("1H", Duration::from_secs(3600))]
        {
            assert_eq!(timeout(&headers(&[("grpc-timeout", text)])).unwrap(), Some(expected));
        }
        for text in ["", "S", "1", "1x", "-1S", "123456789S"] {
            let refused = timeout(&headers(&[("grpc-timeout", text)])).unwrap_err();
            assert_eq!(refused.message(), format!("invalid grpc-timeout: {text}"));
        }
        assert_eq!(timeout(&HeaderMap::new()).unwrap(), None);
    }
}
