//! USART3, which the ST-Link hands to the PC as a serial port.

use embassy_stm32::peripherals::{PD8, PD9, USART3};
use embassy_stm32::usart::{BufferedInterruptHandler, BufferedUart, Config};
use embassy_stm32::{Peri, bind_interrupts};
use ropewalk_embassy::line::{BITS_PER_SECOND, Line, LineMemory, link};
use static_cell::ConstStaticCell;

bind_interrupts!(struct Interrupts {
    USART3 => BufferedInterruptHandler<USART3>;
});

pub(crate) fn start(
    uart: Peri<'static, USART3>,
    from_line: Peri<'static, PD9>,
    to_line: Peri<'static, PD8>,
) -> Line<BufferedUart<'static>> {
    static MEMORY: ConstStaticCell<LineMemory> = ConstStaticCell::new(LineMemory::new());
    let mut config = Config::default();
    config.baudrate = BITS_PER_SECOND;
    link("usart3", MEMORY.take(), |to, from| {
        BufferedUart::new(uart, from_line, to_line, to, from, Interrupts, config)
            // The rate can be made of the clock that this image sets.
            .unwrap_or_else(|_| defmt::panic!("USART3 cannot run at this rate"))
    })
}
