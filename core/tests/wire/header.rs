//! The first bytes of a datagram, and the packet numbers that stand cut short in them.

use proptest::prelude::*;
use ropewalk_core::id::{ConnectionId, PathId};
use ropewalk_core::packet_number::PacketNumber;
use ropewalk_core::wire::{Header, Kind, Malformed, Reader, Writer, destination, kind};

#[test]
fn the_first_byte_tells_the_kind_and_no_other_is_one() {
    // spec: 3.1-1
    for first in 0..=u8::MAX {
        let expected = match first {
            1 => Some(Kind::Initiation),
            2 => Some(Kind::Response),
            3 => Some(Kind::CookieReply),
            0x40..=0x43 | 0x60..=0x63 => Some(Kind::Packet),
            _ => None,
        };
        assert_eq!(kind(&[first]), expected, "{first:#04x}");
        let id =
            expected.filter(|kind| *kind != Kind::Initiation).map(|_| ConnectionId(0x0403_0201));
        assert_eq!(destination(&[first, 1, 2, 3, 4, 5]), id, "{first:#04x}");
        assert_eq!(destination(&[first, 1, 2, 3]), None, "{first:#04x}");
    }
    assert_eq!(kind(&[]), None);
}

#[test]
fn reserved_bits_and_long_path_ids_are_refused() {
    // spec: 3.2-1
    let decode = |bytes: &[u8]| Header::decode(&mut Reader::new(bytes));
    let good = [0x40, 1, 2, 3, 4, 0, 0];
    assert!(decode(&good).is_ok());
    for bit in [2, 3, 4, 7] {
        let mut bytes = good;
        bytes[0] ^= 1 << bit;
        assert_eq!(decode(&bytes), Err(Malformed));
    }
    assert_eq!(decode(&[0x40, 1, 2, 3, 4, 0x80, 0, 0]), Err(Malformed));
    assert_eq!(decode(&[0x40, 1, 2, 3, 4, 0x80, 0x80, 0x80, 0x80, 0x10, 0]), Err(Malformed));
}

proptest! {
    /// What the sender cuts off, the receiver puts back, wherever it stands between what the sender
    /// knows to have arrived and the packet itself.
    // spec: 3.2-2
    // spec: 3.2-3
    #[test]
    fn numbers_cut_short_come_back(
        acked in prop::option::of(0_u64..1 << 60),
        ahead in (0_u32..23, any::<u64>()).prop_map(|(bits, n)| n & ((1 << bits) - 1)),
        received: prop::sample::Index,
    ) {
        let first_unacked = acked.map_or(0, |acked| acked + 1);
        let number = PacketNumber(first_unacked + ahead);
        let acked = acked.map(PacketNumber);
        let number_len = number.encoded_len(acked);
        // More than twice as many numbers as lie between.
        prop_assert!(number_len == 4 || 1_u64 << (8 * number_len) > 2 * (ahead + 1));

        let header = Header {
            destination: ConnectionId(7),
            path: PathId(1),
            number: number.0 as u32,
            number_len: number_len as u8,
            key_phase: false,
        };
        let mut bytes = [0; 16];
        header.encode(&mut Writer::new(&mut bytes)).unwrap();
        let cut = Header::decode(&mut Reader::new(&bytes)).unwrap();
        let expected = PacketNumber(first_unacked + received.index(ahead as usize + 1) as u64);
        prop_assert_eq!(PacketNumber::expand(cut.number, number_len, expected), number);
    }

    // spec: 3.2-3
    #[test]
    fn the_nearest_number_is_taken(expected in 1_u64 << 40..1 << 60, number: u32, len in 1_usize..=4) {
        let span = 1_u64 << (8 * len);
        let low = u64::from(number) & (span - 1);
        let taken = PacketNumber::expand(low as u32, len, PacketNumber(expected)).0;
        prop_assert_eq!(taken & (span - 1), low);
        prop_assert!(taken.abs_diff(expected) <= span / 2);
    }
}
