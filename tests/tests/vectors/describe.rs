//! Values as the files' last column has them: a type's name and its fields, `name=value`.

use core::fmt::Debug;
use ropewalk_core::id::Address;
use ropewalk_core::wire::{Ack, Advertised, Credit, Frame, Header, Hello, Refusal, Reply};

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn header(header: &Header) -> String {
    let Header { destination, path, number, number_len, key_phase } = header;
    let (destination, path, phase) = (destination.0, path.0, u8::from(*key_phase));
    format!(
        "phase={phase} destination={destination:#010x} path={path} number={number:#x} in {number_len}"
    )
}

pub(crate) fn frame(frame: &Frame<'_>) -> String {
    match frame {
        Frame::Padding => "Padding".into(),
        Frame::Ping => "Ping".into(),
        Frame::Ack(ack) => acknowledgement(ack),
        Frame::Stream { stream, offset, fin, data } => {
            format!("Stream stream={} offset={offset} fin={fin} data={}", stream.0, hex(data))
        }
        Frame::StreamSized { stream, offset, fin, data } => {
            format!("StreamSized stream={} offset={offset} fin={fin} data={}", stream.0, hex(data))
        }
        Frame::Reset { stream, code, final_offset } => {
            format!("Reset stream={} code={code} final_offset={final_offset}", stream.0)
        }
        Frame::Stop { stream, code } => format!("Stop stream={} code={code}", stream.0),
        Frame::MaxData { bytes } => format!("MaxData bytes={bytes}"),
        Frame::MaxStreamData { stream, bytes } => {
            format!("MaxStreamData stream={} bytes={bytes}", stream.0)
        }
        Frame::MaxStreams { count } => format!("MaxStreams count={count}"),
        Frame::Datagram { data } => format!("Datagram data={}", hex(data)),
        Frame::DatagramSized { data } => format!("DatagramSized data={}", hex(data)),
        Frame::Challenge { token, link, class } => {
            format!("Challenge token={token:#x} link={} class={class:?}", link.0)
        }
        Frame::Response { token } => format!("Response token={token:#x}"),
        Frame::PathStatus { path, sequence, status } => {
            format!("PathStatus path={} sequence={sequence} status={status:?}", path.0)
        }
        Frame::Advertise { sequence, addresses } => {
            format!(
                "Advertise sequence={sequence} addresses={}",
                list(&Vec::from_iter(addresses.iter()))
            )
        }
        Frame::Mode { sequence, mode } => format!("Mode sequence={sequence} mode={mode:?}"),
        Frame::Close { code, reason } => format!("Close code={code} reason={reason:?}"),
        Frame::Symbol { number, contents } => {
            format!("Symbol number={number} contents={}", hex(contents))
        }
        Frame::SymbolSized { number, contents } => {
            format!("SymbolSized number={number} contents={}", hex(contents))
        }
        Frame::Repair { first, count, key, sums, data } => {
            let sums = format!("sums={sums} data={}", hex(data));
            format!("Repair first={first} count={count} key={key} {sums}")
        }
        Frame::Recovered { number } => format!("Recovered number={number}"),
    }
}

fn acknowledgement(ack: &Ack<'_>) -> String {
    let ranges: Vec<_> =
        ack.iter().map(|range| format!("{}..={}", range.start(), range.end())).collect();
    format!("Ack path={} delay={} ranges={}", ack.path.0, ack.delay, ranges.join(","))
}

pub(crate) fn hello(hello: &Hello) -> String {
    let Hello { version_min, version_max, suites, mode, ticket, replaces, credit, addresses } =
        hello;
    let ticket = option(ticket.map(|ticket| hex(&ticket)));
    let replaces = option(replaces.map(|id| format!("{:#010x}", id.0)));
    let known =
        [ropewalk_core::wire::Suite::Aes256Gcm, ropewalk_core::wire::Suite::ChaCha20Poly1305];
    let suites: Vec<_> = known.iter().filter(|suite| suites.contains(**suite)).collect();
    format!(
        "Hello versions={version_min}..={version_max} suites={suites:?} mode={mode:?} \
         ticket={ticket} replaces={replaces} {} addresses={}",
        lent(credit),
        list(addresses)
    )
}

pub(crate) fn reply(reply: &Reply) -> String {
    match reply {
        Reply::Welcome(welcome) => format!(
            "Welcome version={} suite={:?} connection={:#010x} {} addresses={}",
            welcome.version,
            welcome.suite,
            welcome.connection.0,
            lent(&welcome.credit),
            list(&welcome.addresses)
        ),
        Reply::Refused(Refusal::NoCommonVersion { min, max }) => {
            format!("Refused NoCommonVersion min={min} max={max}")
        }
        Reply::Refused(refusal) => format!("Refused {refusal:?}"),
    }
}

fn lent(Credit { data, stream_data, streams }: &Credit) -> String {
    format!("data={data} stream_data={stream_data} streams={streams}")
}

fn list(addresses: &[Advertised]) -> String {
    let one = |Advertised { link, class, address }: &Advertised| match address {
        Address::Ip(ip) => format!("link {} {class:?} {ip}", link.0),
        Address::Serial => format!("link {} {class:?} serial", link.0),
    };
    format!("[{}]", addresses.iter().map(one).collect::<Vec<_>>().join(", "))
}

fn option(value: Option<impl Debug + AsRef<str>>) -> String {
    value.map_or_else(|| "none".into(), |value| value.as_ref().into())
}
