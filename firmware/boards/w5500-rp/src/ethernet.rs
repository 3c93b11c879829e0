//! The W5500 on SPI0.

use embassy_net_wiznet::chip::W5500;
use embassy_net_wiznet::{InitError, Runner, State};
use embassy_rp::gpio::{Input, Level, Output, Pull};
use embassy_rp::peripherals::{
    DMA_CH0, DMA_CH1, PIN_16, PIN_17, PIN_18, PIN_19, PIN_20, PIN_21, SPI0,
};
use embassy_rp::spi::{Async, Config, Spi};
use embassy_rp::{Peri, bind_interrupts, dma};
use embassy_time::Delay;
use embedded_hal_bus::spi::ExclusiveDevice;
use static_cell::ConstStaticCell;

bind_interrupts!(struct Interrupts {
    DMA_IRQ_0 => dma::InterruptHandler<DMA_CH0>, dma::InterruptHandler<DMA_CH1>;
});

/// Why there is no Ethernet. The error of a chip select pin is that it never fails.
pub(crate) type StartError = InitError<
    embedded_hal_bus::spi::DeviceError<embassy_rp::spi::Error, core::convert::Infallible>,
>;
pub(crate) type Device = embassy_net_wiznet::Device<'static>;
type Bus = ExclusiveDevice<Spi<'static, SPI0, Async>, Output<'static>, Delay>;
type ChipRunner = Runner<'static, W5500, Bus, Input<'static>, Output<'static>>;

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

/// Resets the chip; the runner has to be run for frames to move.
///
/// # Errors
/// The chip does not answer, or is another one.
pub(crate) async fn start(pins: Pins, mac: [u8; 6]) -> Result<(Device, ChipRunner), StartError> {
    static FRAMES: ConstStaticCell<State<FRAMES_IN, FRAMES_OUT>> =
        ConstStaticCell::new(State::new());
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
    let select = Output::new(pins.select, Level::High);
    let Ok(bus) = ExclusiveDevice::new(spi, select, Delay);
    let interrupt = Input::new(pins.interrupt, Pull::Up);
    let reset = Output::new(pins.reset, Level::High);
    embassy_net_wiznet::new(mac, FRAMES.take(), bus, interrupt, reset).await
}

/// Each takes 1.5 KB.
const FRAMES_IN: usize = if cfg!(feature = "rp2040") { 4 } else { 8 };
const FRAMES_OUT: usize = if cfg!(feature = "rp2040") { 4 } else { 8 };
/// The chip takes 80 MHz, the board's wires and the RP2040's divider make it 31.25.
const SPI_HERTZ: u32 = 40_000_000;
