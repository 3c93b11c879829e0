//! Bit errors that reach the application: one bit of a UDP payload is flipped and the checksum
//! made to agree, as a faulty memory in a router or a driver does it.
//!
//! A flipped bit alone would be dropped by the kernel, and the program under test would only see
//! a lost packet. Over IPv4 the checksum is zeroed ("not computed"); IPv6 does not allow that, so
//! there it is mended by the difference (RFC 1624). Ethernet, IPv4 (RFC 791), IPv6 (RFC 8200) and
//! UDP (RFC 768); whatever else passes unharmed.

use core::ops::Range;

/// Flips a bit of the frame's UDP payload, `which` choosing it, and makes the checksum agree.
/// Gives `false`, and leaves the frame alone, if there is no UDP payload in it.
pub fn flip_a_bit(frame: &mut [u8], which: u64) -> bool {
    let Some(udp) = find_udp(frame) else { return false };
    let bits = udp.payload.len() as u64 * 8;
    if bits == 0 {
        return false;
    }
    let bit = usize::try_from(which % bits).unwrap_or(0);
    let at = udp.payload.start + bit / 8;
    let word = udp.payload.start + ((bit / 8) & !1);
    let before = word_at(frame, word, udp.payload.end);
    frame[at] ^= 1 << (bit % 8);
    let after = word_at(frame, word, udp.payload.end);
    let checksum = if udp.may_be_zero { 0 } else { mend(read(frame, udp.checksum), before, after) };
    frame[udp.checksum..udp.checksum + 2].copy_from_slice(&checksum.to_be_bytes());
    true
}

struct Udp {
    /// Where the two bytes of the checksum stand.
    checksum: usize,
    payload: Range<usize>,
    /// Over IPv4 a checksum of zero means that there is none.
    may_be_zero: bool,
}

fn find_udp(frame: &[u8]) -> Option<Udp> {
    let ethertype = u16::from_be_bytes(*frame.get(12..)?.first_chunk()?);
    let packet = frame.get(ETHERNET_BYTES..)?;
    let (head, may_be_zero) = match ethertype {
        0x0800 => {
            let fragment = u16::from_be_bytes(*packet.get(6..)?.first_chunk()?) & 0x3fff;
            let udp = *packet.get(9)? == UDP && fragment == 0;
            (udp.then_some(usize::from(packet[0] & 0x0f) * 4)?, true)
        }
        0x86dd => ((*packet.get(6)? == UDP).then_some(40)?, false),
        _ => return None,
    };
    let start = ETHERNET_BYTES + head;
    let len = usize::from(u16::from_be_bytes(*frame.get(start + 4..)?.first_chunk()?));
    let payload = start + 8..start + len;
    (len >= 8 && payload.end <= frame.len()).then_some(Udp {
        checksum: start + 6,
        payload,
        may_be_zero,
    })
}

/// The 16-bit word of the payload at `at`; the last one of an odd length is filled with a zero.
fn word_at(frame: &[u8], at: usize, end: usize) -> u16 {
    let low = if at + 1 < end { frame[at + 1] } else { 0 };
    u16::from_be_bytes([frame[at], low])
}

fn read(frame: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([frame[at], frame[at + 1]])
}

/// RFC 1624, equation 3: HC' = ~(~HC + ~m + m').
fn mend(checksum: u16, before: u16, after: u16) -> u16 {
    let mut sum = u32::from(!checksum) + u32::from(!before) + u32::from(after);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    match !u16::try_from(sum).unwrap_or(0) {
        0 => 0xffff,
        checksum => checksum,
    }
}

const ETHERNET_BYTES: usize = 14;
const UDP: u8 = 17;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum(bytes: impl Iterator<Item = u8>) -> u16 {
        let bytes: Vec<u8> = bytes.collect();
        let mut sum: u32 = 0;
        for word in bytes.chunks(2) {
            sum += u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0));
        }
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        u16::try_from(sum).unwrap()
    }

    fn udp6_sum(frame: &[u8]) -> u16 {
        let udp = &frame[54..];
        let pseudo = frame[22..54].iter().copied().chain([0, 17]).chain(udp[4..6].iter().copied());
        sum(pseudo.chain(udp.iter().copied()))
    }

    fn udp6(payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![7; 54];
        frame[12..14].copy_from_slice(&[0x86, 0xdd]);
        frame[20] = UDP;
        let len = u16::try_from(8 + payload.len()).unwrap().to_be_bytes();
        frame.extend_from_slice(&[0x12, 0x34, 0x56, 0x78, len[0], len[1], 0, 0]);
        frame.extend_from_slice(payload);
        let checksum = !udp6_sum(&frame);
        frame[60..62].copy_from_slice(&checksum.to_be_bytes());
        assert_eq!(udp6_sum(&frame), 0xffff);
        frame
    }

    proptest! {
        #[test]
        fn one_bit_differs_and_the_checksum_still_holds(
            payload in proptest::collection::vec(any::<u8>(), 1..200),
            which: u64,
        ) {
            let before = udp6(&payload);
            let mut after = before.clone();
            prop_assert!(flip_a_bit(&mut after, which));
            prop_assert_eq!(udp6_sum(&after), 0xffff);
            let flipped: u32 =
                before[62..].iter().zip(&after[62..]).map(|(a, b)| (a ^ b).count_ones()).sum();
            prop_assert_eq!(flipped, 1);
        }

        #[test]
        fn any_frame_is_survived(mut frame in proptest::collection::vec(any::<u8>(), 0..120), which: u64) {
            let len = frame.len();
            flip_a_bit(&mut frame, which);
            prop_assert_eq!(frame.len(), len);
        }
    }

    #[test]
    fn over_ipv4_the_checksum_is_taken_out() {
        let mut frame = vec![0; ETHERNET_BYTES + 20];
        frame[12] = 8;
        frame[14] = 0x45;
        frame[23] = UDP;
        frame.extend_from_slice(&[1, 2, 3, 4, 0, 12, 0xab, 0xcd, b'd', b'a', b't', b'a']);
        assert!(flip_a_bit(&mut frame, 3));
        assert_eq!(frame[40..], [0, 0, b'd' ^ 8, b'a', b't', b'a']);
    }

    #[test]
    fn what_is_not_udp_passes_unharmed() {
        let mut frame = vec![0; 100];
        frame[12..14].copy_from_slice(&[8, 6]); // ARP
        let before = frame.clone();
        assert!(!flip_a_bit(&mut frame, 9));
        assert_eq!(frame, before);
    }
}
