//! Peer URLs and `--initial-cluster`, by etcd's rules (`client/pkg/types`).

use std::collections::BTreeMap;
use std::net::{IpAddr, ToSocketAddrs};

use quorate_format::go_quote::quote;

/// Reads a list of URLs; they come back sorted.
pub(crate) fn parse_list<'a>(urls: impl IntoIterator<Item = &'a str>) -> Result<Vec<String>, String> {
    let mut parsed = urls.into_iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    parsed.sort();
    Ok(parsed)
}

/// Reads `NAME=URL,NAME=URL`; a name may come several times.
pub(crate) fn parse_cluster(list: &str) -> Result<BTreeMap<String, Vec<String>>, String> {
    let mut urls: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for member in list.split(',').filter(|member| !member.is_empty()) {
        let (name, url) = member.split_once('=').unwrap_or((member, ""));
        urls.entry(name).or_default().push(url);
    }
    urls.into_iter().map(|(name, urls)| Ok((name.to_owned(), parse_list(urls)?))).collect()
}

fn parse(url: &str) -> Result<String, String> {
    let url = url.trim();
    let bad_scheme = || format!("URL scheme must be http, https, unix, or unixs: {url}");
    let (scheme, rest) = url.split_once(':').ok_or_else(bad_scheme)?;
    let scheme = scheme.to_ascii_lowercase();
    match scheme.as_str() {
        "http" | "https" => {}
        "unix" | "unixs" => return Ok(format!("{scheme}:{rest}")),
        _ => return Err(bad_scheme()),
    }
    let bad_address = || format!("URL address does not have the form \"host:port\": {url}");
    let authority = rest.strip_prefix("//").ok_or_else(bad_address)?;
    let end = authority.find(['/', '?', '#']).unwrap_or(authority.len());
    let (authority, behind) = authority.split_at(end);
    let (_, port) = split_host_port(authority).ok_or_else(bad_address)?;
    if !port.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(format!(
            "parse {}: invalid port {} after host",
            quote(url.as_bytes()),
            quote(format!(":{port}").as_bytes())
        ));
    }
    match behind.starts_with('/') {
        true => Err(format!("URL must not contain a path: {url}")),
        false => Ok(format!("{scheme}://{authority}{behind}")),
    }
}

/// `host:port` or `[host]:port`.
fn split_host_port(authority: &str) -> Option<(&str, &str)> {
    let address = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
    match address.strip_prefix('[') {
        Some(rest) => rest.split_once("]:"),
        None => address.split_once(':').filter(|(host, port)| !host.contains(['[', ']']) && !port.contains(':')),
    }
}

/// Whether two sorted lists mean the same addresses, host names looked up if need be.
pub(crate) fn same_addresses(a: &[String], b: &[String]) -> Result<(), String> {
    if a.len() != b.len() {
        return Err(format!("len({}) != len({})", quote_list(a), quote_list(b)));
    }
    if a == b {
        return Ok(());
    }
    let resolve_all = |urls: &[String]| -> Result<Vec<String>, String> {
        let mut resolved = urls.iter().map(|url| resolve(url)).collect::<Result<Vec<_>, _>>()?;
        resolved.sort();
        Ok(resolved)
    };
    let (a, b) = (resolve_all(a)?, resolve_all(b)?);
    match a.iter().zip(&b).find(|(a, b)| a != b) {
        Some((a, b)) => Err(format!("resolved urls: {} != {}", quote(a.as_bytes()), quote(b.as_bytes()))),
        None => Ok(()),
    }
}

/// The URL with its host name replaced by the first address it stands for. `localhost` stays, as in etcd.
fn resolve(url: &str) -> Result<String, String> {
    let Some((scheme, authority)) = url.split_once("://") else { return Ok(url.to_owned()) };
    let Some((host, port)) = split_host_port(authority) else { return Ok(url.to_owned()) };
    if scheme.starts_with("unix") || host == "localhost" || host.parse::<IpAddr>().is_ok() {
        return Ok(url.to_owned());
    }
    let fail = |error: String| format!("failed to resolve {} ({error})", quote(url.as_bytes()));
    let port = port.parse().map_err(|_| fail(format!("invalid port {port}")))?;
    let address = (host, port).to_socket_addrs().map_err(|error| fail(error.to_string()))?.next();
    address.map(|address| format!("{scheme}://{address}")).ok_or_else(|| fail("no address".into()))
}

fn quote_list(urls: &[String]) -> String {
    let quoted: Vec<String> = urls.iter().map(|url| quote(url.as_bytes()).to_string()).collect();
    format!("[{}]", quoted.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_names_with_sorted_urls() {
        let cluster = parse_cluster("b=http://h:2,a=https://[::1]:1,,b= HTTP://h:1").unwrap();
        assert_eq!(cluster["a"], ["https://[::1]:1"]);
        assert_eq!(cluster["b"], ["http://h:1", "http://h:2"]);
    }

    #[test]
    fn a_bad_url_is_named_with_etcds_words() {
        for (url, text) in [
            ("http://x", "URL address does not have the form \"host:port\": http://x"),
            ("http://::1:2380", "URL address does not have the form \"host:port\": http://::1:2380"),
            ("http://h:1/", "URL must not contain a path: http://h:1/"),
            ("ftp://h:1", "URL scheme must be http, https, unix, or unixs: ftp://h:1"),
            ("", "URL scheme must be http, https, unix, or unixs: "),
            ("http://h:x", "parse \"http://h:x\": invalid port \":x\" after host"),
        ] {
            assert_eq!(parse(url).unwrap_err(), text);
        }
        assert_eq!(parse("unix://a.sock").unwrap(), "unix://a.sock");
    }

    #[test]
    fn addresses_are_the_same_only_if_each_is() {
        let list = |urls: &[&str]| urls.iter().map(|url| (*url).to_owned()).collect::<Vec<_>>();
        assert!(same_addresses(&list(&["http://1.2.3.4:1"]), &list(&["http://1.2.3.4:1"])).is_ok());
        let error = same_addresses(&list(&["http://localhost:1"]), &list(&["http://localhost:2"])).unwrap_err();
        assert_eq!(error, "resolved urls: \"http://localhost:1\" != \"http://localhost:2\"");
        let error = same_addresses(&list(&[]), &list(&["http://localhost:2"])).unwrap_err();
        assert_eq!(error, "len([]) != len([\"http://localhost:2\"])");
    }
}
