//! Enums without fields: on the wire one number, the variant's place in its list.
//!
//! A number beyond the list is malformed. A version that adds a choice is told apart by the version
//! that the handshake agreed on, not by guessing (`docs/protocol.md` section 6.1).

use super::cursor::{Full, Malformed, Reader, Writer};
use super::frame::PathStatus;
use crate::id::{CostClass, Mode};

/// An enum whose variants are numbered from zero.
pub(super) trait Choice: Copy + 'static {
    /// The variant's number.
    fn number(self) -> u32;
    /// The variant with this number.
    fn from_number(number: u32) -> Option<Self>;

    fn encode(self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.put_u32(self.number())
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Self::from_number(reader.u32()?).ok_or(Malformed)
    }
}

macro_rules! choices {
    ($($name:ident { $($variant:ident = $number:literal,)+ })+) => {$(
        impl Choice for $name {
            fn number(self) -> u32 {
                match self { $(Self::$variant => $number,)+ }
            }

            fn from_number(number: u32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    )+};
}

choices! {
    CostClass { Wired = 0, Wireless = 1, Metered = 2, LastResort = 3, }
    Mode { Bulk = 0, Spread = 1, Backup = 2, Redundant = 3, Repair = 4, }
    PathStatus { Available = 0, Backup = 1, Gone = 2, }
}
