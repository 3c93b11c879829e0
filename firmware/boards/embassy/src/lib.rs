//! What boards with one of embassy's HALs share: a loop without an executor, and all that is not a
//! matter of pins and clocks.
//!
//! | | |
//! |---|---|
//! | [`store`] | settings and the boot counter in flash |
//! | [`card`], [`w5500`], [`mod@line`] | links out of the HAL's cards, its SPI and its UARTs |
//! | [`seats`] | the static memory of connections |
//!
//! embassy's futures are polled with a waker that does nothing. They find out by their registers,
//! or by what an interrupt left behind, how far things went; that the loop comes by all the time is
//! what wakes them.

#![no_std]

pub mod card;
pub mod line;
pub mod seats;
pub mod store;
pub mod w5500;

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use ropewalk_app::board::Watchdog;
use ropewalk_app::link::Link;
use ropewalk_app::node::Node;
use ropewalk_core::connection::Storage;
use ropewalk_core::time::Instant;
use static_cell::StaticCell;

/// The board's clock.
#[must_use]
pub fn now() -> Instant {
    Instant::from_micros(embassy_time::Instant::now().as_micros())
}

/// Makes a value where it stays. What it needs of the stack meanwhile, mostly its own length, is
/// free again afterwards; inlined into a function that never returns, it would not be.
#[inline(never)]
pub fn place<T>(cell: &'static StaticCell<T>, make: impl FnOnce() -> T) -> &'static mut T {
    cell.init_with(make)
}

/// Turns for ever. The runner is whatever else has to go on meanwhile, such as a driver's.
pub fn serve<M: Storage>(
    node: &mut Node<M>,
    links: &mut [&mut dyn Link],
    mut runner: Pin<&mut impl Future>,
    watchdog: &mut impl Watchdog,
) -> ! {
    loop {
        watchdog.feed();
        // Carrying a frame takes a handful of transfers, and each poll gets to the next.
        for _ in 0..RUNNER_POLLS {
            let _ = runner.as_mut().poll(&mut nobody());
        }
        let before = now();
        let _ = node.turn(links, before);
        node.on_turn(now().since(before));
    }
}

/// Polls until it is done, however long that takes.
pub fn wait<F: Future>(mut future: Pin<&mut F>, watchdog: &mut impl Watchdog) -> F::Output {
    loop {
        watchdog.feed();
        if let Poll::Ready(output) = future.as_mut().poll(&mut nobody()) {
            return output;
        }
    }
}

/// Says why the board does not start, again and again: whoever looks may have come late.
pub fn refuse(why: &dyn core::fmt::Display, watchdog: &mut impl Watchdog) -> ! {
    let mut due = now();
    loop {
        watchdog.feed();
        if now() >= due {
            defmt::error!("refuses to start: {}", defmt::Display2Format(why));
            due = now() + REPEAT_AFTER;
        }
    }
}

/// Wakes nobody.
const fn nobody() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

const RUNNER_POLLS: u32 = 16;
const REPEAT_AFTER: ropewalk_core::time::Duration =
    ropewalk_core::time::Duration::from_millis(5_000);
