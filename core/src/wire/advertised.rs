//! The addresses that a node tells its peer, each with its link and that link's class.

use super::choice::Choice;
use super::cursor::{Full, Malformed, Reader, Writer};
use crate::id::{Address, CostClass, LinkId};
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use heapless::Vec;
use serde::{Deserialize, Serialize};

/// Most addresses in one list.
pub const ADVERTISED_MAX: usize = 16;

/// A list of addresses: of ours, or as a peer's bytes tell it, so that neither is copied.
#[derive(Clone, Copy)]
pub struct AddressList<'d>(Source<'d>);

#[derive(Clone, Copy)]
enum Source<'d> {
    Own(&'d [Advertised]),
    /// The encoded entries, which were looked through before, and their number.
    Told(&'d [u8], u32),
}

impl<'d> From<&'d [Advertised]> for AddressList<'d> {
    /// What is beyond [`ADVERTISED_MAX`] is left out.
    fn from(list: &'d [Advertised]) -> Self {
        Self(Source::Own(list.get(..ADVERTISED_MAX).unwrap_or(list)))
    }
}

impl<'d> AddressList<'d> {
    /// The addresses, in their order.
    pub fn iter(&self) -> impl Iterator<Item = Advertised> + 'd {
        let (own, bytes, count) = match self.0 {
            Source::Own(list) => (list, &[][..], 0),
            Source::Told(bytes, count) => (&[][..], bytes, count),
        };
        let mut reader = Reader::new(bytes);
        let told = (0..count).map_while(move |_| Advertised::decode(&mut reader).ok());
        own.iter().copied().chain(told)
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self.0 {
            Source::Own(list) => list.len(),
            Source::Told(_, count) => count as usize,
        }
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn decode(reader: &mut Reader<'d>) -> Result<Self, Malformed> {
        let count = reader.u32()?;
        if count > ADVERTISED_MAX as u32 {
            return Err(Malformed);
        }
        let whole = reader.as_slice();
        for _ in 0..count {
            Advertised::decode(reader)?;
        }
        let len = whole.len().saturating_sub(reader.remaining());
        Ok(Self(Source::Told(whole.get(..len).unwrap_or_default(), count)))
    }

    pub(super) fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.put_u64(self.len() as u64)?;
        self.iter().try_for_each(|advertised| advertised.encode(writer))
    }
}

impl PartialEq for AddressList<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for AddressList<'_> {}

impl fmt::Debug for AddressList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

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
