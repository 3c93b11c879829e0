//! The values that the files hold: each type, and the sizes at which its bytes change.

use core::ops::RangeInclusive;
use ropewalk_core::id::{Address, ConnectionId, CostClass, LinkId, Mode, PathId, StreamId};
use ropewalk_core::time::Duration;
use ropewalk_core::wire::{
    Ack, Advertised, Credit, Frame, Frames, Header, Hello, OFFSET_MAX, PathStatus, Refusal, Reply,
    Suite, Suites, Welcome, Writer, encode_ack,
};

/// Zero, and both sides of every length.
pub(crate) fn varints() -> impl Iterator<Item = u64> {
    let edges = (1..10).flat_map(|bytes| [(1 << (7 * bytes)) - 1, 1 << (7 * bytes)]);
    [0, 1, 300].into_iter().chain(edges).chain([u64::MAX])
}

pub(crate) fn headers() -> impl Iterator<Item = (&'static str, Header)> {
    let first = Header {
        destination: ConnectionId(0x5566_7788),
        path: PathId(0),
        number: 0,
        number_len: 1,
        key_phase: false,
    };
    let back = ConnectionId(0x1122_3344);
    [
        ("first", first),
        (
            "two_bytes",
            Header { destination: back, path: PathId(1), number: 0x0102, number_len: 2, ..first },
        ),
        ("three_bytes", Header { path: PathId(128), number: 0x01_0203, number_len: 3, ..first }),
        ("four_bytes", Header { path: PathId(u32::MAX), number: u32::MAX, number_len: 4, ..first }),
        ("zeros_in_front", Header { number: 7, number_len: 4, ..first }),
        ("other_phase", Header { number: 0x80, key_phase: true, ..first }),
    ]
    .into_iter()
}

pub(crate) fn frames() -> Vec<(&'static str, Frame<'static>)> {
    let stream = StreamId(0);
    let far = StreamId(16_385);
    let top = OFFSET_MAX - 1;
    let mut frames = vec![
        ("padding", Frame::Padding),
        ("ping", Frame::Ping),
        ("ack_first", Frame::Ack(ack(0, 0, &[0..=0]))),
        ("ack_run", Frame::Ack(ack(2, 1_000, &[0..=999]))),
        ("ack_gaps", Frame::Ack(ack(200, 4_000, &[70_000..=70_010, 69_998..=69_998, 5..=60_000]))),
        ("ack_late", Frame::Ack(ack(1, 60_000_000, &[3..=3, 1..=1]))),
        ("stream_begin", Frame::Stream { stream, offset: 0, fin: false, data: b"\x04file" }),
        ("stream_end", Frame::Stream { stream: far, offset: 1 << 40, fin: true, data: b"" }),
        ("stream_last_byte", Frame::Stream { stream, offset: top - 1, fin: true, data: b"z" }),
        ("sized_begin", Frame::StreamSized { stream, offset: 0, fin: false, data: b"\x05bench" }),
        ("sized_end", Frame::StreamSized { stream: far, offset: 300, fin: true, data: b"" }),
        ("sized_long", Frame::StreamSized { stream, offset: 128, fin: false, data: &[0xab; 130] }),
        ("reset", Frame::Reset { stream, code: 256, final_offset: 16_384 }),
        ("reset_at_the_top", Frame::Reset { stream: far, code: u32::MAX, final_offset: top }),
        ("stop", Frame::Stop { stream: StreamId(1), code: 2 }),
        ("max_data", Frame::MaxData { bytes: 1 << 20 }),
        ("max_stream_data", Frame::MaxStreamData { stream, bytes: 917_504 }),
        ("max_streams", Frame::MaxStreams { count: 8 }),
        ("datagram", Frame::Datagram { data: b"hello" }),
        ("datagram_empty", Frame::Datagram { data: b"" }),
        ("datagram_sized", Frame::DatagramSized { data: b"hello" }),
        ("symbol", Frame::Symbol { number: 300, contents: b"\x0ahello" }),
        (
            "repair",
            Frame::Repair { first: 290, count: 12, key: 513, sums: 1, data: b"\x06\x00sums" },
        ),
        ("symbol-sized", Frame::SymbolSized { number: 300, contents: b"\x0b\x05hello" }),
        ("recovered", Frame::Recovered { number: 300 }),
    ];
    frames.extend(about_paths());
    frames
}

fn about_paths() -> [(&'static str, Frame<'static>); 11] {
    let token = 0x0123_4567_89ab_cdef;
    let metered = CostClass::Metered;
    let addresses = (&*Vec::from_iter(addresses()).leak()).into();
    [
        ("challenge", Frame::Challenge { token, link: LinkId(3), class: CostClass::Wireless }),
        ("challenge_small", Frame::Challenge { token: 1, link: LinkId(255), class: metered }),
        ("response", Frame::Response { token }),
        (
            "available",
            Frame::PathStatus { path: PathId(0), sequence: 0, status: PathStatus::Available },
        ),
        ("backup", Frame::PathStatus { path: PathId(3), sequence: 1, status: PathStatus::Backup }),
        ("gone", Frame::PathStatus { path: PathId(130), sequence: 0, status: PathStatus::Gone }),
        ("advertise_nothing", Frame::Advertise { sequence: 1, addresses: (&[][..]).into() }),
        ("advertise", Frame::Advertise { sequence: 2, addresses }),
        ("mode", Frame::Mode { sequence: 1, mode: Mode::Spread }),
        ("close", Frame::Close { code: 0, reason: "" }),
        ("close_with_a_reason", Frame::Close { code: 300, reason: "cable pulled: \u{2301}" }),
    ]
}

pub(crate) fn hellos() -> [(&'static str, Hello); 2] {
    let both = Suites::new(&[Suite::Aes256Gcm, Suite::ChaCha20Poly1305]);
    let short = Hello {
        version_min: 1,
        version_max: 1,
        suites: Suites::new(&[Suite::ChaCha20Poly1305]),
        mode: Mode::Bulk,
        ticket: None,
        replaces: None,
        credit: Credit { data: 6_144, stream_data: 5_376, streams: 1 },
        addresses: [].into_iter().collect(),
    };
    let long = Hello {
        version_max: 3,
        suites: both,
        mode: Mode::Spread,
        ticket: Some(*b"\x01\x02\x03\x04\x05\x06\x07\x08"),
        replaces: Some(ConnectionId(0x5566_7788)),
        credit: Credit { data: 1 << 24, stream_data: 14_680_064, streams: 128 },
        addresses: addresses().into_iter().collect(),
        ..short.clone()
    };
    [("hello_short", short), ("hello_long", long)]
}

pub(crate) fn replies() -> [(&'static str, Reply); 4] {
    let welcome = Welcome {
        version: 1,
        suite: Suite::ChaCha20Poly1305,
        connection: ConnectionId(0x80),
        credit: Credit { data: 6_144, stream_data: 5_376, streams: 1 },
        addresses: [].into_iter().collect(),
    };
    let long = Welcome {
        suite: Suite::Aes256Gcm,
        connection: ConnectionId(u32::MAX),
        addresses: addresses().into_iter().collect(),
        ..welcome.clone()
    };
    [
        ("welcome_short", Reply::Welcome(welcome)),
        ("welcome_long", Reply::Welcome(long)),
        ("no_common_version", Reply::Refused(Refusal::NoCommonVersion { min: 2, max: 4 })),
        ("no_common_suite", Reply::Refused(Refusal::NoCommonSuite)),
    ]
}

/// Datagrams with zeros where they matter to COBS, and of lengths around a full run.
pub(crate) fn datagrams() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("empty", vec![]),
        ("one_zero", vec![0]),
        ("digits", b"123456789".to_vec()),
        ("zeros_around", vec![0, 0x11, 0, 0, 0x22, 0]),
        ("a_run_less_one", vec![0x5a; 249]),
        ("a_full_run", vec![0x5a; 250]),
        ("a_run_and_one", vec![0x5a; 251]),
        ("two_runs", (1..=255).chain(1..=255).collect()),
    ]
}

fn addresses() -> [Advertised; 3] {
    let ip = |text: &str| Address::Ip(text.parse().unwrap());
    let one = |link, class, address| Advertised { link: LinkId(link), class, address };
    [
        one(1, CostClass::Wired, ip("192.0.2.1:4000")),
        one(2, CostClass::LastResort, ip("[2001:db8::1]:80")),
        one(9, CostClass::Wired, Address::Serial),
    ]
}

/// Acknowledgements exist only in their bytes, so these are kept for as long as the test runs.
fn ack(path: u32, waited_micros: u64, ranges: &[RangeInclusive<u64>]) -> Ack<'static> {
    let mut room = [0; 64];
    let mut writer = Writer::new(&mut room);
    let waited = Duration::from_micros(waited_micros);
    encode_ack(&mut writer, PathId(path), waited, ranges.iter().cloned()).unwrap();
    let bytes: &'static [u8] = writer.as_slice().to_vec().leak();
    match Frames::new(bytes).next() {
        Some(Ok(Frame::Ack(ack))) => ack,
        other => panic!("{other:?}"),
    }
}
