//! Ethernet on the chip, by RMII to the LAN8742A on the board.

use embassy_stm32::eth::{Ethernet, GenericPhy, InterruptHandler, PacketQueue, Sma};
use embassy_stm32::peripherals::{ETH, ETH_SMA, PA1, PA2, PA7, PB13, PC1, PC4, PC5, PG11, PG13};
use embassy_stm32::{Peri, bind_interrupts};
use static_cell::ConstStaticCell;

bind_interrupts!(struct Interrupts {
    ETH => InterruptHandler;
});

pub(crate) type Device = Ethernet<'static, ETH, GenericPhy<Sma<'static, ETH_SMA>>>;

/// As the board has them soldered.
pub(crate) struct Pins {
    pub(crate) ethernet: Peri<'static, ETH>,
    pub(crate) management: Peri<'static, ETH_SMA>,
    pub(crate) clock: Peri<'static, PA1>,
    pub(crate) valid: Peri<'static, PA7>,
    pub(crate) from_phy: (Peri<'static, PC4>, Peri<'static, PC5>),
    /// Two of data, and the one that says that they are.
    pub(crate) to_phy: (Peri<'static, PG13>, Peri<'static, PB13>, Peri<'static, PG11>),
    pub(crate) mdio: Peri<'static, PA2>,
    pub(crate) mdc: Peri<'static, PC1>,
}

pub(crate) fn start(pins: Pins, mac: [u8; 6]) -> Device {
    // The DMA's memory: all of this image's RAM is where it reaches (`memory.x`).
    static FRAMES: ConstStaticCell<PacketQueue<FRAMES_OUT, FRAMES_IN>> =
        ConstStaticCell::new(PacketQueue::new());
    let (from_0, from_1) = pins.from_phy;
    let (to_0, to_1, enable) = pins.to_phy;
    Ethernet::new(
        FRAMES.take(),
        pins.ethernet,
        Interrupts,
        pins.clock,
        pins.valid,
        from_0,
        from_1,
        to_0,
        to_1,
        enable,
        mac,
        pins.management,
        pins.mdio,
        pins.mdc,
    )
}

const FRAMES_IN: usize = 16;
const FRAMES_OUT: usize = 8;
