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

pub(crate) type Serial = SerialLine<'static, PolledUart<BufferedUart>>;

/// What both ends have to agree on.
pub(crate) const BITS_PER_SECOND: u32 = 115_200;
/// Datagrams may be this long.
const DATAGRAM_BYTES: usize = 1_280;

pub(crate) fn serial(
    uart: Peri<'static, UART0>,
    to_line: Peri<'static, PIN_0>,
    from_line: Peri<'static, PIN_1>,
) -> Serial {
    // The queue that interrupts empty adds to the line's own, and is kept short. The one that they
    // fill lasts 40 ms, for the longest turn of the loop but a handshake's.
    static TO_LINE: ConstStaticCell<[u8; 64]> = ConstStaticCell::new([0; 64]);
    static FROM_LINE: ConstStaticCell<[u8; 512]> = ConstStaticCell::new([0; 512]);
    static INCOMING: ConstStaticCell<[u8; DATAGRAM_BYTES + 4]> =
        ConstStaticCell::new([0; DATAGRAM_BYTES + 4]);
    static OUTGOING: ConstStaticCell<[u8; 2 * memory_bytes(DATAGRAM_BYTES)]> =
        ConstStaticCell::new([0; 2 * memory_bytes(DATAGRAM_BYTES)]);
    let mut config = Config::default();
    config.baudrate = BITS_PER_SECOND;
    let uart = BufferedUart::new(
        uart,
        to_line,
        from_line,
        Interrupts,
        TO_LINE.take(),
        FROM_LINE.take(),
        config,
    );
    SerialLine::new(PolledUart::new(uart), BITS_PER_SECOND, INCOMING.take(), OUTGOING.take())
}
