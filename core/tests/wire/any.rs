//! Strategies: any frame and any handshake payload that a node could mean to send.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use ropewalk_core::id::{Address, ConnectionId, CostClass, LinkId, Mode, PathId, StreamId};
use ropewalk_core::time::Duration;
use ropewalk_core::wire::{
    ADVERTISED_MAX, Advertised, Credit, Frame, HELLO_ADDRESSES_MAX, Hello, OFFSET_MAX, PathStatus,
    Refusal, Reply, Suite, Suites, Welcome, Writer, encode_ack,
};

/// A frame without borrowed parts: those lie beside it.
#[derive(Clone, Debug)]
pub(crate) enum Owned {
    Plain(Box<Frame<'static>>),
    Ack(Vec<u8>),
    Stream { stream: StreamId, offset: u64, fin: bool, data: Vec<u8>, raw: bool },
    Datagram { data: Vec<u8>, raw: bool },
    Close { code: u32, reason: String },
    Symbol { number: u32, contents: Vec<u8>, raw: bool },
    Repair { first: u32, count: u8, key: u16, sums: u8, data: Vec<u8> },
}

impl Owned {
    pub(crate) fn frame(&self) -> Frame<'_> {
        match self {
            Self::Plain(frame) => (**frame).clone(),
            Self::Ack(bytes) => super::decoded(bytes).unwrap().remove(0),
            Self::Stream { stream, offset, fin, data, raw: true } => {
                Frame::Stream { stream: *stream, offset: *offset, fin: *fin, data }
            }
            Self::Stream { stream, offset, fin, data, raw: false } => {
                Frame::StreamSized { stream: *stream, offset: *offset, fin: *fin, data }
            }
            Self::Datagram { data, raw: true } => Frame::Datagram { data },
            Self::Datagram { data, raw: false } => Frame::DatagramSized { data },
            Self::Close { code, reason } => Frame::Close { code: *code, reason },
            Self::Symbol { number, contents, raw: true } => {
                Frame::Symbol { number: *number, contents }
            }
            Self::Symbol { number, contents, raw: false } => {
                Frame::SymbolSized { number: *number, contents }
            }
            Self::Repair { first, count, key, sums, data } => {
                Frame::Repair { first: *first, count: *count, key: *key, sums: *sums, data }
            }
        }
    }
}

/// Any frame; with `raw`, also those that must be the last.
pub(crate) fn frame(raw: bool) -> impl Strategy<Value = Owned> {
    let stream = (number32(), number64(), any::<bool>(), vec(any::<u8>(), 0..300), any::<bool>())
        .prop_map(move |(stream, offset, fin, data, raw_too)| Owned::Stream {
            stream: StreamId(stream),
            offset: offset % (OFFSET_MAX - data.len() as u64),
            fin,
            data,
            raw: raw && raw_too,
        });
    let datagram = (vec(any::<u8>(), 0..300), any::<bool>())
        .prop_map(move |(data, raw_too)| Owned::Datagram { data, raw: raw && raw_too });
    let close = (number32(), "\\PC{0,40}").prop_map(|(code, reason)| Owned::Close { code, reason });
    let bytes = || vec(any::<u8>(), 0..300);
    let symbol =
        (number32(), bytes(), any::<bool>()).prop_map(move |(number, contents, raw_too)| {
            Owned::Symbol { number, contents, raw: raw && raw_too }
        });
    let repair = (number32(), any::<u8>(), any::<u16>(), 1..4_u8, bytes()).prop_map(
        |(first, count, key, sums, mut data)| {
            data.truncate(data.len() / usize::from(sums) * usize::from(sums));
            Owned::Repair { first, count, key, sums, data }
        },
    );
    let raws = if raw { 1 } else { 0 };
    prop_oneof![
        2 => symbol,
        raws => repair,
        1 => Just(Owned::Plain(Frame::Padding.into())),
        1 => Just(Owned::Plain(Frame::Ping.into())),
        4 => ack().prop_map(Owned::Ack),
        4 => stream,
        2 => datagram,
        1 => close,
        8 => control().prop_map(|frame| Owned::Plain(frame.into())),
    ]
}

fn control() -> impl Strategy<Value = Frame<'static>> {
    let (a, b, c) = (number32(), number32(), number64());
    prop_oneof![
        (a.clone(), b.clone(), c.clone()).prop_map(|(stream, code, offset)| Frame::Reset {
            stream: StreamId(stream),
            code,
            final_offset: offset % OFFSET_MAX,
        }),
        (a.clone(), b.clone()).prop_map(|(s, code)| Frame::Stop { stream: StreamId(s), code }),
        c.clone().prop_map(|bytes| Frame::MaxData { bytes }),
        (a.clone(), c.clone())
            .prop_map(|(s, bytes)| Frame::MaxStreamData { stream: StreamId(s), bytes }),
        a.clone().prop_map(|count| Frame::MaxStreams { count }),
        (any::<u64>(), any::<u8>(), class()).prop_map(|(token, link, class)| Frame::Challenge {
            token,
            link: LinkId(link),
            class
        }),
        any::<u64>().prop_map(|token| Frame::Response { token }),
        a.clone().prop_map(|number| Frame::Recovered { number }),
        (a.clone(), b, status()).prop_map(|(path, sequence, status)| Frame::PathStatus {
            path: PathId(path),
            sequence,
            status,
        }),
        (a.clone(), vec(advertised(), 0..=ADVERTISED_MAX)).prop_map(|(sequence, list)| {
            Frame::Advertise { sequence, addresses: (&*list.leak()).into() }
        }),
        (a, mode()).prop_map(|(sequence, mode)| Frame::Mode { sequence, mode }),
    ]
}

/// A dialer's introduction, and the numbers of its suites.
pub(crate) fn hello() -> impl Strategy<Value = (Hello, Vec<u8>)> {
    let suites = prop_oneof![
        Just(vec![]),
        Just(vec![Suite::Aes256Gcm]),
        Just(vec![Suite::ChaCha20Poly1305, Suite::Aes256Gcm]),
    ];
    let versions = (any::<u8>(), any::<u8>());
    let rest = (mode(), option::of(any::<[u8; 8]>()), option::of(number32()), credit());
    (versions, suites, rest, addresses()).prop_map(
        |((version_min, version_max), suites, (mode, ticket, replaces, credit), addresses)| {
            let hello = Hello {
                version_min,
                version_max,
                suites: Suites::new(&suites),
                mode,
                ticket,
                replaces: replaces.map(ConnectionId),
                credit,
                addresses: addresses.into_iter().collect(),
            };
            (hello, suites.iter().map(|suite| suite.number()).collect())
        },
    )
}

/// An answer.
pub(crate) fn reply() -> impl Strategy<Value = Reply> {
    let suite = prop_oneof![Just(Suite::Aes256Gcm), Just(Suite::ChaCha20Poly1305)];
    let welcome = (any::<u8>(), suite, number32(), credit(), addresses()).prop_map(
        |(version, suite, connection, credit, addresses)| {
            Reply::Welcome(Welcome {
                version,
                suite,
                connection: ConnectionId(connection),
                credit,
                addresses: addresses.into_iter().collect(),
            })
        },
    );
    let refusal = prop_oneof![
        (any::<u8>(), any::<u8>()).prop_map(|(min, max)| Refusal::NoCommonVersion { min, max }),
        Just(Refusal::NoCommonSuite),
    ];
    prop_oneof![4 => welcome, 1 => refusal.prop_map(Reply::Refused)]
}

/// The bytes of an acknowledgement frame: a top, then gaps and lengths below it.
fn ack() -> impl Strategy<Value = Vec<u8>> {
    let steps = vec((0_u64..2_000, 0_u64..2_000), 1..=32);
    (number32(), number64(), steps, 0_u64..1 << 36).prop_map(|(path, top, steps, delay)| {
        let mut ranges = Vec::new();
        let mut next = Some(top);
        for (gap, len) in steps {
            let Some(top) = next else { break };
            let bottom = top.saturating_sub(len);
            ranges.push(bottom..=top);
            next = bottom.checked_sub(gap + 2);
        }
        let mut bytes = vec![0; 1_024];
        let mut writer = Writer::new(&mut bytes);
        let delay = Duration::from_micros(delay);
        encode_ack(&mut writer, PathId(path), delay, ranges.into_iter()).unwrap();
        writer.as_slice().to_vec()
    })
}

fn addresses() -> impl Strategy<Value = Vec<Advertised>> {
    vec(advertised(), 0..=HELLO_ADDRESSES_MAX)
}

fn advertised() -> impl Strategy<Value = Advertised> {
    let ip = prop_oneof![
        any::<[u8; 4]>().prop_map(|octets| IpAddr::V4(Ipv4Addr::from(octets))),
        any::<[u8; 16]>().prop_map(|octets| IpAddr::V6(Ipv6Addr::from(octets))),
    ];
    let address = prop_oneof![
        4 => (ip, any::<u16>()).prop_map(|(ip, port)| Address::Ip(SocketAddr::new(ip, port))),
        1 => Just(Address::Serial),
    ];
    (any::<u8>(), class(), address).prop_map(|(link, class, address)| Advertised {
        link: LinkId(link),
        class,
        address,
    })
}

fn credit() -> impl Strategy<Value = Credit> {
    (number64(), number64(), number32()).prop_map(|(data, stream_data, streams)| Credit {
        data,
        stream_data,
        streams,
    })
}

fn class() -> impl Strategy<Value = CostClass> {
    prop_oneof![
        Just(CostClass::Wired),
        Just(CostClass::Wireless),
        Just(CostClass::Metered),
        Just(CostClass::LastResort),
    ]
}

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![
        Just(Mode::Bulk),
        Just(Mode::Spread),
        Just(Mode::Backup),
        Just(Mode::Redundant),
        Just(Mode::Repair),
    ]
}

fn status() -> impl Strategy<Value = PathStatus> {
    prop_oneof![Just(PathStatus::Available), Just(PathStatus::Backup), Just(PathStatus::Gone)]
}

/// Numbers of every length on the wire, not nearly always the longest.
fn number64() -> impl Strategy<Value = u64> + Clone {
    (any::<u64>(), 0_u32..64).prop_map(|(number, shift)| number >> shift)
}

fn number32() -> impl Strategy<Value = u32> + Clone {
    (any::<u32>(), 0_u32..32).prop_map(|(number, shift)| number >> shift)
}
