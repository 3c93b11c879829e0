//! The documented types of section 6 of `docs/protocol.md`, as serde sees them: what postcard makes
//! of these is the encoding, and the core's hand-written code must make the same.
//!
//! Raw frames have no length on the wire: their mirror ends with the head, and the data follow.

use ropewalk_core::id::{CostClass, LinkId, Mode, PathId, StreamId};
use ropewalk_core::wire::{Advertised, Credit, Frame, Hello, PathStatus, Reply, Welcome};
use serde::Serialize;

#[derive(Serialize)]
pub(crate) enum MirrorFrame<'d> {
    Padding,
    Ping,
    Ack { path: PathId, largest: u64, delay: u32, first: u64, more: &'d [(u64, u64)] },
    Stream { stream: StreamId, offset: u64, fin: bool },
    StreamSized { stream: StreamId, offset: u64, fin: bool, data: &'d [u8] },
    Reset { stream: StreamId, code: u32, final_offset: u64 },
    Stop { stream: StreamId, code: u32 },
    MaxData { bytes: u64 },
    MaxStreamData { stream: StreamId, bytes: u64 },
    MaxStreams { count: u32 },
    Datagram,
    DatagramSized { data: &'d [u8] },
    Challenge { token: u64, link: LinkId, class: CostClass },
    Response { token: u64 },
    PathStatus { path: PathId, sequence: u32, status: PathStatus },
    Advertise { sequence: u32, addresses: &'d [Advertised] },
    Mode { sequence: u32, mode: Mode },
    Close { code: u32, reason: &'d str },
    Symbol { number: u32 },
    Repair { first: u32, count: u8, key: u16, sums: u8 },
    SymbolSized { number: u32, contents: &'d [u8] },
    Recovered { number: u32 },
}

#[derive(Serialize)]
struct MirrorCredit {
    data: u64,
    stream_data: u64,
    streams: u32,
}

#[derive(Serialize)]
struct MirrorHello<'d> {
    version_min: u8,
    version_max: u8,
    suites: &'d [u8],
    mode: Mode,
    ticket: Option<[u8; 8]>,
    replaces: Option<u32>,
    credit: MirrorCredit,
    addresses: &'d [Advertised],
}

#[derive(Serialize)]
enum MirrorReply<'d> {
    Welcome {
        version: u8,
        suite: u8,
        connection: u32,
        credit: MirrorCredit,
        addresses: &'d [Advertised],
    },
    Refused(MirrorRefusal),
}

#[derive(Serialize)]
enum MirrorRefusal {
    NoCommonVersion { min: u8, max: u8 },
    NoCommonSuite,
}

/// What postcard makes of a frame, and of raw data behind it.
pub(crate) fn frame(frame: &Frame<'_>) -> Vec<u8> {
    let mut pairs = Vec::new();
    let (mirror, raw): (MirrorFrame<'_>, &[u8]) = match frame {
        Frame::Padding => (MirrorFrame::Padding, &[]),
        Frame::Ping => (MirrorFrame::Ping, &[]),
        Frame::Ack(ack) => {
            let mut ranges = ack.iter();
            let top = ranges.next().unwrap();
            let mut below = *top.start();
            for range in ranges {
                pairs.push((below - range.end() - 2, range.end() - range.start()));
                below = *range.start();
            }
            let first = top.end() - top.start();
            let (path, largest, delay) = (ack.path, ack.largest, ack.delay);
            (MirrorFrame::Ack { path, largest, delay, first, more: &pairs }, &[])
        }
        Frame::Stream { stream, offset, fin, data } => {
            (MirrorFrame::Stream { stream: *stream, offset: *offset, fin: *fin }, data)
        }
        Frame::StreamSized { stream, offset, fin, data } => {
            (MirrorFrame::StreamSized { stream: *stream, offset: *offset, fin: *fin, data }, &[])
        }
        Frame::Datagram { data } => (MirrorFrame::Datagram, data),
        Frame::DatagramSized { data } => (MirrorFrame::DatagramSized { data }, &[]),
        Frame::Symbol { number, contents } => (MirrorFrame::Symbol { number: *number }, contents),
        Frame::SymbolSized { number, contents } => {
            (MirrorFrame::SymbolSized { number: *number, contents }, &[])
        }
        Frame::Repair { first, count, key, sums, data } => {
            (MirrorFrame::Repair { first: *first, count: *count, key: *key, sums: *sums }, data)
        }
        Frame::Recovered { number } => (MirrorFrame::Recovered { number: *number }, &[]),
        rare => (control(rare), &[]),
    };
    [&serialized(&mirror), raw].concat()
}

fn control<'f>(frame: &'f Frame<'_>) -> MirrorFrame<'f> {
    match frame {
        Frame::Reset { stream, code, final_offset } => {
            MirrorFrame::Reset { stream: *stream, code: *code, final_offset: *final_offset }
        }
        Frame::Stop { stream, code } => MirrorFrame::Stop { stream: *stream, code: *code },
        Frame::MaxData { bytes } => MirrorFrame::MaxData { bytes: *bytes },
        Frame::MaxStreamData { stream, bytes } => {
            MirrorFrame::MaxStreamData { stream: *stream, bytes: *bytes }
        }
        Frame::MaxStreams { count } => MirrorFrame::MaxStreams { count: *count },
        Frame::Challenge { token, link, class } => {
            MirrorFrame::Challenge { token: *token, link: *link, class: *class }
        }
        Frame::Response { token } => MirrorFrame::Response { token: *token },
        Frame::PathStatus { path, sequence, status } => {
            MirrorFrame::PathStatus { path: *path, sequence: *sequence, status: *status }
        }
        Frame::Advertise { sequence, addresses } => {
            let addresses: Vec<_> = addresses.iter().collect();
            MirrorFrame::Advertise { sequence: *sequence, addresses: addresses.leak() }
        }
        Frame::Mode { sequence, mode } => MirrorFrame::Mode { sequence: *sequence, mode: *mode },
        Frame::Close { code, reason } => MirrorFrame::Close { code: *code, reason },
        frequent => panic!("{frequent:?} is no control frame"),
    }
}

/// What postcard makes of a dialer's introduction. `suites`: what the list holds.
pub(crate) fn hello(hello: &Hello, suites: &[u8]) -> Vec<u8> {
    serialized(&MirrorHello {
        version_min: hello.version_min,
        version_max: hello.version_max,
        suites,
        mode: hello.mode,
        ticket: hello.ticket,
        replaces: hello.replaces.map(|id| id.0),
        credit: credit(hello.credit),
        addresses: &hello.addresses,
    })
}

/// What postcard makes of an answer.
pub(crate) fn reply(reply: &Reply) -> Vec<u8> {
    use ropewalk_core::wire::Refusal;
    serialized(&match reply {
        Reply::Welcome(Welcome { version, suite, connection, credit: lent, addresses }) => {
            MirrorReply::Welcome {
                version: *version,
                suite: suite.number(),
                connection: connection.0,
                credit: credit(*lent),
                addresses,
            }
        }
        Reply::Refused(Refusal::NoCommonVersion { min, max }) => {
            MirrorReply::Refused(MirrorRefusal::NoCommonVersion { min: *min, max: *max })
        }
        Reply::Refused(Refusal::NoCommonSuite) => {
            MirrorReply::Refused(MirrorRefusal::NoCommonSuite)
        }
        other => panic!("{other:?} has no mirror"),
    })
}

fn credit(Credit { data, stream_data, streams }: Credit) -> MirrorCredit {
    MirrorCredit { data, stream_data, streams }
}

fn serialized(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = vec![0; 4_096];
    postcard::to_slice(value, &mut bytes).unwrap().to_vec()
}
