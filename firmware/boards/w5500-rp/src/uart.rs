//! UART0 as a serial line.

use embassy_rp::peripherals::{PIN_0, PIN_1, UART0};
use embassy_rp::uart::{BufferedInterruptHandler, BufferedUart, Config};
use embassy_rp::{Peri, bind_interrupts};
use ropewalk_drivers::embassy::PolledUart;
use ropewalk_drivers::serial::{SerialLine, memory_bytes};
use static_cell::ConstStaticCell;

bind_interrupts!(struct Interrupts {
    UART0_IRQ => BufferedInterruptHandler<UART0>;
});

/// What both ends have to agree on.
pub(crate) const BITS_PER_SECOND: u32 = 115_200;
/// The longest datagram; its frame takes 25 ms of the line.
pub(crate) const MTU: u16 = 288;

const IN_BYTES: usize = MTU as usize + 4;
const OUT_BYTES: usize = 2 * memory_bytes(MTU as usize);

pub(crate) fn start(
    uart: Peri<'static, UART0>,
    to_line: Peri<'static, PIN_0>,
    from_line: Peri<'static, PIN_1>,
) -> SerialLine<'static, PolledUart<BufferedUart>> {
    // The queue that interrupts empty adds to the line's own, and is kept short. The one that they
    // fill lasts 90 ms: longer than any turn of the loop but those with a handshake in them.
    static TO_LINE: ConstStaticCell<[u8; 64]> = ConstStaticCell::new([0; 64]);
    static FROM_LINE: ConstStaticCell<[u8; 1_024]> = ConstStaticCell::new([0; 1_024]);
    static INCOMING: ConstStaticCell<[u8; IN_BYTES]> = ConstStaticCell::new([0; IN_BYTES]);
    static OUTGOING: ConstStaticCell<[u8; OUT_BYTES]> = ConstStaticCell::new([0; OUT_BYTES]);
    let mut config = Config::default();
    config.baudrate = BITS_PER_SECOND;
    let (to, from) = (TO_LINE.take(), FROM_LINE.take());
    let uart = BufferedUart::new(uart, to_line, from_line, Interrupts, to, from, config);
    SerialLine::new(PolledUart::new(uart), BITS_PER_SECOND, INCOMING.take(), OUTGOING.take())
}
