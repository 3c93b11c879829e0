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
    /// The register that it leads through, if it does.
    pub register: Option<u8>,
    /// Whether it comes back. If not, the frame that was there is gone.
    pub call: bool,
}

/// A word of the code's own constants that is put into a register: often where a function begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// The address of the instruction.
    pub from: u32,
    /// The register.
    pub register: u8,
    /// What is put there.
    pub word: u32,
}

/// All branches of the image.
#[must_use]
pub fn branches(image: &Image) -> Vec<Branch> {
    let mut found = Vec::new();
    each(image, |from, first, second| found.extend(decode(from, first, second)));
    found
}

/// All loads of the image from the constants between the code.
#[must_use]
pub fn loads(image: &Image) -> Vec<Load> {
    let (start, bytes) = &image.text;
    let mut found = Vec::new();
    each(image, |from, first, second| {
        let Some((register, place)) = literal(from, first, second) else { return };
        let at = place.checked_sub(*start).and_then(|at| bytes.get(at as usize..)?.first_chunk());
        found.extend(at.map(|word| Load { from, register, word: u32::from_le_bytes(*word) }));
    });
    found
}

/// Goes through the instructions: the address, the first half, and the second of one that has two.
fn each(image: &Image, mut hear: impl FnMut(u32, u16, Option<u16>)) {
    let (start, bytes) = &image.text;
    let half = |at: usize| Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let mut at = 0;
    while let Some(first) = half(at) {
        let address = start + at as u32;
        let wide = first >> 11 >= 0b11101;
        let code = image.marks.range(..=address).next_back().is_none_or(|(_, code)| *code);
        if code {
            hear(address, first, if wide { half(at + 2) } else { None });
        }
        at += if wide && code { 4 } else { 2 };
    }
}

/// `LDR` from the constants behind the code: which register, and where the word lies.
fn literal(from: u32, first: u16, second: Option<u16>) -> Option<(u8, u32)> {
    let base = (from & !3).wrapping_add(4);
    match second {
        None if first >> 11 == 0b01001 => {
            Some(((first >> 8 & 7) as u8, base + u32::from(first & 0xff) * 4))
        }
        Some(second) if first == 0xf8df => {
            Some(((second >> 12) as u8, base + u32::from(second & 0xfff)))
        }
        _ => None,
    }
}

fn decode(from: u32, first: u16, second: Option<u16>) -> Option<Branch> {
    let near = |offset: i32| Some(from.wrapping_add(4).wrapping_add_signed(offset));
    let register = Some((first >> 3 & 15) as u8);
    let Some(second) = second else {
        return match (first >> 11, first & 0xff87) {
            (0b11100, _) => {
                let offset = sign_extend(u32::from(first & 0x7ff) << 1, 12);
                Some(Branch { from, target: near(offset), register: None, call: false })
            }
            (_, 0x4780) => Some(Branch { from, target: None, register, call: true }),
            // BX to anything but the link register.
            (_, 0x4700) if first != 0x4770 => {
                Some(Branch { from, target: None, register, call: false })
            }
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
            Some(Branch { from, target: near(offset), register: None, call: kind == 0b11 })
        }
        // B with a condition; with the condition's bits all ones it is something else.
        (0b10, 0) if first >> 7 & 7 != 7 => {
            let low = (first & 0x3f) << 12 | (second & 0x7ff) << 1;
            let offset = sign_extend(s << 20 | j2 << 19 | j1 << 18 | low, 21);
            Some(Branch { from, target: near(offset), register: None, call: false })
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
        let branch = |target, register, call| Some(Branch { from: 0x100, target, register, call });
        let call = |target| branch(target, None, true);
        let tail = |target| branch(target, None, false);
        assert_eq!(decode(0x100, 0xf000, Some(0xf801)), call(Some(0x106))); // bl .+6
        assert_eq!(decode(0x100, 0xf7ff, Some(0xfffe)), call(Some(0x100))); // bl .
        assert_eq!(decode(0x100, 0xf7ff, Some(0xbffe)), tail(Some(0x100))); // b.w .
        assert_eq!(decode(0x100, 0xe7fe, None), tail(Some(0x100))); // b .
        assert_eq!(decode(0x100, 0xf43f, Some(0xaffe)), tail(Some(0x100))); // beq.w .
        assert_eq!(decode(0x100, 0x4798, None), branch(None, Some(3), true)); // blx r3
        assert_eq!(decode(0x100, 0x4718, None), branch(None, Some(3), false)); // bx r3
        assert_eq!(decode(0x100, 0x4770, None), None); // bx lr
        assert_eq!(decode(0x100, 0xb510, None), None); // push {r4, lr}
        assert_eq!(decode(0x100, 0xf3ef, Some(0x8005)), None); // mrs r0, ipsr
    }

    #[test]
    fn loads_are_decoded_as_the_assembler_wrote_them() {
        assert_eq!(literal(0x102, 0x4c01, None), Some((4, 0x108))); // ldr r4, [pc, #4]
        assert_eq!(literal(0x102, 0xf8df, Some(0x9008)), Some((9, 0x10c))); // ldr.w r9, [pc, #8]
        assert_eq!(literal(0x102, 0xf8d0, Some(0x9008)), None); // ldr.w r9, [r0, #8]
        assert_eq!(literal(0x102, 0x6801, None), None); // ldr r1, [r0]
    }
}
