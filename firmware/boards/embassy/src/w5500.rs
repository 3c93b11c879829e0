//! A W5500 on SPI: its runner moves frames between the chip and two queues, as often as it is polled.

use core::future::Future;
use embassy_net_wiznet::chip::W5500;
use embassy_net_wiznet::{Device, State};
use embassy_time::Delay;
use embedded_hal::digital::OutputPin;
use embedded_hal_async::digital::Wait;
use embedded_hal_async::spi::SpiBus;
use embedded_hal_bus::spi::ExclusiveDevice;
use ropewalk_drivers::embassy::Polled;

/// Frames that wait, `IN` from the chip and `OUT` to it. Each takes 1.5 KB.
pub type Frames<const IN: usize, const OUT: usize> = State<IN, OUT>;

/// What joins the chip to the board.
pub struct Wires<Spi, Out, In> {
    /// Nothing else is on this bus.
    pub spi: Spi,
    /// Low while the chip is spoken to.
    pub select: Out,
    /// Low for a moment, and the chip starts anew.
    pub reset: Out,
    /// Low while the chip has something to say.
    pub interrupt: In,
}

/// Resets the chip. Frames move while the future that comes with the card is polled; it never ends.
/// `None` if the chip does not answer, or is another one.
pub async fn start<const IN: usize, const OUT: usize>(
    wires: Wires<impl SpiBus + 'static, impl OutputPin + 'static, impl Wait + 'static>,
    frames: &'static mut Frames<IN, OUT>,
    mac: [u8; 6],
) -> Option<(Polled<Device<'static>>, impl Future)> {
    let Wires { spi, select, reset, interrupt } = wires;
    let bus = ExclusiveDevice::new(spi, select, Delay).ok()?;
    let started =
        embassy_net_wiznet::new::<_, _, W5500, _, _, _>(mac, frames, bus, interrupt, reset);
    let (device, runner) = started.await.ok()?;
    Some((Polled::new(device).ok()?, runner.run()))
}
