//! The order of reading: command line, then the file or the environment, then everything that follows from them.

use std::net::{IpAddr, UdpSocket};

use super::args::{self, Stop};
use super::resolved::Config;
use super::{Error, Notice, env, file, help, resolve};

/// The release of etcd whose API this server speaks.
pub const API_VERSION: &str = "3.7.3";

/// What the process is to do.
#[derive(Debug)]
pub enum Command {
    /// Serve; open the log by `config.log`, then write the notices to it.
    Serve { config: Box<Config>, notices: Vec<Notice> },
    /// Print and exit.
    Print(Output),
    /// Write the notices and the error to a default log, then exit with status 1.
    Refuse { notices: Vec<Notice>, error: Error },
}

/// Exact bytes for the two standard streams.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Output {
    pub stdout: String,
    pub stderr: String,
    pub status: u8,
}

/// Reads a file by its path.
pub type ReadFile = dyn Fn(&str) -> std::io::Result<String>;

/// Where values come from. [`Sources::of_process`] is the real one; tests make their own.
pub struct Sources {
    /// Without the program's name.
    pub args: Vec<String>,
    pub variables: Vec<(String, String)>,
    pub read_file: Box<ReadFile>,
    /// The address of the machine's default route.
    pub default_host: Box<dyn Fn() -> Option<IpAddr>>,
}

impl Sources {
    pub fn of_process() -> Self {
        let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        Self {
            args: std::env::args_os().skip(1).map(lossy).collect(),
            variables: std::env::vars_os().map(|(key, value)| (lossy(key), lossy(value))).collect(),
            read_file: Box::new(|path| std::fs::read_to_string(path)),
            default_host: Box::new(default_host),
        }
    }
}

impl Command {
    /// Reads everything and decides. Nothing is printed or logged here.
    pub fn read(sources: &Sources) -> Self {
        let (given, positional) = match args::parse(&sources.args) {
            Ok(parsed) => parsed,
            Err(Stop::Help) => {
                let stderr = help::USAGE.to_owned();
                return Self::Print(Output { stdout: help::flags(), stderr, status: 0 });
            }
            Err(Stop::Usage(complaint)) => {
                let stderr = format!("{complaint}\n{}", help::USAGE);
                return Self::Print(Output { stderr, status: 2, ..Output::default() });
            }
        };
        let mut notices = Vec::new();
        if let Some(argument) = positional {
            return Self::Refuse { notices, error: Error::Positional(argument) };
        }
        if given.get("version") == Some(&super::value::Value::Bool(true)) {
            return Self::Print(Output { stdout: help::version(), ..Output::default() });
        }
        match serve(sources, given, &mut notices) {
            Ok(config) => Self::Serve { config: Box::new(config), notices },
            Err(error) => Self::Refuse { notices, error },
        }
    }
}

fn serve(sources: &Sources, mut given: super::given::Given, notices: &mut Vec<Notice>) -> Result<Config, Error> {
    let path = match given.get("config-file") {
        Some(super::value::Value::Text(path)) if !path.is_empty() => Some(path.clone()),
        _ => {
            let variable = sources.variables.iter().find(|(key, value)| key == "ETCD_CONFIG_FILE" && !value.is_empty());
            variable.map(|(_, value)| value.clone())
        }
    };
    match path {
        Some(path) => {
            let text = (sources.read_file)(&path).map_err(|source| Error::FileRead { path: path.clone(), source })?;
            given = file::read(&path, &text, notices)?;
            notices.push(Notice::FileLoaded { path });
        }
        None => env::merge(&mut given, &sources.variables, notices)?,
    }
    given.settle(notices)?;
    resolve::resolve(&given, &*sources.default_host, notices)
}

/// Connecting a UDP socket sends nothing; it only asks the kernel which address it would send from.
fn default_host() -> Option<IpAddr> {
    let socket = UdpSocket::bind(("0.0.0.0", 0)).ok()?;
    // A documentation address (RFC 5737): routed by the default route, owned by nobody.
    socket.connect(("192.0.2.1", 9)).ok()?;
    let host = socket.local_addr().ok()?.ip();
    (!host.is_unspecified() && !host.is_loopback()).then_some(host)
}
