//! The W5500 on SPI0.

use embassy_rp::gpio::{Input, Level, Output, Pull};
use embassy_rp::peripherals::{
    DMA_CH0, DMA_CH1, PIN_16, PIN_17, PIN_18, PIN_19, PIN_20, PIN_21, SPI0,
};
use embassy_rp::spi::{Async, Config, Spi};
use embassy_rp::{Peri, bind_interrupts, dma};
use ropewalk_embassy::w5500::{Frames, Wires};
use static_cell::ConstStaticCell;

bind_interrupts!(struct Interrupts {
    DMA_IRQ_0 => dma::InterruptHandler<DMA_CH0>, dma::InterruptHandler<DMA_CH1>;
});

pub(crate) static FRAMES: ConstStaticCell<Frames<WAITING, WAITING>> =
    ConstStaticCell::new(Frames::new());

/// As the board has them soldered.
pub(crate) struct Pins {
    pub(crate) spi: Peri<'static, SPI0>,
    pub(crate) clock: Peri<'static, PIN_18>,
    pub(crate) to_chip: Peri<'static, PIN_19>,
    pub(crate) from_chip: Peri<'static, PIN_16>,
    pub(crate) select: Peri<'static, PIN_17>,
    pub(crate) reset: Peri<'static, PIN_20>,
    pub(crate) interrupt: Peri<'static, PIN_21>,
    pub(crate) dma: (Peri<'static, DMA_CH0>, Peri<'static, DMA_CH1>),
}

pub(crate) fn wires(
    pins: Pins,
) -> Wires<Spi<'static, SPI0, Async>, Output<'static>, Input<'static>> {
    let mut config = Config::default();
    config.frequency = SPI_HERTZ;
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
    Wires {
        spi,
        select: Output::new(pins.select, Level::High),
        reset: Output::new(pins.reset, Level::High),
        interrupt: Input::new(pins.interrupt, Pull::Up),
    }
}

/// Frames that wait, each way.
const WAITING: usize = if cfg!(feature = "rp2040") { 4 } else { 8 };
/// The chip takes 80 MHz, the board's wires and the RP2040's divider make it 31.25.
const SPI_HERTZ: u32 = 40_000_000;
