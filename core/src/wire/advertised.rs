//! The addresses that a node tells its peer, each with its link and that link's class.

use super::choice::Choice;
use super::cursor::{Full, Malformed, Reader, Writer};
use crate::id::{Address, CostClass, LinkId};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use heapless::Vec;
use serde::{Deserialize, Serialize};

/// Most addresses in one list.
pub const ADVERTISED_MAX: usize = 16;

/// A list of addresses.
pub type AdvertisedList = Vec<Advertised, ADVERTISED_MAX>;

/// One address of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Advertised {
    /// The node's own number for the link.
    pub link: LinkId,
    /// What the link costs.
    pub class: CostClass,
    /// Where datagrams reach the node on it.
    pub address: Address,
}

impl Advertised {
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let link = LinkId(reader.u8()?);
        let class = CostClass::decode(reader)?;
        let address = match reader.u32()? {
            0 => {
                let ip = match reader.u32()? {
                    0 => IpAddr::V4(Ipv4Addr::from(reader.array::<4>()?)),
                    1 => IpAddr::V6(Ipv6Addr::from(reader.array::<16>()?)),
                    _ => return Err(Malformed),
                };
                let port = u16::try_from(reader.u64()?).map_err(|_| Malformed)?;
                Address::Ip(SocketAddr::new(ip, port))
            }
            1 => Address::Serial,
            _ => return Err(Malformed),
        };
        Ok(Self { link, class, address })
    }

    pub(super) fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.whole(|writer| {
            writer.put_u8(self.link.0)?;
            self.class.encode(writer)?;
            match self.address {
                Address::Ip(address) => {
                    writer.put_u32(0)?;
                    match address.ip() {
                        IpAddr::V4(ip) => {
                            writer.put_u32(0)?;
                            writer.put_bytes(&ip.octets())?;
                        }
                        IpAddr::V6(ip) => {
                            writer.put_u32(1)?;
                            writer.put_bytes(&ip.octets())?;
                        }
                    }
                    writer.put_u64(address.port().into())
                }
                Address::Serial => writer.put_u32(1),
            }
        })
    }
}

/// A list with its length before it; `N` is the most it may hold.
pub(super) fn decode_list<const N: usize>(
    reader: &mut Reader<'_>,
) -> Result<Vec<Advertised, N>, Malformed> {
    let count = reader.u32()?;
    let mut list = Vec::new();
    for _ in 0..count {
        let advertised = Advertised::decode(reader)?;
        list.push(advertised).map_err(|_| Malformed)?;
    }
    Ok(list)
}

pub(super) fn encode_list(list: &[Advertised], writer: &mut Writer<'_>) -> Result<(), Full> {
    writer.put_u64(list.len() as u64)?;
    for advertised in list {
        advertised.encode(writer)?;
    }
    Ok(())
}
