//! A UDP socket on one interface: pinned to it where the system can, and sending and receiving
//! whole runs of packets in one call.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSocketState};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, IoSliceMut};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Which interface to send by.
#[derive(Clone, Debug)]
pub(crate) enum Pin {
    /// This one, by name and number.
    Interface {
        /// The system's name.
        name: String,
        /// The system's number.
        #[cfg_attr(
            any(target_os = "linux", target_os = "android", windows),
            expect(dead_code, reason = "these pin by name or address")
        )]
        index: u32,
        /// Its address, where pinning is impossible.
        fallback: IpAddr,
    },
    /// Whichever has this address.
    Address(IpAddr),
}

/// A socket for datagrams of one family on one link.
#[derive(Debug)]
pub(crate) struct LinkSocket {
    socket: UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
}

/// Room for what one call can bring.
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    meta: [RecvMeta; BATCH_SIZE],
    each: usize,
}

impl LinkSocket {
    /// A socket on the link, at `port`, or at a free one if that is zero.
    pub(crate) fn open(pin: &Pin, ipv6: bool, port: u16) -> io::Result<Self> {
        let domain = if ipv6 { Domain::IPV6 } else { Domain::IPV4 };
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        if ipv6 {
            socket.set_only_v6(true)?;
        }
        let any: IpAddr =
            if ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        let ip =
            match pin {
                Pin::Address(address) => *address,
                Pin::Interface { fallback, .. } => {
                    if bind_to_interface(&socket, pin, ipv6).is_ok() { any } else { *fallback }
                }
            };
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddr::new(ip, port).into())?;
        // What the system grants of it is enough.
        let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
        let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
        let socket = UdpSocket::from_std(socket.into())?;
        let state = UdpSocketState::new((&socket).into())?;
        let local = socket.local_addr()?;
        Ok(Self { socket, state, local })
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.local
    }

    pub(crate) fn port(&self) -> u16 {
        self.local.port()
    }

    pub(crate) fn is_ipv6(&self) -> bool {
        self.local.is_ipv6()
    }

    /// Sends a run of packets of `segment_size` bytes.
    pub(crate) async fn send(
        &self,
        run: &[u8],
        segment_size: usize,
        to: SocketAddr,
        from: Option<IpAddr>,
    ) -> io::Result<()> {
        // A socket bound to one address has no choice.
        let from = from.filter(|_| self.local.ip().is_unspecified());
        let most = self.state.max_gso_segments().max(1) * segment_size.max(1);
        for part in run.chunks(most) {
            let transmit = quinn_udp::Transmit {
                destination: to,
                ecn: None,
                contents: part,
                segment_size: (part.len() > segment_size).then_some(segment_size),
                src_ip: from,
            };
            let send = || self.state.try_send((&self.socket).into(), &transmit);
            self.socket.async_io(Interest::WRITABLE, send).await?;
        }
        Ok(())
    }

    /// Waits for datagrams; `each` gets every one with its sender and the address it was sent to.
    pub(crate) async fn receive(
        &self,
        inbox: &mut Inbox,
        mut each: impl FnMut(&mut [u8], SocketAddr, Option<IpAddr>),
    ) -> io::Result<()> {
        let Inbox { bytes, meta, each: room } = inbox;
        let count = self
            .socket
            .async_io(Interest::READABLE, || {
                let mut places: Vec<_> = bytes.chunks_mut(*room).map(IoSliceMut::new).collect();
                self.state.recv((&self.socket).into(), &mut places, meta)
            })
            .await?;
        for (meta, place) in meta.iter().zip(bytes.chunks_mut(*room)).take(count) {
            let run = &mut place[..meta.len];
            for datagram in run.chunks_mut(meta.stride.max(1)) {
                each(datagram, meta.addr, meta.dst_ip);
            }
        }
        Ok(())
    }

    pub(crate) fn inbox(&self) -> Inbox {
        let each = self.state.gro_segments().max(1) * DATAGRAM_MAX;
        Inbox { bytes: vec![0; each * BATCH_SIZE], meta: [RecvMeta::default(); BATCH_SIZE], each }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn bind_to_interface(socket: &Socket, pin: &Pin, _ipv6: bool) -> io::Result<()> {
    match pin {
        Pin::Interface { name, .. } => socket.bind_device(Some(name.as_bytes())),
        Pin::Address(_) => Ok(()),
    }
}

#[cfg(any(target_os = "macos", target_os = "ios"))]
fn bind_to_interface(socket: &Socket, pin: &Pin, ipv6: bool) -> io::Result<()> {
    match pin {
        Pin::Interface { index, .. } => {
            let index = core::num::NonZeroU32::new(*index);
            if ipv6 {
                socket.bind_device_by_index_v6(index)
            } else {
                socket.bind_device_by_index_v4(index)
            }
        }
        Pin::Address(_) => Ok(()),
    }
}

#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_os = "macos",
    target_os = "ios"
)))]
fn bind_to_interface(_socket: &Socket, _pin: &Pin, _ipv6: bool) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Asked of the system; a burst from a fast link must fit.
const SOCKET_BUFFER: usize = 4 << 20;
/// Longest datagram that is looked at.
const DATAGRAM_MAX: usize = 2_048;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn runs_arrive_as_single_packets() {
        let local = Pin::Address(Ipv4Addr::LOCALHOST.into());
        let [a, b] = [(); 2].map(|()| LinkSocket::open(&local, false, 0).unwrap());
        let run: Vec<u8> = (0..10_u8).flat_map(|n| [n; 100]).collect();
        a.send(&run[..950], 100, b.local, None).await.unwrap();
        let mut inbox = b.inbox();
        let mut arrived = Vec::new();
        while arrived.len() < 10 {
            b.receive(&mut inbox, |datagram, from, _| {
                assert_eq!(from, a.local);
                arrived.push(datagram.to_vec());
            })
            .await
            .unwrap();
        }
        assert_eq!(arrived.concat(), &run[..950]);
        assert_eq!(arrived[9].len(), 50);
    }
}
