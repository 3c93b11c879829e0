//! ropewalk-core: one encrypted connection over every link that two machines share, as state.
//!
//! Nothing here reads a clock, allocates, blocks, logs, uses floats, or panics, whatever a peer
//! sends. The caller owns sockets, time and memory; the same code runs on a microcontroller and on
//! a PC. A connection is told what happened and asked what to do:
//!
//! ```
//! # #[cfg(feature = "software")] {
//! use ropewalk_core::config::Config;
//! use ropewalk_core::connection::*;
//! use ropewalk_core::crypto::{Identity, Seed, Software};
//! use ropewalk_core::id::{Address, Arrival, CostClass, LinkId};
//! use ropewalk_core::stream::Service;
//! use ropewalk_core::time::Instant;
//!
//! type Board = Memory<2, 2, 32, 16384, 16384>; // paths, streams, packets, bytes each way
//! let now = Instant::from_micros(1);
//! let config = Config { services: &["echo"], ..Config::default() };
//! let line = || LinkInfo {
//!     mtu: 1_400,
//!     rate: None,
//!     class: CostClass::Wired,
//!     addresses: [Address::Serial].into_iter().collect(),
//!     hidden: false,
//! };
//! let at = Arrival { link: LinkId(0), local: None, remote: Address::Serial };
//!
//! // One side listens, the other dials.
//! let bob = Identity::new::<Software>([2; 32]);
//! let key = bob.public;
//! let offer = offered_credit(&mut Board::new());
//! let mut listener = Listener::<Software>::new(bob, offer, true, Seed([3; 32]), now);
//! let peer = Peer {
//!     key,
//!     psk: [0; 32],
//!     ticket: None,
//!     addresses: [Address::Serial].into_iter().collect(),
//! };
//! let alice = Identity::new::<Software>([1; 32]);
//! let mut a = Connection::<_, Software>::connect(config, alice, peer, Seed([4; 32]), Board::new(), now);
//! a.handle_link(LinkId(0), LinkChange::Up(line()), now);
//! let mut b: Option<Connection<Board, Software>> = None;
//!
//! // The loop: whatever one side transmits, the other handles.
//! let (mut buffer, mut scratch) = ([0; 1_200], [0; 1_500]);
//! let mut heard = [0; 5];
//! for _ in 0..20 {
//!     while let Some(sent) = a.poll_transmit(&mut buffer, now) {
//!         let datagram = &mut buffer[..sent.len];
//!         if let Some(b) = &mut b {
//!             let _ = b.handle_datagram(at, datagram, now);
//!             continue;
//!         }
//!         match listener.handle_datagram(at, datagram, &|_| false, &mut |_, _| Some([0; 32]), &mut scratch, now) {
//!             Route::Reply(len) => drop(a.handle_datagram(at, &mut scratch[..len], now)),
//!             Route::Accept(incoming) => {
//!                 let mut new = Connection::accept(incoming, config, Seed([5; 32]), Board::new(), now).unwrap();
//!                 new.handle_link(LinkId(0), LinkChange::Up(line()), now);
//!                 let _ = new.handle_datagram(at, datagram, now);
//!                 b = Some(new);
//!             }
//!             _ => {}
//!         }
//!     }
//!     while let Some(event) = a.poll_event() {
//!         if event == Event::Connected {
//!             let stream = a.open(&Service::new("echo").unwrap()).unwrap();
//!             a.stream(stream).write(b"hello").unwrap();
//!         }
//!     }
//!     let Some(b) = &mut b else { continue };
//!     while let Some(event) = b.poll_event() {
//!         if let Event::StreamReadable(stream) = event {
//!             b.stream(stream).read(&mut heard).unwrap();
//!         }
//!     }
//!     while let Some(sent) = b.poll_transmit(&mut buffer, now) {
//!         let _ = a.handle_datagram(at, &mut buffer[..sent.len], now);
//!     }
//! }
//! assert_eq!(&heard, b"hello");
//! # }
//! ```
//!
//! The rooms, by rank (a room uses only those above it in this list):
//!
//! | rank | rooms |
//! |---|---|
//! | 0 | values: [`time`], [`id`], [`packet_number`], [`carried`], [`config`], [`error`]; [`storage`] |
//! | 1 | [`wire`]: bytes to values and back |
//! | 2 | [`crypto`], [`recovery`], [`repair`], [`stream`], [`application`]: one concern each, none knows another |
//! | 3 | [`path`]: the multipath policy, what the project exists for |
//! | 4 | [`connection`]: routes between them |
//!
//! Features: `software` brings portable ciphers; `defmt` derives its format for what is reported;
//! `repair` and `quota` (on by default) are error correction and links with a quota, which boards may
//! leave out. Sizes are never features: they are the type parameters of [`connection::Memory`].
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod application;
mod arithmetic;
pub mod carried;
pub mod config;
pub mod connection;
pub mod crypto;
pub mod error;
pub mod id;
pub mod packet_number;
pub mod path;
pub mod recovery;
#[cfg(feature = "repair")]
pub mod repair;
pub mod storage;
pub mod stream;
pub mod time;
pub mod wire;
