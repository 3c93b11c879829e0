//! Values on the command line: sizes, rates, times, and how a board's link gets its address.

use crate::bench::messages::{RATE_MAX, RATE_MIN, SIZE_MAX, SIZE_MIN};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::num::NonZeroU64;
use core::time::Duration;
use ropewalk_core::application::settings::Addressing;

pub(super) fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|sign: char| sign.is_ascii_alphabetic());
    let unit = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" | "B" => 1,
        "K" | "KB" | "KIB" => 1 << 10,
        "M" | "MB" | "MIB" => 1 << 20,
        "G" | "GB" | "GIB" => 1 << 30,
        "T" | "TB" | "TIB" => 1_u64 << 40,
        _ => return Err("the unit must be K, M, G or T".into()),
    };
    let number: u64 = digits.parse().map_err(|_| "write a whole number, as in 16M".to_owned())?;
    let size = number.checked_mul(unit).ok_or("that is too much")?;
    if size == 0 { Err("it must be more than nothing".into()) } else { Ok(size) }
}

pub(super) fn quota(text: &str) -> Result<(String, u64), String> {
    match text.rsplit_once('=') {
        Some((name, bytes)) if !name.is_empty() => Ok((name.to_owned(), size(bytes)?)),
        _ => Err("write a link and a number of bytes, as in wwan0=500M".into()),
    }
}

pub(super) fn message_size(text: &str) -> Result<usize, String> {
    let most = SIZE_MAX as u64;
    match size(text)? {
        size if size < SIZE_MIN as u64 => {
            Err(format!("a message has {SIZE_MIN} bytes at least: its number and its time"))
        }
        size if size > most => Err(format!("a message has {most} bytes at most")),
        size => usize::try_from(size).map_err(|_| "that is too much".into()),
    }
}

/// Bytes a second.
pub(super) fn bytes_a_second(text: &str) -> Result<NonZeroU64, String> {
    NonZeroU64::new(size(text)?).ok_or_else(|| "it must be more than nothing".into())
}

/// A BLAKE3 hash.
pub(super) fn hash(text: &str) -> Result<blake3::Hash, String> {
    let hash = blake3::Hash::from_hex(text.trim());
    hash.map_err(|_| "write a hash of 64 hexadecimal digits, as `serve` and b3sum print it".into())
}

pub(super) fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (RATE_MIN..=RATE_MAX).contains(&rate) => Ok(rate),
        _ => Err(format!("write a number of messages a second, {RATE_MIN} to {RATE_MAX}")),
    }
}

pub(super) fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if seconds > 0.0 && seconds <= 1e6 => Ok(seconds),
        _ => Err("write a number of seconds above zero".into()),
    }
}

/// How long to wait between two reports.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    let seconds = seconds(text)?;
    if seconds < 0.1 {
        return Err("write 0.1 seconds or more".into());
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// Where metrics are given away.
pub(super) fn metrics_address(text: &str) -> Result<SocketAddr, String> {
    match text.parse() {
        Ok(port) => Ok((Ipv4Addr::LOCALHOST, port).into()),
        Err(_) => text
            .parse()
            .map_err(|_| "write a port, or an address and a port: 9100, 127.0.0.1:9100".into()),
    }
}

/// How a link of a board gets its address.
pub(super) fn addressing(text: &str) -> Result<Addressing, String> {
    match text {
        "off" => return Ok(Addressing::Off),
        "link-local" => return Ok(Addressing::LinkLocal),
        "dhcp" => return Ok(Addressing::Dhcp),
        _ => {}
    }
    let (own, gateway) = match text.split_once(",via=") {
        Some((own, gateway)) => (own, Some(gateway)),
        None => (text, None),
    };
    let (address, prefix) = own.split_once('/').ok_or_else(|| {
        format!("{text:?} is none of off, link-local, dhcp and ADDRESS/PREFIX, as in 10.0.0.5/24")
    })?;
    let parsed = address.parse::<IpAddr>();
    let address = parsed.map_err(|_| format!("{address:?} is no IP address"))?;
    let bits = bits_of(address);
    let prefix = prefix.parse::<u8>().ok().filter(|prefix| (1..=bits).contains(prefix));
    let prefix = prefix.ok_or_else(|| format!("the prefix behind {address}/ is 1 to {bits}"))?;
    if address.is_loopback() || address.is_unspecified() || address.is_multicast() {
        return Err(format!("{address} cannot be a board's address"));
    }
    let gateway = gateway.map(|text| via(text, address, prefix)).transpose()?;
    Ok(Addressing::Static { address, prefix, gateway })
}

/// A gateway is a neighbour: of the same family, and within the prefix unless it is link-local.
fn via(text: &str, address: IpAddr, prefix: u8) -> Result<IpAddr, String> {
    let gateway: IpAddr = text.parse().map_err(|_| format!("{text:?} is no IP address"))?;
    let near = match (gateway, address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            (a.to_bits() ^ b.to_bits()).leading_zeros() >= prefix.into()
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            a.is_unicast_link_local()
                || (a.to_bits() ^ b.to_bits()).leading_zeros() >= prefix.into()
        }
        _ => false,
    };
    if near && gateway != address {
        Ok(gateway)
    } else {
        Err(format!("the gateway {gateway} is no neighbour of {address}/{prefix}"))
    }
}

const fn bits_of(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!((size("7"), size("16M"), size("1g")), (Ok(7), Ok(16 << 20), Ok(1 << 30)));
        for bad in ["", "M", "1.5M", "-1", "0", "1X", "99999999999T", "ü"] {
            assert!(size(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_links_addressing_is_read_and_slips_are_named() {
        assert_eq!(addressing("dhcp"), Ok(Addressing::Dhcp));
        assert_eq!(addressing("off"), Ok(Addressing::Off));
        assert_eq!(addressing("link-local"), Ok(Addressing::LinkLocal));
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let fixed = |address, prefix, gateway| Addressing::Static { address, prefix, gateway };
        for (text, expected) in [
            ("10.0.0.5/24", fixed(ip("10.0.0.5"), 24, None)),
            ("10.0.0.5/24,via=10.0.0.1", fixed(ip("10.0.0.5"), 24, Some(ip("10.0.0.1")))),
            ("fd00::5/64,via=fe80::1", fixed(ip("fd00::5"), 64, Some(ip("fe80::1")))),
        ] {
            assert_eq!(addressing(text), Ok(expected), "{text}");
        }
        for (text, named) in [
            ("DHCP", "link-local"),
            ("10.0.0.5", "ADDRESS/PREFIX"),
            ("10.0.0.500/24", "10.0.0.500"),
            ("10.0.0.5/33", "1 to 32"),
            ("10.0.0.5/0", "1 to 32"),
            ("fd00::5/129", "1 to 128"),
            ("127.0.0.1/8", "127.0.0.1"),
            ("0.0.0.0/24", "0.0.0.0"),
            ("10.0.0.5/24,via=10.0.1.1", "neighbour"),
            ("10.0.0.5/24,via=10.0.0.5", "neighbour"),
            ("10.0.0.5/24,via=fe80::1", "neighbour"),
            ("10.0.0.5/24,via=", "no IP address"),
        ] {
            let error = addressing(text).unwrap_err();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
