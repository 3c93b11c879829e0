//! What the two handshake messages carry: the bytes are postcard's, and addresses give way when
//! room is short.

use super::{any, mirror};
use proptest::prelude::*;
use ropewalk_core::id::{Address, ConnectionId, CostClass, LinkId, Mode};
use ropewalk_core::wire::{Advertised, Credit, Hello, Reply, Suite, Suites};

proptest! {
    // spec: 4.4-1
    #[test]
    fn introductions_are_postcards_and_come_back((hello, suites) in any::hello()) {
        let mut room = [0; 1_024];
        let len = hello.encode(&mut room).unwrap();
        prop_assert_eq!(&room[..len], &mirror::hello(&hello, &suites)[..]);
        prop_assert_eq!(Hello::decode(&room[..len]), Some(hello));
    }

    // spec: 4.4-1
    #[test]
    fn answers_are_postcards_and_come_back(reply in any::reply()) {
        let mut room = [0; 1_024];
        let len = reply.encode(&mut room).unwrap();
        prop_assert_eq!(&room[..len], &mirror::reply(&reply)[..]);
        prop_assert_eq!(Reply::decode(&room[..len]), Some(reply));
    }

    // spec: 4.4-2
    #[test]
    fn payloads_end_where_they_end((hello, _) in any::hello(), reply in any::reply(), cut: prop::sample::Index) {
        let mut room = [0; 1_024];
        let len = hello.encode(&mut room).unwrap();
        prop_assert_eq!(Hello::decode(&room[..len + 1]), None);
        prop_assert_eq!(Hello::decode(&room[..cut.index(len)]), None);
        let len = reply.encode(&mut room).unwrap();
        prop_assert_eq!(Reply::decode(&room[..len + 1]), None);
        prop_assert_eq!(Reply::decode(&room[..cut.index(len)]), None);
    }

    #[test]
    fn the_last_addresses_are_left_out_when_room_is_short((hello, _) in any::hello(), room: prop::sample::Index) {
        let mut whole = [0; 1_024];
        let whole_len = hello.encode(&mut whole).unwrap();
        let mut short = vec![0; room.index(whole_len)];
        let Some(len) = hello.encode(&mut short) else {
            // Without addresses it would have fitted if only one byte more than the rest was there.
            let bare = Hello { addresses: [].into_iter().collect(), ..hello };
            prop_assert!(bare.encode(&mut whole).unwrap() > short.len());
            return Ok(());
        };
        let kept = Hello::decode(&short[..len]).unwrap();
        let count = kept.addresses.len();
        prop_assert!(count < hello.addresses.len());
        prop_assert_eq!(&kept.addresses[..], &hello.addresses[..count]);
        // One more would not have fitted.
        let front = hello.addresses[..=count].iter().copied().collect();
        let more = Hello { addresses: front, ..hello.clone() };
        prop_assert!(more.encode(&mut whole).unwrap() > short.len());
    }
}

fn hello() -> Hello {
    Hello {
        version_min: 1,
        version_max: 1,
        suites: Suites::new(&[Suite::Aes256Gcm, Suite::ChaCha20Poly1305]),
        mode: Mode::Bulk,
        ticket: None,
        replaces: Some(ConnectionId(300)),
        credit: Credit { data: 1, stream_data: 2, streams: 3 },
        addresses: [].into_iter().collect(),
    }
}

#[test]
fn a_suite_that_nobody_knows_is_skipped() {
    // spec: 4.6-2
    let mut bytes = [0; 64];
    let len = hello().encode(&mut bytes).unwrap();
    assert_eq!(bytes[..len], [1, 1, 2, 1, 2, 0, 0, 1, 0xac, 2, 1, 2, 3, 0]);
    bytes[3] = 99;
    let other = Hello::decode(&bytes[..len]).unwrap();
    assert!(!other.suites.contains(Suite::Aes256Gcm));
    let ours = [Suite::Aes256Gcm, Suite::ChaCha20Poly1305];
    assert_eq!(other.suites.choose(&ours), Some(Suite::ChaCha20Poly1305));
    assert_eq!(other.suites.choose(&ours[..1]), None);
    assert_eq!(hello().suites.choose(&ours), Some(Suite::Aes256Gcm));
}

#[test]
fn lists_over_their_bounds_are_refused() {
    // spec: 4.4-3
    let mut many = hello();
    let address = Advertised { link: LinkId(0), class: CostClass::Wired, address: Address::Serial };
    many.addresses = [address; 8].into_iter().collect();
    let mut bytes = [0; 64];
    let len = many.encode(&mut bytes).unwrap();
    assert_eq!(Hello::decode(&bytes[..len]), Some(many));
    // The count stands before eight times three bytes.
    let count_at = len - 8 * 3 - 1;
    assert_eq!(bytes[count_at], 8);
    bytes[count_at] = 9;
    bytes[len..len + 3].copy_from_slice(&[0, 0, 1]);
    assert_eq!(Hello::decode(&bytes[..len + 3]), None);

    let suites = |count: u8| {
        let rest = [0, 0, 0, 1, 2, 3, 0];
        [&[1, 1, count], &[1; 9][..count.into()], &rest].concat()
    };
    assert!(Hello::decode(&suites(4)).is_some());
    assert_eq!(Hello::decode(&suites(5)), None);
}
