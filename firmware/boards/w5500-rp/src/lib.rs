//! WIZnet's W5500-EVB-Pico and -Pico2: an RP2040 or RP2350 with a W5500 beside it.
//!
//! ```text
//!  W5500  <- SPI0, DMA -> its runner -> two queues of frames -> Ethernet   (ethernet.rs)
//!  UART0  <- interrupts -> two queues of bytes --------------> a serial line
//!  flash: settings and the boot counter (store.rs); randomness (seed.rs); watchdog
//! ```
//!
//! One loop polls everything, the W5500's runner too: there is no executor. embassy's futures are
//! polled with a waker that does nothing, and find out by their registers how far things went.

#![no_std]

mod ethernet;
mod link;
mod seed;
mod store;

use defmt_rtt as _;
use panic_probe as _;

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Waker};
use embassy_rp::config::Config;
use embassy_rp::watchdog::Watchdog;
use embassy_time::{Duration, Instant};
use ropewalk_core::crypto::Seed;
use ropewalk_drivers::EthernetDevice;
use ropewalk_drivers::embassy::Polled;
use ropewalk_drivers::flash::count_start;

/// What the application gets.
struct Board {
    ethernet: Polled<ethernet::Device>,
    serial: link::Serial,
    store: store::Store,
    seed: Seed,
    boot: u32,
}

/// Starts the board and never returns.
pub fn run() -> ! {
    let p = embassy_rp::init(Config::default());
    let mut watchdog = Watchdog::new(p.WATCHDOG);
    watchdog.pause_on_debug(true);
    watchdog.start(PATIENCE);

    let mut store = store::Store::new(p.FLASH);
    let boot = count_start(&mut store.flash, store::BOOTS);
    let boot = boot.unwrap_or_else(|error| refuse(&mut watchdog, error));
    #[cfg(feature = "rp2350")]
    let noise = seed::noise(p.TRNG);
    #[cfg(feature = "rp2040")]
    let noise = seed::noise();
    let seed = seed::seed(&mut store, boot, &noise);
    let seed = seed.unwrap_or_else(|error| refuse(&mut watchdog, error));

    let serial = link::serial(p.UART0, p.PIN_0, p.PIN_1);
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
    let mac = store.mac();
    let started = pin!(ethernet::start(pins, mac));
    let Ok((device, runner)) = wait(&mut watchdog, started) else {
        refuse(&mut watchdog, "the W5500 does not answer on SPI0");
    };
    let Ok(ethernet) = Polled::new(device) else { refuse(&mut watchdog, "no Ethernet") };
    defmt::info!("start {}, Ethernet {:02x}, UART0 at {} bit/s", boot, mac, link::BITS_PER_SECOND);

    let mut board = Board { ethernet, serial, store, seed, boot };
    let mut runner = pin!(runner.run());
    loop {
        watchdog.feed(PATIENCE);
        // Carrying a frame takes a handful of SPI transfers, and each poll gets to the next.
        for _ in 0..RUNNER_POLLS {
            let _ = runner.as_mut().poll(&mut nobody());
        }
        board.turn();
    }
}

impl Board {
    fn turn(&mut self) {
        self.serial.pump();
    }
}

/// Polls until it is done, as long as that takes.
fn wait<F: Future>(watchdog: &mut Watchdog, mut future: core::pin::Pin<&mut F>) -> F::Output {
    loop {
        watchdog.feed(PATIENCE);
        if let core::task::Poll::Ready(output) = future.as_mut().poll(&mut nobody()) {
            return output;
        }
    }
}

/// Says why the board does not start, again and again: whoever looks may have come late.
fn refuse(watchdog: &mut Watchdog, why: impl defmt::Format) -> ! {
    let mut next = Instant::now();
    loop {
        watchdog.feed(PATIENCE);
        if Instant::now() >= next {
            defmt::error!("not started: {}", why);
            next = Instant::now() + Duration::from_secs(5);
        }
    }
}

/// Wakes nobody.
const fn nobody() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// The loop has to come by this often, or the board starts anew. A handshake on an M0+ takes half
/// a second, erasing flash as long.
const PATIENCE: Duration = Duration::from_secs(4);
const RUNNER_POLLS: u32 = 16;
