//! Groups of flags that resolve to one value: TLS, discovery, log, tokens, compaction, tracing.

use std::path::PathBuf;
use std::time::Duration;

use super::Error;
use super::resolve::Reader;
use super::resolved::{
    AuthToken, AutoCompaction, Discovery, DiscoveryKeys, DiscoveryUrl, Log, LogFormat, LogLevel, LogOutput,
    LogRotation, Tls, TlsVersion, Tracing,
};
use super::value;

pub(super) fn client_tls(r: &Reader) -> Result<Tls, Error> {
    let tls = Tls {
        cert_file: r.path("cert-file")?,
        key_file: r.path("key-file")?,
        client_cert_file: r.path("client-cert-file")?,
        client_key_file: r.path("client-key-file")?,
        trusted_ca_file: r.path("trusted-ca-file")?,
        crl_file: r.path("client-crl-file")?,
        client_cert_auth: r.bool("client-cert-auth")?,
        auto: r.bool("auto-tls")?,
        allowed_cns: r.list("client-cert-allowed-cn")?,
        allowed_hostnames: r.list("client-cert-allowed-hostname")?,
        skip_client_san_verification: false,
    };
    check_allowed(&tls, "client-cert")?;
    Ok(tls)
}

pub(super) fn peer_tls(r: &Reader) -> Result<Tls, Error> {
    let tls = Tls {
        cert_file: r.path("peer-cert-file")?,
        key_file: r.path("peer-key-file")?,
        client_cert_file: r.path("peer-client-cert-file")?,
        client_key_file: r.path("peer-client-key-file")?,
        trusted_ca_file: r.path("peer-trusted-ca-file")?,
        crl_file: r.path("peer-crl-file")?,
        client_cert_auth: r.bool("peer-client-cert-auth")?,
        auto: r.bool("peer-auto-tls")?,
        allowed_cns: r.list("peer-cert-allowed-cn")?,
        allowed_hostnames: r.list("peer-cert-allowed-hostname")?,
        skip_client_san_verification: r.bool("peer-skip-client-san-verification")?,
    };
    check_allowed(&tls, "peer-cert")?;
    Ok(tls)
}

fn check_allowed(tls: &Tls, prefix: &'static str) -> Result<(), Error> {
    if !tls.allowed_cns.is_empty() && !tls.allowed_hostnames.is_empty() {
        return Err(Error::CnAndHostname(prefix));
    }
    Ok(())
}

pub(super) fn tls_versions(r: &Reader) -> Result<(TlsVersion, Option<TlsVersion>), Error> {
    let read = |flag: &'static str| {
        let text = r.text(flag)?;
        match text.as_str() {
            "" => Ok(None),
            "TLS1.2" => Ok(Some(TlsVersion::V1_2)),
            "TLS1.3" => Ok(Some(TlsVersion::V1_3)),
            _ => Err(Error::TlsVersion { flag, value: text }),
        }
    };
    let min = read("tls-min-version")?.unwrap_or(TlsVersion::V1_2);
    let max = read("tls-max-version")?;
    if max.is_some_and(|max| min > max) {
        return Err(Error::TlsVersionOrder);
    }
    if min == TlsVersion::V1_3 && !r.list("cipher-suites")?.is_empty() {
        return Err(Error::CipherSuites);
    }
    Ok((min, max))
}

pub(super) fn discovery(r: &Reader) -> Result<Option<Discovery>, Error> {
    let by_url = discovery_url(r)?.map(Discovery::Url);
    let by_keys = discovery_keys(r)?.map(Discovery::Keys);
    match (by_url, by_keys) {
        (Some(_), Some(_)) => Err(Error::ConflictingBootstrapUrl),
        (by_url, by_keys) => Ok(by_url.or(by_keys)),
    }
}

fn discovery_url(r: &Reader) -> Result<Option<DiscoveryUrl>, Error> {
    let falls_back = r.text("discovery-fallback")? == "proxy";
    let proxy = r.nonempty("discovery-proxy")?;
    let Some(url) = r.nonempty("discovery")? else {
        return match (falls_back, proxy) {
            (true, _) => Err(Error::FallbackProxy),
            (_, Some(_)) => Err(Error::DiscoveryProxyAlone),
            _ => Ok(None),
        };
    };
    let refused = |flag, given: &str, reason| Err(Error::Discovery { flag, given: given.to_owned(), reason });
    let url = url.trim_end_matches('/').to_owned();
    let has_token = |uri: &http::Uri| uri.path().len() > 1 && uri.query().is_none();
    match url.parse::<http::Uri>() {
        Ok(uri) if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() => {
            return refused("discovery", &url, "an address with http:// or https:// is wanted");
        }
        Ok(uri) if !has_token(&uri) => {
            return refused("discovery", &url, "the token is missing: the path of the URL that a service has made");
        }
        Ok(_) => {}
        Err(_) => return refused("discovery", &url, "that is no URL"),
    }
    if let Some(proxy) = &proxy {
        let uri = proxy.parse::<http::Uri>().ok();
        if uri.is_none_or(|uri| uri.scheme_str() != Some("http") || uri.host().is_none()) {
            return refused("discovery-proxy", proxy, "an address of the form http://HOST:PORT is wanted");
        }
    }
    Ok(Some(DiscoveryUrl {
        url,
        proxy,
        falls_back,
        insecure_skip_tls_verify: r.bool("discovery-insecure-skip-tls-verify")?,
        cert: r.path("discovery-cert")?,
        key: r.path("discovery-key")?,
        cacert: r.path("discovery-cacert")?,
    }))
}

fn discovery_keys(r: &Reader) -> Result<Option<DiscoveryKeys>, Error> {
    let endpoints = r.list("discovery-endpoints")?;
    let token = r.text("discovery-token")?;
    if token.is_empty() != endpoints.is_empty() {
        return Err(Error::DiscoveryPair);
    }
    if endpoints.iter().any(|endpoint| endpoint.trim().is_empty()) {
        return Err(Error::DiscoveryEndpoint);
    }
    if endpoints.is_empty() {
        return Ok(None);
    }
    Ok(Some(DiscoveryKeys {
        endpoints,
        token,
        dial_timeout: r.duration("discovery-dial-timeout")?,
        request_timeout: r.duration("discovery-request-timeout")?,
        keepalive_time: r.duration("discovery-keepalive-time")?,
        keepalive_timeout: r.duration("discovery-keepalive-timeout")?,
        insecure_transport: r.bool("discovery-insecure-transport")?,
        insecure_skip_tls_verify: r.bool("discovery-insecure-skip-tls-verify")?,
        cert: r.path("discovery-cert")?,
        key: r.path("discovery-key")?,
        cacert: r.path("discovery-cacert")?,
        user: r.text("discovery-user")?,
        password: r.text("discovery-password")?,
    }))
}

/// A bare number is hours or revisions; anything else must be a duration.
pub(super) fn auto_compaction(r: &Reader) -> Result<AutoCompaction, Error> {
    let mode = r.text("auto-compaction-mode")?;
    let text = r.text("auto-compaction-retention")?;
    let text = if text.is_empty() { "0".to_owned() } else { text };
    let refuse = |fix| Err(Error::CompactionRetention { value: text.clone(), fix });
    // A plain decimal, as Go's Atoi takes it: no prefix of another base.
    let number = text.parse::<i64>().ok().filter(|number| *number >= 0);
    match (mode.as_str(), number) {
        ("periodic" | "revision", Some(0)) => Ok(AutoCompaction::Off),
        ("revision", Some(revisions)) => Ok(AutoCompaction::Revision(revisions)),
        ("revision", None) => refuse("use a number of revisions with --auto-compaction-mode=revision"),
        ("periodic", Some(hours)) => match u64::try_from(hours).ok().and_then(|hours| hours.checked_mul(3600)) {
            Some(seconds) => Ok(AutoCompaction::Periodic(Duration::from_secs(seconds))),
            None => refuse("the number of hours is too large"),
        },
        ("periodic", None) => match value::parse_duration(&text).ok().and_then(value::to_duration) {
            Some(duration) if duration.is_zero() => Ok(AutoCompaction::Off),
            Some(duration) => Ok(AutoCompaction::Periodic(duration)),
            None => refuse("use a number of hours or a duration such as 30m"),
        },
        ("", _) => Err(Error::CompactionModeEmpty),
        _ => Err(Error::CompactionMode(mode)),
    }
}

pub(super) fn auth_token(r: &Reader) -> Result<AuthToken, Error> {
    let text = r.text("auth-token")?;
    let mut parts = text.split(',');
    match parts.next() {
        Some("" | "simple") => Ok(AuthToken::Simple),
        Some("jwt") => {
            let options = parts
                .map(|part| part.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())))
                .collect::<Option<Vec<_>>>();
            options.map(AuthToken::Jwt).ok_or(Error::AuthToken(text))
        }
        _ => Err(Error::AuthToken(text)),
    }
}

/// etcd falls back to the default cost instead of refusing.
pub(super) fn bcrypt_cost(r: &mut Reader) -> Result<u32, Error> {
    match r.uint("bcrypt-cost")? {
        cost @ 4..=31 => Ok(cost as u32),
        cost => {
            r.replaced("bcrypt-cost", cost.to_string(), "10".to_owned());
            Ok(10)
        }
    }
}

pub(super) fn extensive_metrics(r: &Reader) -> Result<bool, Error> {
    let text = r.text("metrics")?;
    match text.as_str() {
        "" | "basic" => Ok(false),
        "extensive" => Ok(true),
        _ => Err(Error::Metrics(text)),
    }
}

pub(super) fn tracing(r: &Reader) -> Result<Option<Tracing>, Error> {
    if !r.bool("enable-distributed-tracing")? {
        return Ok(None);
    }
    let rate = r.int("distributed-tracing-sampling-rate")?;
    let sampling_rate_per_million =
        u32::try_from(rate).ok().filter(|rate| *rate <= 1_000_000).ok_or(Error::SamplingRate(rate))?;
    let address = r.text("distributed-tracing-address")?;
    if !address.parse::<http::uri::Authority>().is_ok_and(|address| address.port_u16().is_some()) {
        return Err(Error::TracingAddress(address));
    }
    Ok(Some(Tracing {
        address,
        service_name: r.text("distributed-tracing-service-name")?,
        instance_id: r.text("distributed-tracing-instance-id")?,
        sampling_rate_per_million,
    }))
}

pub(super) fn log(r: &mut Reader) -> Result<Log, Error> {
    match r.text("logger")?.as_str() {
        "zap" => {}
        "capnslog" => return Err(Error::CapnsLog),
        other => return Err(Error::Logger(other.to_owned())),
    }
    let mut names = r.list("log-outputs")?;
    if names.is_empty() {
        names.push("default".to_owned());
    }
    if names.len() > 1 && names.iter().any(|name| name == "default") {
        return Err(Error::LogDefaultWithOthers);
    }
    let mut outputs = Vec::new();
    for name in names {
        let output = match name.as_str() {
            "default" | "stderr" => LogOutput::Stderr,
            "stdout" => LogOutput::Stdout,
            "systemd/journal" => LogOutput::Journal,
            path => LogOutput::File(PathBuf::from(path)),
        };
        if !outputs.contains(&output) {
            outputs.push(output);
        }
    }
    let rotation = if r.bool("enable-log-rotation")? {
        if outputs.iter().filter(|output| matches!(output, LogOutput::File(_))).count() != 1 {
            return Err(Error::RotationOutputs);
        }
        Some(rotation(&r.text("log-rotation-config-json")?)?)
    } else {
        None
    };
    let level = r.text("log-level")?;
    let format = r.text("log-format")?;
    Ok(Log {
        level: if level.is_empty() { LogLevel::Info } else { LogLevel::named(&level).ok_or(Error::LogLevel(level))? },
        format: match format.as_str() {
            "" | "json" => LogFormat::Json,
            "console" => LogFormat::Console,
            _ => return Err(Error::LogFormat(format)),
        },
        outputs,
        rotation,
    })
}

fn rotation(text: &str) -> Result<LogRotation, Error> {
    /// The keys of etcd's rotation library.
    #[derive(serde::Deserialize, Default)]
    #[serde(default, deny_unknown_fields)]
    struct Json {
        maxsize: u64,
        maxage: u64,
        maxbackups: usize,
        localtime: bool,
        compress: bool,
    }
    // A list would be read as the fields in their order.
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|error| Error::RotationConfig(error.to_string()))?;
    let json: Json = serde_json::from_value(object.into()).map_err(|error| Error::RotationConfig(error.to_string()))?;
    let megabytes = if json.maxsize == 0 { 100 } else { json.maxsize };
    Ok(LogRotation {
        max_size_bytes: megabytes.saturating_mul(1 << 20),
        max_age: Some(json.maxage)
            .filter(|days| *days > 0)
            .map(|days| Duration::from_secs(days.saturating_mul(86_400))),
        max_backups: Some(json.maxbackups).filter(|count| *count > 0),
        in_local_time: json.localtime,
        compresses: json.compress,
    })
}
