//! Finds the branches in Thumb code (Arm v7-M Architecture Reference Manual, chapter A7.7).
//!
//! Only as much is decoded as it takes to know who calls whom: `BL` and the forms of `B` that lead
//! out of a function, and calls through a register. Data between the code is skipped by the
//! mapping symbols of the Arm ELF.

use super::image::Image;

/// A branch from one function to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Branch {
    /// The address of the instruction.
    pub from: u32,
    /// Where it leads; `None` if that is in a register.
    pub target: Option<u32>,
    /// Whether it comes back. If not, the frame that was there is gone.
    pub call: bool,
}

/// All branches of the image.
#[must_use]
pub fn branches(image: &Image) -> Vec<Branch> {
    let (start, bytes) = &image.text;
    let half = |at: usize| Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = half(at) {
        let address = start + at as u32;
        let wide = first >> 11 >= 0b11101;
        let code = image.marks.range(..=address).next_back().is_none_or(|(_, code)| *code);
        if code {
            let second = if wide { half(at + 2) } else { None };
            found.extend(decode(address, first, second));
        }
        at += if wide && code { 4 } else { 2 };
    }
    found
}

fn decode(from: u32, first: u16, second: Option<u16>) -> Option<Branch> {
    let near = |offset: i32| Some(from.wrapping_add(4).wrapping_add_signed(offset));
    let Some(second) = second else {
        return match (first >> 11, first & 0xff87) {
            (0b11100, _) => {
                let offset = sign_extend(u32::from(first & 0x7ff) << 1, 12);
                Some(Branch { from, target: near(offset), call: false })
            }
            (_, 0x4780) => Some(Branch { from, target: None, call: true }),
            // BX to anything but the link register.
            (_, 0x4700) if first != 0x4770 => Some(Branch { from, target: None, call: false }),
            _ => None,
        };
    };
    let (first, second) = (u32::from(first), u32::from(second));
    if first >> 11 != 0b11110 {
        return None;
    }
    let (s, j1, j2) = (first >> 10 & 1, second >> 13 & 1, second >> 11 & 1);
    match (second >> 14, second >> 12 & 1) {
        // BL, and B without a condition.
        (kind @ (0b11 | 0b10), 1) => {
            let (i1, i2) = (!(j1 ^ s) & 1, !(j2 ^ s) & 1);
            let low = (first & 0x3ff) << 12 | (second & 0x7ff) << 1;
            let offset = sign_extend(s << 24 | i1 << 23 | i2 << 22 | low, 25);
            Some(Branch { from, target: near(offset), call: kind == 0b11 })
        }
        // B with a condition; with the condition's bits all ones it is something else.
        (0b10, 0) if first >> 7 & 7 != 7 => {
            let low = (first & 0x3f) << 12 | (second & 0x7ff) << 1;
            let offset = sign_extend(s << 20 | j2 << 19 | j1 << 18 | low, 21);
            Some(Branch { from, target: near(offset), call: false })
        }
        _ => None,
    }
}

const fn sign_extend(value: u32, bits: u32) -> i32 {
    (value << (32 - bits)).cast_signed() >> (32 - bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_are_decoded_as_the_assembler_wrote_them() {
        let call = |target| Some(Branch { from: 0x100, target, call: true });
        let tail = |target| Some(Branch { from: 0x100, target, call: false });
        assert_eq!(decode(0x100, 0xf000, Some(0xf801)), call(Some(0x106))); // bl .+6
        assert_eq!(decode(0x100, 0xf7ff, Some(0xfffe)), call(Some(0x100))); // bl .
        assert_eq!(decode(0x100, 0xf7ff, Some(0xbffe)), tail(Some(0x100))); // b.w .
        assert_eq!(decode(0x100, 0xe7fe, None), tail(Some(0x100))); // b .
        assert_eq!(decode(0x100, 0xf43f, Some(0xaffe)), tail(Some(0x100))); // beq.w .
        assert_eq!(decode(0x100, 0x4798, None), call(None)); // blx r3
        assert_eq!(decode(0x100, 0x4718, None), tail(None)); // bx r3
        assert_eq!(decode(0x100, 0x4770, None), None); // bx lr
        assert_eq!(decode(0x100, 0xb510, None), None); // push {r4, lr}
        assert_eq!(decode(0x100, 0xf3ef, Some(0x8005)), None); // mrs r0, ipsr
    }
}
