//! Printing of replies in the five formats of `--write-out`. A file a subject says how its replies look in each.

mod alarm;
mod auth;
mod downgrade;
mod endpoint;
mod header;
mod json;
mod kv;
mod lease;
mod member;
mod table;
mod text;
mod txn;
mod watch;

use std::io::{self, Write};

pub use auth::{AuthChange, Role, User};
pub use downgrade::Downgraded;
pub use endpoint::{EndpointHashes, EndpointHealth, EndpointStatuses, Health, MovedLeader};
pub use json::{Json, Object};
pub use lease::{Granted, KeptAlive, LeaseList, Revoked, TimeToLive};
pub use member::{MemberChange, MemberChanged};
pub use table::Table;
pub use text::Text;
pub use watch::Watched;
pub(crate) use watch::kind_name;

use crate::failure::{Exit, Failure};

/// The value of `--write-out`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Simple,
    Fields,
    Json,
    Protobuf,
    Table,
}

impl Format {
    /// Reads the flag's value.
    pub fn parse(name: &str) -> Result<Self, Failure> {
        match name {
            "simple" => Ok(Self::Simple),
            "fields" => Ok(Self::Fields),
            "json" => Ok(Self::Json),
            "protobuf" => Ok(Self::Protobuf),
            "table" => Ok(Self::Table),
            _ => Err(Failure::new(Exit::BadFeature, "unsupported output format")),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Fields => "fields",
            Self::Json => "json",
            Self::Protobuf => "protobuf",
            Self::Table => "table",
        }
    }
}

/// Choices within a format.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// `--hex`: ids and, in the simple format, keys and values as hexadecimal digits.
    pub hex: bool,
    /// `--print-value-only` of the simple format.
    pub value_only: bool,
}

/// A reply that can be printed. `None` is a format that etcdctl doesn't have for it.
pub trait Reply {
    fn simple(&self, style: Style) -> Text;

    fn fields(&self, _style: Style) -> Option<Text> {
        None
    }

    fn json(&self, style: Style) -> Option<Json>;

    fn protobuf(&self) -> Option<Vec<u8>> {
        None
    }

    fn table(&self) -> Option<Table> {
        None
    }
}

/// Where replies go: standard output in the chosen format.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    pub format: Format,
    pub style: Style,
}

impl Output {
    /// Prints a reply, all of it before this returns.
    pub fn print(&self, reply: &impl Reply) -> Result<(), Failure> {
        let bytes = match self.format {
            Format::Simple => Some(reply.simple(self.style).into_bytes()),
            Format::Fields => reply.fields(self.style).map(Text::into_bytes),
            Format::Json => reply.json(self.style).map(|json| format!("{json}\n").into_bytes()),
            Format::Protobuf => reply.protobuf(),
            Format::Table => reply.table().map(|table| table.render().into_bytes()),
        };
        let Some(bytes) = bytes else {
            return Err(Failure::new(
                Exit::BadFeature,
                format!("{} not supported as output format", self.format.name()),
            ));
        };
        write(&bytes)
    }
}

/// Writes to standard output and flushes, so that a pipe sees each reply as it comes.
pub fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        // The reader has what it wanted, as `head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::silent(Exit::Error)),
        Err(error) => Err(Failure::new(Exit::Io, format!("could not write to standard output: {error}"))),
    }
}

/// Writes a line to standard output.
pub fn write_line(line: &str) -> Result<(), Failure> {
    write(format!("{line}\n").as_bytes())
}
