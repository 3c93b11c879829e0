//! USART3, which the ST-Link hands to the PC as a serial port, as a serial line.

use embassy_stm32::peripherals::{PD8, PD9, USART3};
use embassy_stm32::usart::{BufferedInterruptHandler, BufferedUart, Config};
use embassy_stm32::{Peri, bind_interrupts};
use ropewalk_drivers::embassy::PolledUart;
use ropewalk_drivers::serial::{SerialLine, memory_bytes};
use static_cell::ConstStaticCell;

bind_interrupts!(struct Interrupts {
    USART3 => BufferedInterruptHandler<USART3>;
});

pub(crate) type Serial = SerialLine<'static, PolledUart<BufferedUart<'static>>>;

/// What both ends have to agree on.
pub(crate) const BITS_PER_SECOND: u32 = 115_200;
/// Datagrams may be this long.
const DATAGRAM_BYTES: usize = 1_280;

pub(crate) fn start(
    uart: Peri<'static, USART3>,
    from_line: Peri<'static, PD9>,
    to_line: Peri<'static, PD8>,
) -> Serial {
    // The queue that interrupts empty adds to the line's own, and is kept short. The one that they
    // fill lasts 90 ms, for the longest turn of the loop.
    static TO_LINE: ConstStaticCell<[u8; 64]> = ConstStaticCell::new([0; 64]);
    static FROM_LINE: ConstStaticCell<[u8; 1024]> = ConstStaticCell::new([0; 1024]);
    static INCOMING: ConstStaticCell<[u8; DATAGRAM_BYTES + 4]> =
        ConstStaticCell::new([0; DATAGRAM_BYTES + 4]);
    static OUTGOING: ConstStaticCell<[u8; 2 * memory_bytes(DATAGRAM_BYTES)]> =
        ConstStaticCell::new([0; 2 * memory_bytes(DATAGRAM_BYTES)]);
    let mut config = Config::default();
    config.baudrate = BITS_PER_SECOND;
    let uart = BufferedUart::new(
        uart,
        from_line,
        to_line,
        TO_LINE.take(),
        FROM_LINE.take(),
        Interrupts,
        config,
    );
    // 115,200 bits a second can be made of 100 MHz.
    let uart = uart.unwrap_or_else(|_| defmt::panic!("USART3 cannot run at this rate"));
    SerialLine::new(PolledUart::new(uart), BITS_PER_SECOND, INCOMING.take(), OUTGOING.take())
}
