//! ropewalk on ST's NUCLEO-H743ZI: three links on one board.
//!
//! ```text
//!  Ethernet on the chip   <- its own DMA ----------> eth0     (wired.rs)
//!  W5500 on SPI1          <- DMA <- its runner ----> eth1     (spare.rs), if one is there
//!  USART3, the ST-Link's  <- interrupts -----------> usart3   (uart.rs)
//!  flash: settings and the boot counter; the chip's generator of randomness; watchdog
//! ```
//!
//! | flash | what |
//! |---|---|
//! | `0x0800_0000` | the image, in the first of two banks |
//! | `0x081a_0000` | boot counter, two sectors of 128 KiB |
//! | `0x081e_0000` | settings, one sector: written by `probe-rs download`, or by the board itself |

#![no_std]
#![no_main]

mod clock;
mod spare;
mod uart;
mod wired;

use defmt_rtt as _;
use panic_probe as _;

use core::pin::pin;
use embassy_stm32::flash::{Blocking, Flash};
use embassy_stm32::peripherals::{FLASH, IWDG1, RNG};
use embassy_stm32::rng::{InterruptHandler, Rng};
use embassy_stm32::wdg::IndependentWatchdog;
use embassy_stm32::{Peri, bind_interrupts, uid};
use ropewalk_app::board::{Entropy, NoEntropy, Watchdog};
use ropewalk_app::link::Link;
use ropewalk_app::stack::EthernetMemory;
use ropewalk_app::start::start;
use ropewalk_core::connection::Memory;
use ropewalk_drivers::embassy::Polled;
use ropewalk_drivers::flash;
use ropewalk_embassy::seats::Seats;
use ropewalk_embassy::store::{FlashStore, Range};
use ropewalk_embassy::{card, refuse, serve, w5500, wait};
use static_cell::{ConstStaticCell, StaticCell};

bind_interrupts!(struct Interrupts {
    RNG => InterruptHandler<RNG>;
});

/// 4 paths, 4 streams, 64 packets in flight, 32 KiB each way.
type Room = Memory<4, 4, 64, 32_768, 32_768>;

static SEATS: Seats<Room, 3> = Seats::new([const { ConstStaticCell::new(Room::new()) }; 3]);
static ETHERNET: [StaticCell<EthernetMemory>; 2] = [const { StaticCell::new() }; 2];

#[cortex_m_rt::entry]
fn main() -> ! {
    let p = embassy_stm32::init(clock::config());
    if let Some(mut core) = cortex_m::Peripherals::take() {
        // Instructions only: what DMA writes would hide behind a cache of data.
        core.SCB.enable_icache();
    }
    let mut dog = Dog(IndependentWatchdog::new(p.IWDG1, PATIENCE_MICROS));
    dog.0.unleash();
    let mut generator = Generator(Rng::new(p.RNG, Interrupts));
    let mut started = match start(&mut store(p.FLASH), &mut generator) {
        Ok(started) => started,
        Err(error) => refuse(&error, &mut dog),
    };
    let macs = [0, 1].map(|number| card::mac(&uid::uid(), number));
    defmt::info!("boot {=u32}, eth0 is {=[u8; 6]:02x}", started.boot, macs[0]);

    let pins = wired::Pins {
        ethernet: p.ETH,
        management: p.ETH_SMA,
        clock: p.PA1,
        valid: p.PA7,
        from_phy: (p.PC4, p.PC5),
        to_phy: (p.PG13, p.PB13, p.PG11),
        mdio: p.PA2,
        mdc: p.PC1,
    };
    let Ok(wired) = Polled::new(wired::start(pins, macs[0])) else {
        refuse(&"the chip's Ethernet is none", &mut dog)
    };
    let mut eth0 = card::link("eth0", 0, wired, &ETHERNET[0], &mut started);
    let mut usart3 = uart::start(p.USART3, p.PD9, p.PD8);

    let pins = spare::Pins {
        spi: p.SPI1,
        clock: p.PB3,
        from_chip: p.PB4,
        to_chip: p.PB5,
        select: p.PA4,
        reset: p.PD15,
        interrupt: (p.PF12, p.EXTI12),
        dma: (p.DMA1_CH0, p.DMA1_CH1),
    };
    let module = w5500::start(spare::wires(pins), spare::FRAMES.take(), macs[1]);
    let (module, runner) = wait(pin!(module), &mut dog).unzip();
    let mut eth1 = module.map(|module| card::link("eth1", 1, module, &ETHERNET[1], &mut started));
    let runner = pin!(async {
        match runner {
            Some(runner) => drop(runner.await),
            None => core::future::pending().await,
        }
    });

    let node = SEATS.node(started);
    match &mut eth1 {
        Some(eth1) => {
            let links: &mut [&mut dyn Link] = &mut [&mut eth0, eth1, &mut usart3];
            serve(node, links, runner, &mut dog)
        }
        None => {
            defmt::info!("no W5500 answers on SPI1: two links");
            let links: &mut [&mut dyn Link] = &mut [&mut eth0, &mut usart3];
            serve(node, links, runner, &mut dog)
        }
    }
}

/// Sectors of the second bank, in which the image has no part (`memory.x`).
fn store(flash: Peri<'static, FLASH>) -> FlashStore<Flash<'static, Blocking>> {
    FlashStore {
        flash: Flash::new_blocking(flash),
        settings: Range { start: 0x1e_0000, bytes: 128 * 1024 },
        boots: flash::Place { start: 0x1a_0000, bytes: 128 * 1024 },
    }
}

/// The chip's generator of randomness.
struct Generator(Rng<'static, RNG>);

impl Entropy for Generator {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        self.0.fill_bytes(bytes);
        Ok(())
    }
}

struct Dog(IndependentWatchdog<'static, IWDG1>);

impl Watchdog for Dog {
    fn feed(&mut self) {
        self.0.pet();
    }
}

/// The loop has to come by this often, or the board starts anew. Erasing 128 KiB of flash takes
/// up to two seconds.
const PATIENCE_MICROS: u32 = 8_000_000;
