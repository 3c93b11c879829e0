//! UART0.

use embassy_rp::peripherals::{PIN_0, PIN_1, UART0};
use embassy_rp::uart::{BufferedInterruptHandler, BufferedUart, Config};
use embassy_rp::{Peri, bind_interrupts};
use ropewalk_embassy::line::{BITS_PER_SECOND, Line, LineMemory, link};
use static_cell::ConstStaticCell;

bind_interrupts!(struct Interrupts {
    UART0_IRQ => BufferedInterruptHandler<UART0>;
});

pub(crate) fn start(
    uart: Peri<'static, UART0>,
    to_line: Peri<'static, PIN_0>,
    from_line: Peri<'static, PIN_1>,
) -> Line<BufferedUart> {
    static MEMORY: ConstStaticCell<LineMemory> = ConstStaticCell::new(LineMemory::new());
    let mut config = Config::default();
    config.baudrate = BITS_PER_SECOND;
    link("uart0", MEMORY.take(), |to, from| {
        BufferedUart::new(uart, to_line, from_line, Interrupts, to, from, config)
    })
}
