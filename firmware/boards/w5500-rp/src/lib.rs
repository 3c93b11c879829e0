//! WIZnet's W5500-EVB-Pico and -Pico2: an RP2040 or RP2350 with a W5500 beside it.
//!
//! ```text
//!  W5500  <- SPI0, DMA -> its runner -> two queues of frames -> eth0    (ethernet.rs)
//!  UART0  <- interrupts -> two queues of bytes --------------> uart0    (uart.rs)
//!  flash: settings and the boot counter; randomness (entropy.rs); watchdog
//! ```
//!
//! | flash | what |
//! |---|---|
//! | `0x1000_0000` | the image |
//! | `0x101f_c000` | settings, 8 KiB: written by `probe-rs download`, or by the board itself |
//! | `0x101f_e000` | boot counter, two sectors of 4 KiB |

#![no_std]

mod entropy;
mod ethernet;
mod uart;

use defmt_rtt as _;
use panic_probe as _;

use core::pin::pin;
use embassy_rp::Peri;
use embassy_rp::config::Config;
use embassy_rp::flash::{Blocking, Flash};
use embassy_rp::peripherals::FLASH;
use embassy_time::Duration;
use ropewalk_app::board::Watchdog;
use ropewalk_app::link::Link;
use ropewalk_app::stack::EthernetMemory;
use ropewalk_app::start::start;
use ropewalk_core::connection::Memory;
use ropewalk_drivers::flash;
use ropewalk_embassy::seats::Seats;
use ropewalk_embassy::store::{FlashStore, Range};
use ropewalk_embassy::{card, refuse, serve, w5500, wait};
use static_cell::{ConstStaticCell, StaticCell};

type BoardFlash = Flash<'static, FLASH, Blocking, FLASH_BYTES>;

/// 4 paths, 4 streams, 48 packets in flight, 16 KiB each way. Two of them fit in 264 KiB.
#[cfg(feature = "rp2040")]
type Room = Memory<4, 4, 48, 16_384, 16_384>;
/// 4 paths, 4 streams, 64 packets in flight, 32 KiB each way.
#[cfg(feature = "rp2350")]
type Room = Memory<4, 4, 64, 32_768, 32_768>;
/// Connections at once.
const SEATS_MAX: usize = if cfg!(feature = "rp2040") { 2 } else { 3 };

static SEATS: Seats<Room, SEATS_MAX> =
    Seats::new([const { ConstStaticCell::new(Room::new()) }; SEATS_MAX]);
static ETHERNET: StaticCell<EthernetMemory> = StaticCell::new();

/// Starts the board and never returns.
pub fn run() -> ! {
    let p = embassy_rp::init(Config::default());
    let mut dog = Dog(embassy_rp::watchdog::Watchdog::new(p.WATCHDOG));
    dog.0.pause_on_debug(true);
    dog.0.start(PATIENCE);

    let mut store = store(p.FLASH);
    let mac = card::mac(&chip(&mut store.flash), 0);
    #[cfg(feature = "rp2350")]
    let mut entropy = entropy::Generator::new(p.TRNG);
    #[cfg(feature = "rp2040")]
    let mut entropy = entropy::Oscillator::new(&mut store);
    let mut started = match start(&mut store, &mut entropy) {
        Ok(started) => started,
        Err(error) => refuse(&error, &mut dog),
    };
    defmt::info!("boot {=u32}, eth0 is {=[u8; 6]:02x}", started.boot, mac);

    let pins = ethernet::Pins {
        spi: p.SPI0,
        clock: p.PIN_18,
        to_chip: p.PIN_19,
        from_chip: p.PIN_16,
        select: p.PIN_17,
        reset: p.PIN_20,
        interrupt: p.PIN_21,
        dma: (p.DMA_CH0, p.DMA_CH1),
    };
    let chip = w5500::start(ethernet::wires(pins), ethernet::FRAMES.take(), mac);
    let Some((device, runner)) = wait(pin!(chip), &mut dog) else {
        refuse(&"the W5500 does not answer on SPI0", &mut dog)
    };
    let mut eth0 = card::link("eth0", 0, device, &ETHERNET, &mut started);
    let mut uart0 = uart::start(p.UART0, p.PIN_0, p.PIN_1);
    let node = SEATS.node(started);
    let links: &mut [&mut dyn Link] = &mut [&mut eth0, &mut uart0];
    serve(node, links, pin!(runner), &mut dog)
}

/// The last 16 KiB of the flash, which the image leaves alone (`memory.x`).
fn store(flash: Peri<'static, FLASH>) -> FlashStore<BoardFlash> {
    FlashStore {
        flash: Flash::new_blocking(flash),
        settings: Range { start: 0x1f_c000, bytes: 8 * 1024 },
        boots: flash::Place { start: 0x1f_e000, bytes: 4 * 1024 },
    }
}

/// The chip's own number; the RP2040 has none, but its flash has.
fn chip(flash: &mut BoardFlash) -> [u8; 8] {
    #[cfg(feature = "rp2040")]
    {
        let mut id = [0; 8];
        let _ = flash.blocking_unique_id(&mut id);
        id
    }
    #[cfg(feature = "rp2350")]
    {
        let _ = flash;
        embassy_rp::otp::get_chipid().unwrap_or_default().to_le_bytes()
    }
}

struct Dog(embassy_rp::watchdog::Watchdog);

impl Watchdog for Dog {
    fn feed(&mut self) {
        self.0.feed(PATIENCE);
    }
}

const FLASH_BYTES: usize = 2 * 1024 * 1024;
/// The loop has to come by this often, or the board starts anew. A handshake on an M0+ takes half
/// a second, erasing the settings' flash may take as long.
const PATIENCE: Duration = Duration::from_secs(4);
