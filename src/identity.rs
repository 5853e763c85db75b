//! Who is calling.
//!
//! Until callers authenticate, a caller is known by the connection that it came
//! over, and only loopback and unix sockets are listened on unless the operator
//! insists.

use std::fmt;
use std::net::SocketAddr;

/// The party that asks for decisions: an enforcement point, not the principal
/// that it asks about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Over TCP, from this address.
    Tcp(SocketAddr),
    /// Over a unix socket; the user id of the process, where the system tells.
    Unix(Option<u32>),
    /// In the same process.
    Local,
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp:{address}"),
            Self::Unix(Some(uid)) => write!(f, "unix:uid={uid}"),
            Self::Unix(None) => f.write_str("unix"),
            Self::Local => f.write_str("local"),
        }
    }
}
