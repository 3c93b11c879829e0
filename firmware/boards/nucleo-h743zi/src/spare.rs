//! A second Ethernet, if there is a W5500 module on SPI1.

use embassy_stm32::exti::{self, ExtiInput};
use embassy_stm32::gpio::{Level, Output, Pull, Speed};
use embassy_stm32::mode::Async;
use embassy_stm32::peripherals::{
    DMA1_CH0, DMA1_CH1, EXTI12, PA4, PB3, PB4, PB5, PD15, PF12, SPI1,
};
use embassy_stm32::spi::mode::Master;
use embassy_stm32::spi::{Config, Spi};
use embassy_stm32::time::Hertz;
use embassy_stm32::{Peri, bind_interrupts, dma, interrupt};
use ropewalk_embassy::w5500::{Frames, Wires};
use static_cell::ConstStaticCell;

bind_interrupts!(struct Interrupts {
    DMA1_STREAM0 => dma::InterruptHandler<DMA1_CH0>;
    DMA1_STREAM1 => dma::InterruptHandler<DMA1_CH1>;
    EXTI15_10 => exti::InterruptHandler<interrupt::typelevel::EXTI15_10>;
});

pub(crate) static FRAMES: ConstStaticCell<Frames<8, 8>> = ConstStaticCell::new(Frames::new());

/// As the README wires them.
pub(crate) struct Pins {
    pub(crate) spi: Peri<'static, SPI1>,
    pub(crate) clock: Peri<'static, PB3>,
    pub(crate) from_chip: Peri<'static, PB4>,
    pub(crate) to_chip: Peri<'static, PB5>,
    pub(crate) select: Peri<'static, PA4>,
    pub(crate) reset: Peri<'static, PD15>,
    pub(crate) interrupt: (Peri<'static, PF12>, Peri<'static, EXTI12>),
    pub(crate) dma: (Peri<'static, DMA1_CH0>, Peri<'static, DMA1_CH1>),
}

pub(crate) fn wires(
    pins: Pins,
) -> Wires<Spi<'static, Async, Master>, Output<'static>, ExtiInput<'static, Async>> {
    let mut config = Config::default();
    config.frequency = Hertz(SPI_HERTZ);
    let (to_dma, from_dma) = pins.dma;
    let spi = Spi::new(
        pins.spi,
        pins.clock,
        pins.to_chip,
        pins.from_chip,
        to_dma,
        from_dma,
        Interrupts,
        config,
    );
    let (pin, line) = pins.interrupt;
    Wires {
        spi,
        select: Output::new(pins.select, Level::High, Speed::VeryHigh),
        reset: Output::new(pins.reset, Level::High, Speed::Low),
        interrupt: ExtiInput::new(pin, line, Pull::Up, Interrupts),
    }
}

/// What a module on a hand's breadth of wire takes; the chip itself takes 80 MHz.
const SPI_HERTZ: u32 = 25_000_000;
