//! ropewalk on ST's NUCLEO-H743ZI: three links on one board.
//!
//! ```text
//!  Ethernet on the chip  <- its own DMA ----------> wired   (wired.rs)
//!  W5500 on SPI1         <- DMA <- its runner ----> spare   (spare.rs), if one is there
//!  USART3, the ST-Link's <- interrupts -----------> serial  (serial.rs)
//!  flash: settings and the boot counter (store.rs); the chip's generator of randomness; watchdog
//! ```
//!
//! One loop polls everything, the W5500's runner too: there is no executor. embassy's futures are
//! polled with a waker that does nothing, and find out by their registers how far things went.

#![no_std]
#![no_main]

mod clock;
mod serial;
mod spare;
mod store;
mod wired;

use defmt_rtt as _;
use panic_probe as _;

use core::future::Future;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};
use embassy_stm32::peripherals::{IWDG1, RNG};
use embassy_stm32::rng::{InterruptHandler, Rng};
use embassy_stm32::wdg::IndependentWatchdog;
use embassy_stm32::{Peri, bind_interrupts};
use embassy_time::{Duration, Instant};
use ropewalk_core::crypto::{Crypto, Seed, Software};
use ropewalk_drivers::embassy::Polled;
use ropewalk_drivers::flash::count_start;

bind_interrupts!(struct Interrupts {
    RNG => InterruptHandler<RNG>;
});

type Watchdog = IndependentWatchdog<'static, IWDG1>;

/// What the application gets.
struct Board {
    wired: Polled<wired::Device>,
    spare: Option<Polled<spare::Device>>,
    serial: serial::Serial,
    store: store::Store,
    seed: Seed,
    boot: u32,
}

#[cortex_m_rt::entry]
fn main() -> ! {
    let p = embassy_stm32::init(clock::config());
    if let Some(mut core) = cortex_m::Peripherals::take() {
        // Instructions only: what DMA writes would hide behind a cache of data.
        core.SCB.enable_icache();
    }
    let mut watchdog = Watchdog::new(p.IWDG1, PATIENCE_MICROS);
    watchdog.unleash();

    let mut store = store::Store::new(p.FLASH);
    let boot = count_start(&mut store.flash, store::BOOTS);
    let boot = boot.unwrap_or_else(|error| refuse(&mut watchdog, error));
    let seed = seed(p.RNG, boot);

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
    let Ok(wired) = Polled::new(wired::start(pins, mac(0))) else {
        refuse(&mut watchdog, "no Ethernet")
    };
    let serial = serial::start(p.USART3, p.PD9, p.PD8);
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
    defmt::info!(
        "start {}, Ethernet {:02x}, USART3 at {} bit/s",
        boot,
        mac(0),
        serial::BITS_PER_SECOND
    );
    let started = pin!(spare::start(pins, mac(1)));
    let mut board = Board { wired, spare: None, serial, store, seed, boot };
    match wait(&mut watchdog, started) {
        Ok((device, runner)) => {
            board.spare = Polled::new(device).ok();
            serve(board, &mut watchdog, pin!(runner.run()))
        }
        Err(_) => {
            defmt::info!("no W5500 on SPI1; the board goes on without");
            serve(board, &mut watchdog, pin!(core::future::pending::<()>()))
        }
    }
}

/// The loop.
fn serve<F: Future>(mut board: Board, watchdog: &mut Watchdog, mut runner: Pin<&mut F>) -> ! {
    loop {
        watchdog.pet();
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

/// A seed that no start before had: the chip's own randomness, and a number that never repeats.
fn seed(generator: Peri<'static, RNG>, boot: u32) -> Seed {
    let mut noise = [0; 64];
    Rng::new(generator, Interrupts).fill_bytes(&mut noise);
    Seed(Software::hash(&[
        b"ropewalk seed",
        &noise,
        &boot.to_le_bytes(),
        &embassy_stm32::uid::uid(),
    ]))
}

/// An address of our own making (the second bit says so), different on each board.
fn mac(card: u8) -> [u8; 6] {
    let [a, b, c, d, e, ..] = Software::hash(&[&embassy_stm32::uid::uid(), &[card]]);
    [0x02, a, b, c, d, e]
}

/// Polls until it is done, as long as that takes.
fn wait<F: Future>(watchdog: &mut Watchdog, mut future: Pin<&mut F>) -> F::Output {
    loop {
        watchdog.pet();
        if let Poll::Ready(output) = future.as_mut().poll(&mut nobody()) {
            return output;
        }
    }
}

/// Says why the board does not start, again and again: whoever looks may have come late.
fn refuse(watchdog: &mut Watchdog, why: impl defmt::Format) -> ! {
    let mut next = Instant::now();
    loop {
        watchdog.pet();
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

/// The loop has to come by this often, or the board starts anew. Erasing 128 KiB of flash takes
/// up to two seconds.
const PATIENCE_MICROS: u32 = 8_000_000;
const RUNNER_POLLS: u32 = 16;
