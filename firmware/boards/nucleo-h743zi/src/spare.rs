//! A second Ethernet: a W5500 module on SPI1.

use core::convert::Infallible;
use embassy_net_wiznet::chip::W5500;
use embassy_net_wiznet::{InitError, Runner, State};
use embassy_stm32::exti::{self, ExtiInput};
use embassy_stm32::gpio::{Level, Output, Pull, Speed};
use embassy_stm32::mode::Async;
use embassy_stm32::peripherals::{
    DMA1_CH0, DMA1_CH1, EXTI12, PA4, PB3, PB4, PB5, PD15, PF12, SPI1,
};
use embassy_stm32::spi::mode::Master;
use embassy_stm32::spi::{Config, Error, Spi};
use embassy_stm32::time::Hertz;
use embassy_stm32::{Peri, bind_interrupts, dma, interrupt};
use embassy_time::Delay;
use embedded_hal_bus::spi::{DeviceError, ExclusiveDevice};
use static_cell::ConstStaticCell;

bind_interrupts!(struct Interrupts {
    DMA1_STREAM0 => dma::InterruptHandler<DMA1_CH0>;
    DMA1_STREAM1 => dma::InterruptHandler<DMA1_CH1>;
    EXTI15_10 => exti::InterruptHandler<interrupt::typelevel::EXTI15_10>;
});

pub(crate) type Device = embassy_net_wiznet::Device<'static>;
type Bus = ExclusiveDevice<Spi<'static, Async, Master>, Output<'static>, Delay>;
type ChipRunner = Runner<'static, W5500, Bus, ExtiInput<'static, Async>, Output<'static>>;

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

/// Resets the chip; the runner has to be run for frames to move.
///
/// # Errors
/// There is no such chip.
pub(crate) async fn start(
    pins: Pins,
    mac: [u8; 6],
) -> Result<(Device, ChipRunner), InitError<DeviceError<Error, Infallible>>> {
    static FRAMES: ConstStaticCell<State<FRAMES_IN, FRAMES_OUT>> =
        ConstStaticCell::new(State::new());
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
    let select = Output::new(pins.select, Level::High, Speed::VeryHigh);
    let Ok(bus) = ExclusiveDevice::new(spi, select, Delay);
    let (pin, line) = pins.interrupt;
    let interrupt = ExtiInput::new(pin, line, Pull::Up, Interrupts);
    let reset = Output::new(pins.reset, Level::High, Speed::Low);
    embassy_net_wiznet::new(mac, FRAMES.take(), bus, interrupt, reset).await
}

const FRAMES_IN: usize = 8;
const FRAMES_OUT: usize = 8;
/// What a module on a hand's breadth of wire takes; the chip itself takes 80 MHz.
const SPI_HERTZ: u32 = 25_000_000;
