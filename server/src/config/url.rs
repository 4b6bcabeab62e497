//! Addresses as etcd accepts them in flags and in membership: `http`, `https`, `unix`, `unixs`.

use std::fmt;
use std::net::IpAddr;

/// One checked address. Compares, hashes and prints as its text, because member ids are made of that text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Url {
    text: String,
    scheme: Scheme,
    /// IPv6 without brackets; for sockets the path.
    host: String,
    /// 0 for sockets.
    port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    Http,
    Https,
    Unix,
    Unixs,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("no valid URLs given")]
    Empty,
    #[error("URL scheme must be http, https, unix, or unixs: {0}")]
    Scheme(String),
    #[error("URL address does not have the form \"host:port\": {0}")]
    HostPort(String),
    #[error("URL must not contain a path: {0}")]
    Path(String),
    #[error("expected IP in URL for binding ({0})")]
    Bind(String),
    #[error("unexpected empty host ({0})")]
    EmptyHost(String),
}

impl Url {
    /// Reads one address; spaces around it are dropped.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        // Without `scheme:` Go sees either no scheme or `localhost` as the scheme; both end in the same complaint.
        let (scheme_text, rest) = text.split_once(':').ok_or_else(|| Error::Scheme(text.to_owned()))?;
        let scheme = match scheme_text.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "unix" => Scheme::Unix,
            "unixs" => Scheme::Unixs,
            _ => return Err(Error::Scheme(text.to_owned())),
        };
        // The scheme's case is the only part that is normalised.
        let canonical = format!("{}:{rest}", scheme.as_str());
        if matches!(scheme, Scheme::Unix | Scheme::Unixs) {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            if path.is_empty() {
                return Err(Error::EmptyHost(text.to_owned()));
            }
            return Ok(Self { text: canonical, scheme, host: path.to_owned(), port: 0 });
        }
        let authority = rest.strip_prefix("//").ok_or_else(|| Error::HostPort(text.to_owned()))?;
        if let Some(at) = authority.find(['/', '?', '#']) {
            return Err(match split_host_port(&authority[..at]) {
                Some(_) => Error::Path(text.to_owned()),
                None => Error::HostPort(text.to_owned()),
            });
        }
        let (host, port) = split_host_port(authority).ok_or_else(|| Error::HostPort(text.to_owned()))?;
        Ok(Self { text: canonical, scheme, host: host.to_owned(), port })
    }

    /// Reads a comma-separated list; the result is sorted by text and has no duplicates.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, Error> {
        Self::parse_all(text.split(','))
    }

    /// Reads several addresses; the result is sorted by text and has no duplicates.
    pub fn parse_all<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Vec<Self>, Error> {
        let mut urls = texts.into_iter().map(Self::parse).collect::<Result<Vec<_>, _>>()?;
        if urls.is_empty() {
            return Err(Error::Empty);
        }
        urls.sort();
        urls.dedup();
        Ok(urls)
    }

    /// The address as text, scheme in lower case.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Host name or IP without brackets; for sockets the path in the file system.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// 0 for sockets.
    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn is_socket(&self) -> bool {
        matches!(self.scheme, Scheme::Unix | Scheme::Unixs)
    }

    pub fn is_tls(&self) -> bool {
        matches!(self.scheme, Scheme::Https | Scheme::Unixs)
    }

    /// `host:port` as `connect` and `bind` take it, IPv6 in brackets; for sockets the path.
    pub fn address(&self) -> String {
        if self.is_socket() {
            self.host.clone()
        } else if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Listening on a name could mean any address, so only IPs and `localhost` are taken.
    pub fn check_bind(&self) -> Result<(), Error> {
        if self.is_socket() || self.host == "localhost" || self.host.parse::<IpAddr>().is_ok() {
            return Ok(());
        }
        Err(Error::Bind(self.text.clone()))
    }

    /// An advertised address must say which host.
    pub fn check_host(&self) -> Result<(), Error> {
        if self.host.is_empty() {
            return Err(Error::EmptyHost(self.text.clone()));
        }
        Ok(())
    }

    /// The same address on another host.
    pub fn with_host(&self, host: IpAddr, port: u16) -> Self {
        let scheme = self.scheme;
        let text = match host {
            IpAddr::V4(ip) => format!("{}://{ip}:{port}", scheme.as_str()),
            IpAddr::V6(ip) => format!("{}://[{ip}]:{port}", scheme.as_str()),
        };
        Self { text, scheme, host: host.to_string(), port }
    }
}

impl Scheme {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Unix => "unix",
            Self::Unixs => "unixs",
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Logs print lists of addresses as lists of strings.
impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

/// The addresses separated by commas.
pub fn join(urls: &[Url]) -> String {
    urls.iter().map(Url::as_str).collect::<Vec<_>>().join(",")
}

fn split_host_port(authority: &str) -> Option<(&str, u16)> {
    let (host, port) = authority.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']')?,
        // An IPv6 address needs its brackets.
        None if host.contains([':', ']', '@', ' ']) => return None,
        None => host,
    };
    if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((host, port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        for (text, scheme, host, port, address) in [
            ("http://localhost:2380", Scheme::Http, "localhost", 2380, "localhost:2380"),
            (" HTTPS://10.0.0.1:1 ", Scheme::Https, "10.0.0.1", 1, "10.0.0.1:1"),
            ("http://[::1]:2379", Scheme::Http, "::1", 2379, "[::1]:2379"),
            ("http://:2379", Scheme::Http, "", 2379, ":2379"),
            ("unix:///run/e.sock", Scheme::Unix, "/run/e.sock", 0, "/run/e.sock"),
            ("unixs:/run/e.sock", Scheme::Unixs, "/run/e.sock", 0, "/run/e.sock"),
            ("unix://localhost:123456789", Scheme::Unix, "localhost:123456789", 0, "localhost:123456789"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.scheme(), url.host(), url.port(), url.address().as_str()), (scheme, host, port, address));
        }
        assert_eq!(Url::parse("HTTP://a:1").unwrap().as_str(), "http://a:1");
    }

    #[test]
    fn bad_addresses_say_what_is_wrong() {
        for (text, message) in [
            ("", "URL scheme must be http, https, unix, or unixs: "),
            ("localhost:2379", "URL scheme must be http, https, unix, or unixs: localhost:2379"),
            ("ftp://a:1", "URL scheme must be http, https, unix, or unixs: ftp://a:1"),
            ("http://localhost", "URL address does not have the form \"host:port\": http://localhost"),
            ("http://::1:2379", "URL address does not have the form \"host:port\": http://::1:2379"),
            ("http://a:99999", "URL address does not have the form \"host:port\": http://a:99999"),
            ("http://a:1/", "URL must not contain a path: http://a:1/"),
            ("http://a:1/x", "URL must not contain a path: http://a:1/x"),
        ] {
            assert_eq!(Url::parse(text).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn lists_are_sorted_and_unique() {
        let urls = Url::parse_list("http://b:1, http://a:2,http://b:1").unwrap();
        assert_eq!(join(&urls), "http://a:2,http://b:1");
    }

    #[test]
    fn only_addresses_and_localhost_can_be_bound() {
        for (text, good) in [
            ("http://localhost:1", true),
            ("http://0.0.0.0:1", true),
            ("http://[::]:1", true),
            ("unix:///x", true),
            ("http://example.com:1", false),
            ("http://:1", false),
        ] {
            assert_eq!(Url::parse(text).unwrap().check_bind().is_ok(), good, "{text}");
        }
    }
}
