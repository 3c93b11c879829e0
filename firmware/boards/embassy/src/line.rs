//! A buffered UART as a serial line: interrupts move its bytes, the loop comes by for them.

use embedded_io::{Read, ReadReady};
use ropewalk_app::serial::Serial;
use ropewalk_drivers::embassy::PolledUart;
use ropewalk_drivers::serial::{SerialLine, memory_bytes};

/// A link over the UART `U`.
pub type Line<U> = Serial<'static, PolledUart<U>>;

/// What both ends have to agree on.
pub const BITS_PER_SECOND: u32 = 115_200;

/// Makes a link of a UART that runs at [`BITS_PER_SECOND`], out of the queue that interrupts empty
/// and the one that they fill.
pub fn link<U: Read + ReadReady + embedded_io_async::Write>(
    name: &'static str,
    memory: &'static mut LineMemory,
    uart: impl FnOnce(&'static mut [u8], &'static mut [u8]) -> U,
) -> Line<U> {
    let LineMemory { to_line, from_line, incoming, outgoing } = memory;
    let uart = PolledUart::new(uart(to_line, from_line));
    Serial::new(
        name,
        MTU,
        BITS_PER_SECOND,
        SerialLine::new(uart, BITS_PER_SECOND, incoming, outgoing),
    )
}

/// The memory of a line.
pub struct LineMemory {
    /// It adds to the line's own queue, and is kept short.
    to_line: [u8; 64],
    /// Lasts 90 ms: longer than any turn of the loop, but for a handshake's on a slow chip.
    from_line: [u8; 1_024],
    incoming: [u8; MTU as usize + 4],
    outgoing: [u8; 2 * memory_bytes(MTU as usize)],
}

impl LineMemory {
    /// All zeros: it costs no flash.
    #[must_use]
    pub const fn new() -> Self {
        Self { to_line: [0; _], from_line: [0; _], incoming: [0; _], outgoing: [0; _] }
    }
}

impl Default for LineMemory {
    fn default() -> Self {
        Self::new()
    }
}

/// The longest datagram; its frame takes 25 ms of the line.
const MTU: u16 = 288;
