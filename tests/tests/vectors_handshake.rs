//! `tests/vectors/handshake.txt`: one handshake, its cookie, its keys and the first packets under
//! them, byte for byte, for whoever writes a second implementation (`docs/protocol.md` sections 4
//! and 5).
//!
//! One test makes the whole file from its inputs, the other reads it as a peer would. To write it
//! anew after the protocol has changed: `ROPEWALK_WRITE_VECTORS=1 cargo test -p ropewalk-tests
//! --test vectors_handshake`.

use core::fmt::Write as _;
use std::collections::HashMap;

use ropewalk_core::crypto::seal::Schedule;
use ropewalk_core::crypto::{
    Answer, CookieJar, Identity, Initiator, Outcome, PacketKeys, Psk, Random, Secrets, Seed,
    Software, responder,
};
use ropewalk_core::id::{Address, ConnectionId, CostClass, LinkId, Mode, PathId, PublicKey};
use ropewalk_core::packet_number::PacketNumber;
use ropewalk_core::time::Instant;
use ropewalk_core::wire::{
    Advertised, Credit, Header, Hello, Reply, Suite, Suites, Welcome, Writer,
};

const FILE: &str = include_str!("../vectors/handshake.txt");
const DIALER: ConnectionId = ConnectionId(0x1122_3344);
const RESPONDER: ConnectionId = ConnectionId(0x5566_7788);
const PSK: Psk = [0x5a; 32];
const CREDIT: Credit = Credit { data: 1 << 20, stream_data: 1 << 18, streams: 16 };
const PAYLOADS: [&str; 3] = ["the first packet", "the answer", "after the key change"];

/// The file's lines, `name = hex`, each with a remark before it where one is needed.
#[derive(Default)]
struct Vectors(String);

impl Vectors {
    fn remark(&mut self, text: &str) {
        writeln!(self.0, "\n# {text}").unwrap();
    }

    fn add(&mut self, name: &str, bytes: &[u8]) {
        write!(self.0, "{name} = ").unwrap();
        for byte in bytes {
            write!(self.0, "{byte:02x}").unwrap();
        }
        self.0.push('\n');
    }

    fn schedule(&mut self, name: &str, secret: &[u8; 32]) -> [u8; 32] {
        let Schedule { key, iv, next } = Schedule::new::<Software>(secret);
        self.add(&format!("{name}_secret"), secret);
        self.add(&format!("{name}_key"), &key);
        self.add(&format!("{name}_iv"), &iv);
        next
    }
}

fn identity(secret: u8) -> Identity {
    Identity::new::<Software>([secret; 32])
}

fn random(seed: u8) -> Random<Software> {
    Random::new(Seed([seed; 32]))
}

fn address(link: u8, address: &str) -> Advertised {
    let address = Address::Ip(address.parse().unwrap());
    Advertised { link: LinkId(link), class: CostClass::Wired, address }
}

fn hello() -> Hello {
    let mut addresses = heapless::Vec::new();
    addresses.push(address(1, "192.0.2.1:4000")).unwrap();
    addresses.push(address(2, "[2001:db8::1]:4000")).unwrap();
    Hello {
        version_min: 1,
        version_max: 1,
        suites: Suites::new(&[Suite::Aes256Gcm, Suite::ChaCha20Poly1305]),
        mode: Mode::Bulk,
        ticket: Some(*b"ticket 1"),
        replaces: None,
        credit: CREDIT,
        addresses,
    }
}

/// Seals one packet as `keys` would send it, and records header, payload and datagram.
fn packet(
    vectors: &mut Vectors,
    name: &str,
    keys: &mut PacketKeys<Software>,
    header: Header,
    payload: &str,
) -> Vec<u8> {
    let mut datagram = [0; 20];
    let mut writer = Writer::new(&mut datagram);
    header.encode(&mut writer).unwrap();
    let len = writer.len();
    let mut sealed = payload.as_bytes().to_vec();
    let number = PacketNumber(header.number.into());
    let tag = keys.seal(header.path, number, &datagram[..len], &mut sealed);
    let whole = [&datagram[..len], &sealed, &tag].concat();
    vectors.add(&format!("{name}_header"), &datagram[..len]);
    vectors.add(&format!("{name}_payload"), payload.as_bytes());
    vectors.add(name, &whole);
    whole
}

fn headers() -> [Header; 3] {
    let header = Header {
        destination: RESPONDER,
        path: PathId(0),
        number: 0,
        number_len: 1,
        key_phase: false,
    };
    [
        header,
        Header { destination: DIALER, path: PathId(1), number: 0x0102, number_len: 2, ..header },
        Header { path: PathId(200), number: 70_000, number_len: 3, key_phase: true, ..header },
    ]
}

fn handshake(v: &mut Vectors) -> (Secrets, Secrets) {
    let (ours, theirs) = (identity(1), identity(2));
    v.remark("Static keys, X25519, and the pre-shared key that the ticket stands for.");
    v.add("initiator_secret", &ours.secret);
    v.add("initiator_public", &ours.public.0);
    v.add("responder_secret", &theirs.secret);
    v.add("responder_public", &theirs.public.0);
    v.add("psk", &PSK);

    v.remark("First message. Its cookie is empty; with a cookie only the last 16 bytes differ.");
    let mut buffer = [0; 600];
    let dialer = Initiator::new(&ours, theirs.public, &PSK, DIALER, &hello(), 548, &mut random(3));
    v.add("initiator_ephemeral_secret", &random(3).bytes::<32>());
    let len = hello().encode(&mut buffer).unwrap();
    v.add("hello", &buffer[..len]);
    let len = dialer.write(None, &mut buffer).unwrap();
    let mut initiation = buffer[..len].to_vec();
    v.add("initiation", &initiation);

    v.remark("What a responder under load answers, and the message again with that cookie.");
    let mut jar = CookieJar::<Software>::new(&mut random(5), Instant::ZERO);
    let (at, link, now) = (Address::Serial, LinkId(0), Instant::ZERO);
    let len = jar.reply(&theirs.public, &initiation, &at, link, &mut buffer, now).unwrap();
    let cookie = dialer.read_cookie(&buffer[..len]).unwrap();
    v.add("cookie", &cookie);
    v.add("cookie_reply", &buffer[..len]);
    let len = dialer.write(Some(&cookie), &mut buffer).unwrap();
    v.add("initiation_with_cookie", &buffer[..len]);

    v.remark("Second message.");
    let request = responder::read_initiation::<Software>(&theirs, &mut initiation).unwrap();
    let addresses = [address(1, "198.51.100.7:4000")];
    v.add("responder_ephemeral_secret", &random(4).bytes::<32>());
    let (answer, len) =
        request.respond(&PSK, RESPONDER, CREDIT, &addresses, &mut random(4), &mut buffer).unwrap();
    let response = buffer[..len].to_vec();
    let Answer::Accepted { secrets: far, welcome } = answer else { panic!("refused") };
    let len = Reply::Welcome(welcome).encode(&mut buffer).unwrap();
    v.add("reply", &buffer[..len]);
    v.add("response", &response);
    let (near, _) = established(&dialer, response);
    (near, far)
}

fn established(dialer: &Initiator<Software>, mut response: Vec<u8>) -> (Secrets, Welcome) {
    match dialer.read_response(&mut response).unwrap() {
        Outcome::Established { secrets, welcome } => (secrets, welcome),
        Outcome::Refused(refusal) => panic!("{refusal:?}"),
    }
}

/// The whole file.
fn transcript() -> String {
    let mut v = Vectors::default();
    v.0.push_str(
        "# One handshake and the first packets under its keys (docs/protocol.md, 4 and 5).\n",
    );
    v.0.push_str(
        "# The packets' suite is ChaCha20-Poly1305. Made and read by vectors_handshake.rs.\n",
    );
    let (near, far) = handshake(&mut v);

    v.remark("Traffic secrets, initiator to responder and back, of two epochs.");
    let there = v.schedule("there_0", &near.send);
    let back = v.schedule("back_0", &near.receive);
    v.schedule("there_1", &there);
    v.schedule("back_1", &back);

    v.remark("Packets: path 0 number 0, the answer on path 1 with number 258, and path 200 number");
    v.0.push_str(
        "# 70,000 after the initiator has changed keys. Header, payload and tag in a row.\n",
    );
    let (mut near, mut far) =
        (PacketKeys::<Software>::new(&near), PacketKeys::<Software>::new(&far));
    let [first, answer, changed] = headers();
    packet(&mut v, "packet_there", &mut near, first, PAYLOADS[0]);
    packet(&mut v, "packet_back", &mut far, answer, PAYLOADS[1]);
    assert!(near.change());
    packet(&mut v, "packet_changed", &mut near, changed, PAYLOADS[2]);
    v.0
}

#[test]
fn the_file_is_what_these_inputs_lead_to() {
    let transcript = transcript();
    if std::env::var_os("ROPEWALK_WRITE_VECTORS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/handshake.txt");
        std::fs::write(path, &transcript).unwrap();
    } else {
        assert_eq!(FILE, transcript);
    }
}

#[test]
fn a_peer_reads_every_message_of_the_file() {
    let file = Parsed::new(FILE);
    let ours = Identity::new::<Software>(file.array("initiator_secret"));
    let theirs = Identity::new::<Software>(file.array("responder_secret"));
    assert_eq!(ours.public, PublicKey(file.array("initiator_public")));
    assert_eq!(theirs.public, PublicKey(file.array("responder_public")));

    for name in ["initiation", "initiation_with_cookie"] {
        let mut initiation = file.bytes(name);
        assert!(responder::check::<Software>(&theirs.public, &initiation));
        let request = responder::read_initiation::<Software>(&theirs, &mut initiation).unwrap();
        assert_eq!((request.peer, request.connection), (ours.public, DIALER));
        assert_eq!(Some(request.hello), Hello::decode(&file.bytes("hello")));
    }

    let dialer = Initiator::new(
        &ours,
        theirs.public,
        &file.array("psk"),
        DIALER,
        &hello(),
        548,
        &mut random(3),
    );
    assert_eq!(dialer.read_cookie(&file.bytes("cookie_reply")), Some(file.array("cookie")));
    let (secrets, welcome) = established(&dialer, file.bytes("response"));
    assert_eq!(Some(Reply::Welcome(welcome)), Reply::decode(&file.bytes("reply")));
    assert_eq!(secrets.send, file.array("there_0_secret"));
    assert_eq!(secrets.receive, file.array("back_0_secret"));
    assert_eq!(Schedule::new::<Software>(&secrets.send).next, file.array("there_1_secret"));
    assert_eq!(Schedule::new::<Software>(&secrets.receive).next, file.array("back_1_secret"));

    let mut near = PacketKeys::<Software>::new(&secrets);
    let (send, receive) = (secrets.receive, secrets.send);
    let side = secrets.side.peer();
    let mut far = PacketKeys::<Software>::new(&Secrets { side, send, receive, ..secrets });
    for (name, payload, header, keys) in [
        ("packet_there", PAYLOADS[0], headers()[0], &mut far),
        ("packet_back", PAYLOADS[1], headers()[1], &mut near),
    ] {
        assert!(!open(&file, name, payload, header, keys));
    }
    assert!(open(&file, "packet_changed", PAYLOADS[2], headers()[2], &mut far));
}

/// Opens a packet of the file; whether it was the first of a new phase.
fn open(
    file: &Parsed<'_>,
    name: &str,
    payload: &str,
    header: Header,
    keys: &mut PacketKeys<Software>,
) -> bool {
    let mut datagram = file.bytes(name);
    let (head, rest) = datagram.split_at_mut(header.encoded_len());
    assert_eq!(head, file.bytes(&format!("{name}_header")));
    let (sealed, tag) = rest.split_last_chunk_mut().unwrap();
    let number = PacketNumber(header.number.into());
    let opened = keys
        .open(header.key_phase, header.path, number, true, head, sealed, tag, Instant::ZERO)
        .unwrap();
    assert_eq!(sealed, payload.as_bytes());
    opened.key_changed
}

struct Parsed<'f>(HashMap<&'f str, &'f str>);

impl<'f> Parsed<'f> {
    fn new(file: &'f str) -> Self {
        Self(file.lines().filter_map(|line| line.split_once(" = ")).collect())
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        let digits = self.0[name].as_bytes().chunks(2);
        digits.map(|two| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap()).collect()
    }

    fn array<const N: usize>(&self, name: &str) -> [u8; N] {
        self.bytes(name).try_into().unwrap()
    }
}
