//! Ports that stay ours between choosing them and listening on them, and while a member is down.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with, sockopt};

use crate::Error;

/// A port of 127.0.0.1, held for the life of this value.
///
/// The socket is bound with SO_REUSEADDR and never listens. Linux then lets another socket with SO_REUSEADDR listen on
/// the port (Go's and tokio's listeners set it), but gives the port to nobody who asks for any free one: neither to
/// `bind(0)` nor to an outgoing connection.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _held: OwnedFd,
}

impl Port {
    /// Takes a free port.
    pub fn reserve() -> Result<Port, Error> {
        Self::try_reserve()
            .map_err(|errno| Error::Io { what: "reserving a port of 127.0.0.1".into(), source: errno.into() })
    }

    fn try_reserve() -> rustix::io::Result<Port> {
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
        let address = SocketAddr::try_from(getsockname(&socket)?)?;
        Ok(Port { number: address.port(), _held: socket })
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// `127.0.0.1:number`.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.number))
    }

    /// `http://127.0.0.1:number`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_can_listen_on_a_reserved_port_and_again_after_it_stopped() {
        let port = Port::reserve().unwrap();
        for _ in 0..2 {
            std::net::TcpListener::bind(port.address()).unwrap();
        }
    }

    #[test]
    fn reserved_ports_are_never_given_twice() {
        let ports: Vec<Port> = (0..200).map(|_| Port::reserve().unwrap()).collect();
        let mut numbers: Vec<u16> = ports.iter().map(Port::number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), ports.len());
    }
}
