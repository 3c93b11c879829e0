//! Where a node is said to be: HOST:PORT, as a person writes it. HOST is an IPv4 address, an IPv6
//! address in brackets, or a name that is looked up when it is used, since names move. Or `serial`:
//! at the other end of a serial line, whichever is used.

use core::fmt;
use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use core::str::FromStr;
use std::io;

const NAME_BYTES_MAX: usize = 253;
const SERIAL: &str = "serial";

/// A host and a port, or a serial line's other end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// An address and a port.
    Address(SocketAddr),
    /// A host's name and a port.
    Name(String, u16),
    /// The other end of a serial line.
    Serial,
}

/// Why a text is not HOST:PORT.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// No colon and number at its end.
    #[error("{0:?} has no port; write HOST:PORT, for example 192.168.1.20:4433 or [fe80::1]:4433")]
    NoPort(String),
    /// The number is none, zero or above 65535.
    #[error("the port of {0:?} is not a number from 1 to 65535")]
    BadPort(String),
    /// An IPv6 address outside brackets.
    #[error("an IPv6 address stands in brackets: [{host}]:{port}")]
    NoBrackets {
        /// The address.
        host: String,
        /// The port.
        port: String,
    },
    /// Neither an address nor a name.
    #[error("{0:?} is neither an address nor a host's name")]
    BadHost(String),
}

impl Place {
    /// The socket addresses behind this place; a name is looked up, a serial line has none.
    ///
    /// # Errors
    /// When the name is not known, or the system cannot look it up.
    pub async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::Address(address) => Ok(vec![*address]),
            Self::Serial => Ok(Vec::new()),
            Self::Name(name, port) => {
                let found = tokio::net::lookup_host((name.as_str(), *port)).await;
                let named =
                    |cause| io::Error::other(format!("cannot find the host {name:?}: {cause}"));
                Ok(found.map_err(named)?.collect())
            }
        }
    }
}

impl From<SocketAddr> for Place {
    fn from(address: SocketAddr) -> Self {
        Self::Address(SocketAddr::new(address.ip(), address.port()))
    }
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        if text == SERIAL {
            return Ok(Self::Serial);
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(|| PlaceError::NoPort(text.into()))?;
        let number = port.parse().ok().filter(|port| *port != 0);
        if let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            let address: Ipv6Addr = inner.parse().map_err(|_| PlaceError::BadHost(host.into()))?;
            let port = number.ok_or_else(|| PlaceError::BadPort(text.into()))?;
            return Ok(Self::Address(SocketAddr::new(address.into(), port)));
        }
        if text.parse::<Ipv6Addr>().is_ok() || text.ends_with(']') {
            return Err(PlaceError::NoPort(text.into()));
        }
        if host.parse::<Ipv6Addr>().is_ok() {
            return Err(PlaceError::NoBrackets { host: host.into(), port: port.into() });
        }
        let port = number.ok_or_else(|| PlaceError::BadPort(text.into()))?;
        match host.parse::<IpAddr>() {
            Ok(address) => Ok(Self::Address(SocketAddr::new(address, port))),
            Err(_) if is_host_name(host) => Ok(Self::Name(host.into(), port)),
            Err(_) => Err(PlaceError::BadHost(host.into())),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name, port) => write!(f, "{name}:{port}"),
            Self::Serial => f.write_str(SERIAL),
        }
    }
}

/// RFC 1123 section 2.1, underscores allowed since people have them; digits and dots alone are a
/// mistyped address.
fn is_host_name(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    host.len() <= NAME_BYTES_MAX
        && host.trim_end_matches('.').split('.').all(label)
        && host.bytes().any(|b| b.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_written_back() {
        for text in
            ["10.0.0.1:80", "[2001:db8::1]:443", "attic.example:7", "localhost:65535", "serial"]
        {
            assert_eq!(text.parse::<Place>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn each_slip_gets_its_own_words() {
        let error = |text: &str| text.parse::<Place>().unwrap_err();
        assert!(matches!(error("10.0.0.1"), PlaceError::NoPort(_)));
        assert!(matches!(error("[::1]"), PlaceError::NoPort(_)));
        assert!(matches!(error("10.0.0.1:0"), PlaceError::BadPort(_)));
        assert!(matches!(error("10.0.0.1:99999"), PlaceError::BadPort(_)));
        assert!(matches!(error("host:http"), PlaceError::BadPort(_)));
        assert!(matches!(error("10.0.0.256:80"), PlaceError::BadHost(_)));
        assert!(matches!(error(":80"), PlaceError::BadHost(_)));
        assert!(matches!(error("-x:80"), PlaceError::BadHost(_)));
        assert!(matches!(error("[host]:80"), PlaceError::BadHost(_)));
        assert!(matches!(error("2001:db8::1:99999"), PlaceError::NoBrackets { .. }));
    }

    #[tokio::test]
    async fn an_address_needs_no_lookup() {
        let place: Place = "[::1]:9".parse().unwrap();
        assert_eq!(place.resolve().await.unwrap(), ["[::1]:9".parse().unwrap()]);
        assert!(Place::Serial.resolve().await.unwrap().is_empty());
        let nowhere: Place = "no-such-host.invalid:9".parse().unwrap();
        let error = nowhere.resolve().await.unwrap_err().to_string();
        assert!(error.contains("no-such-host.invalid"), "{error}");
    }
}
