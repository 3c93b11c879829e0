//! An Ethernet card as a link: IP and UDP by smoltcp. The only file that names it.
//!
//! ```text
//!  EthernetDevice ── Card: phy::Device ── Interface ─┬─ udp "in"      what comes
//!                                                    ├─ udp "known"   to neighbours heard of lately
//!                                                    ├─ udp "others"  to all else
//!                                                    └─ dhcp          if the settings say so
//! ```
//!
//! The stack keeps a datagram in its socket until it has found the neighbour's hardware address,
//! and what stands behind it waits too. A neighbour that does not answer must not hold up one that
//! does, so there are two sockets to send by: one for addresses that were heard of in the last ten
//! seconds, one for all others, such as those that a path is probed at. A socket that makes no
//! headway for a tenth of a second is emptied.

use crate::link::{Link, NotSent, Received};
use crate::log::say;
use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use heapless::Vec;
use ropewalk_core::application::settings::Addressing;
use ropewalk_core::connection::LinkInfo;
use ropewalk_core::id::{Address, CostClass};
use ropewalk_core::time::{Duration, Instant};
use ropewalk_drivers::EthernetDevice;
use smoltcp::iface::{
    Config, Interface, PollIngressSingleResult, SocketHandle, SocketSet, SocketStorage,
};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::{dhcpv4, udp};
use smoltcp::time::Instant as StackInstant;
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr, Ipv6Cidr};

/// The longest frame, its checksum left out.
const FRAME_BYTES: usize = 1_514;
/// Ethernet's 1500 bytes less the headers of IPv4 and UDP.
const MTU: u16 = 1_472;
/// Datagrams that wait to be received.
const IN: usize = 12;
/// Datagrams that wait to leave to neighbours heard of lately.
const KNOWN: usize = 6;
/// Datagrams that wait to leave to others. Probes are short, so few bytes suffice.
const OTHERS: usize = 4;
const OTHERS_BYTES: usize = 3_000;
/// Frames taken in and sent out in one poll.
const FRAMES_PER_POLL: usize = IN;
/// How long a neighbour counts as known.
const KNOWN_FOR: Duration = Duration::from_secs(10);
/// How long a socket may make no headway.
const STUCK: Duration = Duration::from_millis(100);
/// How often the card is asked whether its cable is alive.
const CARRIER_EVERY: Duration = Duration::from_millis(20);

/// The memory of one Ethernet link, fit for a `static`.
pub struct EthernetMemory {
    sockets: [SocketStorage<'static>; 4],
    frame: [u8; FRAME_BYTES],
    outgoing: [u8; FRAME_BYTES],
    in_slots: [udp::PacketMetadata; IN],
    in_bytes: [u8; IN * MTU as usize],
    known_slots: [udp::PacketMetadata; KNOWN],
    known_bytes: [u8; KNOWN * MTU as usize],
    others_slots: [udp::PacketMetadata; OTHERS],
    others_bytes: [u8; OTHERS_BYTES],
}

impl EthernetMemory {
    /// Empty memory.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            sockets: [const { SocketStorage::EMPTY }; 4],
            frame: [0; FRAME_BYTES],
            outgoing: [0; FRAME_BYTES],
            in_slots: [udp::PacketMetadata::EMPTY; IN],
            in_bytes: [0; IN * MTU as usize],
            known_slots: [udp::PacketMetadata::EMPTY; KNOWN],
            known_bytes: [0; KNOWN * MTU as usize],
            others_slots: [udp::PacketMetadata::EMPTY; OTHERS],
            others_bytes: [0; OTHERS_BYTES],
        }
    }
}

impl Default for EthernetMemory {
    fn default() -> Self {
        Self::new()
    }
}

/// How a link is set up.
#[derive(Clone, Copy, Debug)]
pub struct EthernetSettings {
    /// What to call it.
    pub name: &'static str,
    /// What it costs.
    pub class: CostClass,
    /// How it gets its addresses.
    pub addressing: Addressing,
    /// Our UDP port.
    pub port: u16,
    /// Chooses what must not be guessed, such as the numbers of requests.
    pub seed: u64,
}

/// The card `D` as a link.
pub struct Ethernet<D> {
    settings: EthernetSettings,
    card: Card<D>,
    interface: Interface,
    sockets: SocketSet<'static>,
    incoming: SocketHandle,
    known: Lane,
    others: Lane,
    dhcp: Option<SocketHandle>,
    neighbours: Neighbours,
    carrier: bool,
    carrier_asked: Option<Instant>,
    /// What the report says has changed since it was asked for.
    changed: bool,
    now: Instant,
}

/// A socket to send by, and since when it has made no headway.
struct Lane {
    socket: SocketHandle,
    queued: usize,
    since: Instant,
}

impl<D: EthernetDevice> Ethernet<D> {
    /// A link over `device`.
    pub fn new(
        device: D,
        settings: EthernetSettings,
        memory: &'static mut EthernetMemory,
        now: Instant,
    ) -> Self {
        let EthernetMemory { sockets, frame, outgoing, .. } = memory;
        let mut card = Card { device, frame, outgoing };
        let mac = EthernetAddress(card.device.mac());
        let mut config = Config::new(mac.into());
        config.random_seed = settings.seed;
        let mut interface = Interface::new(config, &mut card, stack_time(now));
        set_addresses(&mut interface, &settings.addressing, mac);
        let mut sockets = SocketSet::new(&mut sockets[..]);
        let mut open = |rx: udp::PacketBuffer<'static>, tx: udp::PacketBuffer<'static>| {
            let mut socket = udp::Socket::new(rx, tx);
            // A socket that was just made is closed, and the port is not zero.
            let _ = socket.bind(settings.port);
            sockets.add(socket)
        };
        let none = || udp::PacketBuffer::new(&mut [][..], &mut [][..]);
        let incoming = open(
            udp::PacketBuffer::new(&mut memory.in_slots[..], &mut memory.in_bytes[..]),
            none(),
        );
        let known =
            udp::PacketBuffer::new(&mut memory.known_slots[..], &mut memory.known_bytes[..]);
        let known = Lane { socket: open(none(), known), queued: 0, since: now };
        let others =
            udp::PacketBuffer::new(&mut memory.others_slots[..], &mut memory.others_bytes[..]);
        let others = Lane { socket: open(none(), others), queued: 0, since: now };
        let wants_lease = matches!(settings.addressing, Addressing::Dhcp);
        let dhcp = wants_lease.then(|| sockets.add(dhcpv4::Socket::new()));
        Self {
            settings,
            card,
            interface,
            sockets,
            incoming,
            known,
            others,
            dhcp,
            neighbours: Neighbours::default(),
            carrier: false,
            carrier_asked: None,
            changed: true,
            now,
        }
    }

    /// The card, for its counters.
    pub const fn device(&mut self) -> &mut D {
        &mut self.card.device
    }

    fn look_at_carrier(&mut self) {
        if self.carrier_asked.is_some_and(|asked| self.now.since(asked) < CARRIER_EVERY) {
            return;
        }
        self.carrier_asked = Some(self.now);
        let carrier = self.card.device.carrier();
        if carrier == self.carrier {
            return;
        }
        self.carrier = carrier;
        self.changed = true;
        // The network behind the cable may be another now.
        if let (true, Some(dhcp)) = (carrier, self.dhcp) {
            self.sockets.get_mut::<dhcpv4::Socket<'_>>(dhcp).reset();
        }
    }

    fn take_lease(&mut self) {
        let Some(dhcp) = self.dhcp else { return };
        let lease = match self.sockets.get_mut::<dhcpv4::Socket<'_>>(dhcp).poll() {
            None => return,
            Some(dhcpv4::Event::Deconfigured) => None,
            Some(dhcpv4::Event::Configured(config)) => Some((config.address, config.router)),
        };
        let mac = EthernetAddress(self.card.device.mac());
        let addressing = match lease {
            None => Addressing::LinkLocal,
            Some((address, router)) => Addressing::Static {
                address: address.address().into(),
                prefix: address.prefix_len(),
                gateway: router.map(Into::into),
            },
        };
        say!(info, "{}: {}", self.settings.name, addressing);
        set_addresses(&mut self.interface, &addressing, mac);
        self.changed = true;
    }

    /// Empties a lane whose first datagram cannot leave: its neighbour does not answer.
    fn watch(&mut self, lane: fn(&mut Self) -> &mut Lane) {
        let Lane { socket, queued, since } = *lane(self);
        let udp = self.sockets.get_mut::<udp::Socket<'_>>(socket);
        let left = udp.send_queue();
        let fresh = left == 0 || left < queued;
        if !fresh && self.now.since(since) >= STUCK {
            say!(debug, "{}: a neighbour does not answer", self.settings.name);
            udp.close();
            let _ = udp.bind(self.settings.port);
            self.neighbours.forget();
            *lane(self) = Lane { socket, queued: 0, since: self.now };
        } else {
            let since = if fresh { self.now } else { since };
            *lane(self) = Lane { socket, queued: left, since };
        }
    }

    /// Whether a datagram to this address would leave the board at all.
    fn leads_to(&self, remote: IpAddr) -> bool {
        let to = IpAddress::from(remote);
        let routes = self.interface.routes();
        let routed = match remote {
            IpAddr::V4(_) => routes.get_default_ipv4_route().is_some(),
            IpAddr::V6(remote) => {
                !remote.is_unicast_link_local() && routes.get_default_ipv6_route().is_some()
            }
        };
        routed || self.interface.ip_addrs().iter().any(|cidr| cidr.contains_addr(&to))
    }
}

impl<D: EthernetDevice> Link for Ethernet<D> {
    fn name(&self) -> &str {
        self.settings.name
    }

    fn poll(&mut self, now: Instant) -> bool {
        self.now = now;
        self.look_at_carrier();
        let at = stack_time(now);
        for _ in 0..FRAMES_PER_POLL {
            let took = self.interface.poll_ingress_single(at, &mut self.card, &mut self.sockets);
            if matches!(took, PollIngressSingleResult::None) {
                break;
            }
        }
        self.give_out();
        self.take_lease();
        core::mem::take(&mut self.changed)
    }

    fn report(&self) -> Option<LinkInfo> {
        if !self.carrier || matches!(self.settings.addressing, Addressing::Off) {
            return None;
        }
        let mut addresses = Vec::new();
        let at = |cidr: &IpCidr| match cidr.address() {
            IpAddress::Ipv4(address) => IpAddr::V4(address),
            IpAddress::Ipv6(address) => IpAddr::V6(address),
        };
        // An address that is good on this cable alone is the last one to tell.
        let is_local =
            |ip: &IpAddr| matches!(ip, IpAddr::V6(address) if address.is_unicast_link_local());
        let own = || self.interface.ip_addrs().iter().map(at);
        for address in own().filter(|ip| !is_local(ip)).chain(own().filter(is_local)) {
            let _ = addresses.push(Address::Ip(SocketAddr::new(address, self.settings.port)));
        }
        let Self { settings: EthernetSettings { class, .. }, .. } = *self;
        (!addresses.is_empty()).then_some(LinkInfo {
            mtu: MTU,
            rate: None,
            class,
            addresses,
            hidden: false,
        })
    }

    fn send(
        &mut self,
        datagram: &[u8],
        local: Option<IpAddr>,
        remote: &Address,
    ) -> Result<(), NotSent> {
        let Address::Ip(remote) = remote else { return Err(NotSent::Unreachable) };
        if !self.carrier || !self.leads_to(remote.ip()) {
            return Err(NotSent::Unreachable);
        }
        let known = self.neighbours.knows(remote.ip(), self.now);
        let lane = if known { &self.known } else { &self.others };
        let meta = udp::UdpMetadata {
            local_address: local.map(IpAddress::from),
            ..udp::UdpMetadata::from((IpAddress::from(remote.ip()), remote.port()))
        };
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(lane.socket);
        socket.send_slice(datagram, meta).map_err(|error| match error {
            udp::SendError::Unaddressable => NotSent::Unreachable,
            udp::SendError::BufferFull => NotSent::Full,
        })?;
        self.give_out();
        Ok(())
    }

    fn receive(&mut self, into: &mut [u8]) -> Option<Received> {
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.incoming);
        let (bytes, meta) = socket.recv().ok()?;
        let len = bytes.len();
        into.get_mut(..len)?.copy_from_slice(bytes);
        let remote = SocketAddr::new(meta.endpoint.addr.into(), meta.endpoint.port);
        self.neighbours.heard(remote.ip(), self.now);
        let local = meta.local_address.map(IpAddr::from);
        Some(Received { len, local, remote: Address::Ip(remote) })
    }
}

impl<D: EthernetDevice> Ethernet<D> {
    fn give_out(&mut self) {
        let at = stack_time(self.now);
        for _ in 0..FRAMES_PER_POLL {
            let sent = self.interface.poll_egress(at, &mut self.card, &mut self.sockets);
            if matches!(sent, smoltcp::iface::PollResult::None) {
                break;
            }
        }
        self.watch(|this| &mut this.known);
        self.watch(|this| &mut this.others);
    }
}

/// Addresses that were heard of lately.
#[derive(Default)]
struct Neighbours {
    heard: Vec<(IpAddr, Instant), 8>,
}

impl Neighbours {
    fn heard(&mut self, ip: IpAddr, now: Instant) {
        if let Some((_, when)) = self.heard.iter_mut().find(|(known, _)| *known == ip) {
            *when = now;
            return;
        }
        self.heard.retain(|(_, when)| now.since(*when) < KNOWN_FOR);
        // In a crowd the rest share the other lane.
        let _ = self.heard.push((ip, now));
    }

    fn knows(&self, ip: IpAddr, now: Instant) -> bool {
        let mut heard = self.heard.iter();
        heard.any(|(known, when)| *known == ip && now.since(*when) < KNOWN_FOR)
    }

    fn forget(&mut self) {
        self.heard.clear();
    }
}

fn stack_time(now: Instant) -> StackInstant {
    StackInstant::from_micros(i64::try_from(now.as_micros()).unwrap_or(i64::MAX))
}

fn set_addresses(interface: &mut Interface, addressing: &Addressing, mac: EthernetAddress) {
    let local = link_local(mac);
    interface.routes_mut().update(Vec::clear);
    interface.update_ip_addrs(|addresses| {
        addresses.clear();
        if let Addressing::Static { address, prefix, .. } = addressing {
            let _ = addresses.push(IpCidr::new((*address).into(), *prefix));
        }
        let _ = addresses.push(IpCidr::Ipv6(Ipv6Cidr::new(local, 64)));
    });
    if let Addressing::Static { gateway: Some(gateway), .. } = addressing {
        let routes = interface.routes_mut();
        let _ = match gateway {
            IpAddr::V4(gateway) => routes.add_default_ipv4_route(*gateway).map(drop),
            IpAddr::V6(gateway) => routes.add_default_ipv6_route(*gateway).map(drop),
        };
    }
}

/// The address that a card gives itself (RFC 4291 appendix A).
fn link_local(mac: EthernetAddress) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.0;
    let host = u64::from_be_bytes([a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
    Ipv6Addr::from(0xfe80_u128 << 112 | u128::from(host))
}

/// The device as the stack wants it: one frame at a time, through memory of ours.
struct Card<D> {
    device: D,
    frame: &'static mut [u8; FRAME_BYTES],
    outgoing: &'static mut [u8; FRAME_BYTES],
}

impl<D: EthernetDevice> Device for Card<D> {
    type RxToken<'a>
        = Came<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Goes<'a, D>
    where
        Self: 'a;

    fn receive(&mut self, _: StackInstant) -> Option<(Came<'_>, Goes<'_, D>)> {
        // An answer may be due at once, so there must be room for it.
        if !self.device.can_send() {
            return None;
        }
        let len = self.device.receive(self.frame)?;
        let frame = self.frame.get(..len).unwrap_or_default();
        Some((Came(frame), Goes { device: &mut self.device, frame: self.outgoing }))
    }

    fn transmit(&mut self, _: StackInstant) -> Option<Goes<'_, D>> {
        let ready = self.device.can_send();
        ready.then_some(Goes { device: &mut self.device, frame: self.outgoing })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME_BYTES;
        capabilities
    }
}

struct Came<'a>(&'a [u8]);

impl RxToken for Came<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(self.0)
    }
}

struct Goes<'a, D> {
    device: &'a mut D,
    frame: &'a mut [u8; FRAME_BYTES],
}

impl<D: EthernetDevice> TxToken for Goes<'_, D> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        // The stack never asks for more than the MTU that it was told.
        let frame = self.frame.get_mut(..len).unwrap_or_default();
        let result = write(frame);
        // Room was asked for before; a frame that is lost all the same is like one lost on the way.
        let _ = self.device.send(frame);
        result
    }
}
