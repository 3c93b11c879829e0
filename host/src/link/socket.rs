//! A UDP socket on one interface: pinned to it where the system can, and sending and receiving
//! whole runs of packets in one call.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
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
        #[cfg_attr(
            not(any(target_os = "linux", target_os = "android")),
            expect(dead_code, reason = "the others pin by number or address")
        )]
        name: String,
        /// The system's number.
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
    bound: Option<IpAddr>,
    /// The link took nothing for a while.
    stuck: AtomicBool,
}

/// Room for what one call can bring.
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    meta: [RecvMeta; BATCH_SIZE],
    each: usize,
}

/// Datagrams of one sender that arrived together, all of one length but for the last.
pub(crate) struct Run<'r> {
    /// Whose they are.
    pub(crate) from: SocketAddr,
    /// The address they were sent to, where the system says so.
    pub(crate) to: Option<IpAddr>,
    bytes: &'r mut [u8],
    stride: usize,
}

impl<'r> Run<'r> {
    pub(crate) fn datagrams(self) -> impl Iterator<Item = &'r mut [u8]> {
        self.bytes.chunks_mut(self.stride.max(1))
    }
}

impl LinkSocket {
    /// A socket on the link, at `port`, or at a free one if that is zero.
    pub(crate) fn open(pin: &Pin, ipv6: bool, port: u16) -> io::Result<Self> {
        let domain = if ipv6 { Domain::IPV6 } else { Domain::IPV4 };
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        if ipv6 {
            socket.set_only_v6(true)?;
        }
        let bound = match pin {
            Pin::Address(address) => Some(*address),
            // Where the system forbids pinning or cannot, the address stands for the interface.
            Pin::Interface { fallback, .. } => {
                bind_to_interface(&socket, pin, ipv6).is_err().then_some(*fallback)
            }
        };
        let any: IpAddr =
            if ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        socket.set_nonblocking(true)?;
        socket.bind(&with_scope(bound.unwrap_or(any), port, pin).into())?;
        // What the system grants of it is enough.
        let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
        let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
        let socket = UdpSocket::from_std(socket.into())?;
        let state = UdpSocketState::new((&socket).into())?;
        let local = socket.local_addr()?;
        Ok(Self { socket, state, local, bound, stuck: AtomicBool::new(false) })
    }

    pub(crate) const fn port(&self) -> u16 {
        self.local.port()
    }

    pub(crate) const fn is_ipv6(&self) -> bool {
        self.local.is_ipv6()
    }

    /// The address that it needs; `None` when it is pinned to its interface and outlives addresses.
    pub(crate) const fn bound(&self) -> Option<IpAddr> {
        self.bound
    }

    /// Sends a run of packets of `segment_size` bytes.
    ///
    /// # Errors
    /// `WouldBlock` when the link took nothing for [`SEND_PATIENCE`]; until it does again, nothing
    /// waits for it. What was not sent is lost.
    pub(crate) async fn send(
        &self,
        run: &[u8],
        segment_size: usize,
        to: SocketAddr,
        from: Option<IpAddr>,
    ) -> io::Result<()> {
        let segment_size = segment_size.max(1);
        let mut rest = run;
        while !rest.is_empty() {
            let segments = self.state.max_gso_segments();
            let most = segments.min(RUN_BYTES_MAX / segment_size).max(1) * segment_size;
            let (part, after) = rest.split_at(rest.len().min(most));
            let transmit = quinn_udp::Transmit {
                destination: to,
                ecn: None,
                contents: part,
                segment_size: (part.len() > segment_size).then_some(segment_size),
                src_ip: from,
            };
            match self.send_one(&transmit).await {
                Ok(()) => rest = after,
                // The card cannot cut runs, as just turned out: once more, packet by packet.
                Err(_) if self.state.max_gso_segments() < segments => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Sends one datagram if the link takes it at once; if not, it is lost.
    pub(crate) fn send_now(&self, datagram: &[u8], to: SocketAddr, from: Option<IpAddr>) {
        let transmit = quinn_udp::Transmit {
            destination: to,
            ecn: None,
            contents: datagram,
            segment_size: None,
            src_ip: from,
        };
        let send = || self.state.try_send((&self.socket).into(), &transmit);
        let _ = self.socket.try_io(Interest::WRITABLE, send);
    }

    /// A link that is stuck must not hold up the others: it is waited for once.
    async fn send_one(&self, transmit: &quinn_udp::Transmit<'_>) -> io::Result<()> {
        let send = || self.state.try_send((&self.socket).into(), transmit);
        let sent = if self.stuck.load(Ordering::Relaxed) {
            self.socket.try_io(Interest::WRITABLE, send)
        } else {
            let sent = self.socket.async_io(Interest::WRITABLE, send);
            let sent = tokio::time::timeout(SEND_PATIENCE, sent).await;
            sent.unwrap_or_else(|_| Err(io::ErrorKind::WouldBlock.into()))
        };
        let blocked = sent.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        self.stuck.store(blocked, Ordering::Relaxed);
        sent
    }

    /// Waits for datagrams; `each` gets every run of them.
    pub(crate) async fn receive(
        &self,
        inbox: &mut Inbox,
        mut each: impl FnMut(Run<'_>),
    ) -> io::Result<()> {
        let Inbox { bytes, meta, each: room } = inbox;
        let count = self
            .socket
            .async_io(Interest::READABLE, || {
                let mut rooms = bytes.chunks_mut(*room);
                let mut places: [_; BATCH_SIZE] =
                    core::array::from_fn(|_| IoSliceMut::new(rooms.next().unwrap_or_default()));
                self.state.recv((&self.socket).into(), &mut places, meta)
            })
            .await?;
        for (meta, place) in meta.iter().zip(bytes.chunks_mut(*room)).take(count) {
            let Some(bytes) = place.get_mut(..meta.len) else { continue };
            each(Run { from: meta.addr, to: meta.dst_ip, bytes, stride: meta.stride });
        }
        Ok(())
    }

    /// Memory to receive into. It becomes resident as far as it is used.
    pub(crate) fn inbox(&self) -> Inbox {
        let each = (self.state.gro_segments().max(1) * DATAGRAM_MAX).min(RUN_RECEIVED_MAX);
        Inbox { bytes: vec![0; each * BATCH_SIZE], meta: [RecvMeta::default(); BATCH_SIZE], each }
    }
}

/// Link-local addresses can only be bound together with their interface.
fn with_scope(ip: IpAddr, port: u16, pin: &Pin) -> SocketAddr {
    match (ip, pin) {
        (IpAddr::V6(ip), Pin::Interface { index, .. }) if ip.is_unicast_link_local() => {
            SocketAddrV6::new(ip, port, 0, *index).into()
        }
        _ => SocketAddr::new(ip, port),
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
pub(crate) const DATAGRAM_MAX: usize = 9_216;
/// A run that is sent in one call counts as one IP packet until it is cut, and must be shorter.
pub(crate) const RUN_BYTES_MAX: usize = 65_000;
/// The same for a run that is received.
const RUN_RECEIVED_MAX: usize = 1 << 16;
/// How long a full queue is waited for. Long for a working link, short for the other links.
const SEND_PATIENCE: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback(ipv6: bool) -> LinkSocket {
        let ip: IpAddr = if ipv6 { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() };
        LinkSocket::open(&Pin::Address(ip), ipv6, 0).unwrap()
    }

    async fn receive(socket: &LinkSocket, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
        let (mut inbox, mut arrived) = (socket.inbox(), Vec::new());
        while arrived.len() < count {
            let each = |run: Run<'_>| {
                let from = run.from;
                arrived.extend(run.datagrams().map(|datagram| (from, datagram.to_vec())));
            };
            socket.receive(&mut inbox, each).await.unwrap();
        }
        arrived
    }

    #[tokio::test]
    async fn a_run_arrives_as_the_packets_it_is_made_of() {
        let [a, b] = [loopback(false), loopback(false)];
        let run: Vec<u8> = (0..10_u8).flat_map(|n| [n; 100]).collect();
        a.send(&run[..950], 100, b.local, None).await.unwrap();
        let arrived = receive(&b, 10).await;
        assert!(arrived.iter().all(|(from, _)| *from == a.local));
        let lengths: Vec<_> = arrived.iter().map(|(_, datagram)| datagram.len()).collect();
        assert_eq!(lengths, [100, 100, 100, 100, 100, 100, 100, 100, 100, 50]);
        let bytes: Vec<u8> = arrived.into_iter().flat_map(|(_, datagram)| datagram).collect();
        assert_eq!(bytes, &run[..950]);
    }

    #[tokio::test]
    async fn a_run_longer_than_one_call_takes_is_cut() {
        let [a, b] = [loopback(false), loopback(false)];
        let run: Vec<u8> = (0..150_u8).flat_map(|n| [n; 1_200]).collect();
        a.send(&run, 1_200, b.local, None).await.unwrap();
        let arrived = receive(&b, 150).await;
        assert!(arrived.iter().enumerate().all(|(n, (_, d))| d == &[n as u8; 1_200]));
    }

    #[tokio::test]
    async fn the_families_do_not_mix() {
        let any = Pin::Address(Ipv6Addr::UNSPECIFIED.into());
        let Ok(six) = LinkSocket::open(&any, true, 0) else { return }; // No IPv6 here.
        let four = Pin::Address(Ipv4Addr::UNSPECIFIED.into());
        let four = LinkSocket::open(&four, false, six.port()).unwrap();
        assert_eq!((four.port(), four.is_ipv6(), six.is_ipv6()), (six.port(), false, true));
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_an_error() {
        let taken = loopback(false);
        let again = LinkSocket::open(&Pin::Address(taken.local.ip()), false, taken.port());
        assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[tokio::test]
    async fn what_cannot_be_sent_is_an_error_and_the_socket_lives_on() {
        let [a, b] = [loopback(false), loopback(false)];
        let too_long = vec![0; 70_000];
        a.send(&too_long, too_long.len(), b.local, None).await.unwrap_err();
        a.send(b"again", 5, b.local, None).await.unwrap();
        assert_eq!(receive(&b, 1).await, [(a.local, b"again".to_vec())]);
    }
}
