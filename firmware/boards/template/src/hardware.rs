//! All that this board's chip does its own way. Each `REPLACE` names what to write, and what stands
//! there until then: the least that is true of hardware that is not there.
//!
//! | what | until it is replaced |
//! |---|---|
//! | [`Timer`] | Cortex-M's SysTick: works where the core runs at [`CORE_HZ`] |
//! | [`Generator`] | there is none, so the board refuses to start |
//! | [`Flash`] | it cannot be written, so the board would refuse |
//! | [`Dog`] | never bites |
//! | [`Card`] | its cable is out |
//! | [`Uart`] | nothing comes, and there is never room |

use core::convert::Infallible;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{Peripherals, SYST};
use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};
use ropewalk_app::board::{Clock, Entropy, NoEntropy, Store, StoreError, Watchdog};
use ropewalk_core::crypto::{Crypto, Software};
use ropewalk_core::time::Instant;
use ropewalk_drivers::{EthernetDevice, Full};

/// REPLACE: how fast the core's own timer counts.
const CORE_HZ: u32 = 25_000_000;
/// The serial line's rate.
pub(crate) const BAUD: u32 = 115_200;

/// Time since the start, by a counter of 24 bits that runs down.
pub(crate) struct Timer {
    counter: SYST,
    last: u32,
    ticks: u64,
}

impl Timer {
    /// REPLACE: by a timer of 32 bits at 1 MHz and `board::Extended`. This one runs slow where a turn of
    /// the loop takes more than 2^24 cycles, as a handshake does on a Cortex-M0+.
    pub(crate) fn start() -> Self {
        // SAFETY: this is the only place that uses the core's own timer.
        let mut counter = unsafe { Peripherals::steal() }.SYST;
        counter.set_clock_source(SystClkSource::Core);
        counter.set_reload(SYSTICK_MAX);
        counter.clear_current();
        counter.enable_counter();
        let last = SYST::get_current();
        Self { counter, last, ticks: 0 }
    }
}

impl Clock for Timer {
    fn now(&mut self) -> Instant {
        let _ = &self.counter;
        let shown = SYST::get_current();
        self.ticks += u64::from(self.last.wrapping_sub(shown) & SYSTICK_MAX);
        self.last = shown;
        let hz = u64::from(CORE_HZ);
        Instant::from_micros(self.ticks / hz * 1_000_000 + self.ticks % hz * 1_000_000 / hz)
    }
}

const SYSTICK_MAX: u32 = 0xff_ffff;

/// The chip's source of randomness.
pub(crate) struct Generator;

impl Entropy for Generator {
    /// REPLACE: by the chip's generator of randomness. A counter, a serial number or an unconnected
    /// pin is none. A chip without a generator hashes a provisioned secret, the boot counter and
    /// jitter (`boards/w5500-rp/src/entropy.rs`).
    fn fill(&mut self, _: &mut [u8]) -> Result<(), NoEntropy> {
        Err(NoEntropy)
    }
}

/// Settings and the boot counter.
pub(crate) struct Flash;

impl Store for Flash {
    /// REPLACE: copy the settings' place in flash to `into`, and say how much that was. Erased flash
    /// may be handed out as it is.
    fn settings(&mut self, _: &mut [u8]) -> Result<usize, StoreError> {
        Err(StoreError)
    }

    /// REPLACE: erase that place and write `file` there.
    fn keep_settings(&mut self, _: &[u8]) -> Result<(), StoreError> {
        Err(StoreError)
    }

    /// REPLACE: `ropewalk_drivers::flash::count_start` does it, given an `embedded_storage::NorFlash`.
    fn count_boot(&mut self) -> Result<u32, StoreError> {
        Err(StoreError)
    }
}

/// The watchdog.
pub(crate) struct Dog;

impl Dog {
    /// REPLACE: let it loose, with a few seconds of patience: the board's README states its longest turn.
    pub(crate) fn start() -> Self {
        Self
    }
}

impl Watchdog for Dog {
    /// REPLACE: reload its counter.
    fn feed(&mut self) {}
}

/// The network card.
pub(crate) struct Card {
    mac: [u8; 6],
}

impl Card {
    /// REPLACE: start it. One that `embassy-net-driver` has a driver for needs none of what follows:
    /// `ropewalk_drivers::embassy::Polled` makes a card of it.
    pub(crate) fn start(mac: [u8; 6]) -> Self {
        Self { mac }
    }
}

impl EthernetDevice for Card {
    fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// REPLACE: whether the cable is alive. A link that is down is left at once; a card that always
    /// says `true` is left only when nothing is acknowledged any more.
    fn carrier(&mut self) -> bool {
        false
    }

    /// REPLACE: whether a frame of full length would be taken now.
    fn can_send(&mut self) -> bool {
        false
    }

    /// REPLACE: hand the frame over, without waiting for it to leave.
    fn send(&mut self, _: &[u8]) -> Result<(), Full> {
        Err(Full)
    }

    /// REPLACE: the next frame that came, without its checksum.
    fn receive(&mut self, _: &mut [u8]) -> Option<usize> {
        None
    }
}

/// A hardware address of our own making (the second bit says so), different on each board.
pub(crate) fn mac(secret: &[u8; 32]) -> [u8; 6] {
    let [a, b, c, d, e, ..] = Software::hash(&[b"ropewalk mac", secret]);
    [2, a, b, c, d, e]
}

/// The serial line's UART. Its interrupt fills and empties queues, or it has a FIFO: at 115,200 baud
/// a byte comes every 87 us, and a turn of the loop takes longer than that.
pub(crate) struct Uart;

impl Uart {
    /// REPLACE: start it at [`BAUD`], 8 data bits, no parity.
    pub(crate) fn start() -> Self {
        Self
    }
}

impl ErrorType for Uart {
    type Error = Infallible;
}

impl ReadReady for Uart {
    /// REPLACE: whether a byte is there.
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(false)
    }
}

impl Read for Uart {
    /// REPLACE: take what is there, one byte at least. It is only called after [`ReadReady`] said so.
    fn read(&mut self, _: &mut [u8]) -> Result<usize, Infallible> {
        Ok(0)
    }
}

impl WriteReady for Uart {
    /// REPLACE: whether there is room for a byte. Keep that queue short: what waits here cannot take
    /// another link any more.
    fn write_ready(&mut self) -> Result<bool, Infallible> {
        Ok(false)
    }
}

impl Write for Uart {
    /// REPLACE: take as much as there is room for, one byte at least. It is only called after
    /// [`WriteReady`] said so.
    fn write(&mut self, _: &[u8]) -> Result<usize, Infallible> {
        Ok(0)
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
