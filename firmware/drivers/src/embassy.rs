//! Any `embassy-net-driver` as an [`EthernetDevice`]: on-chip Ethernet, W5500 and its kin.
//!
//! Such drivers call a waker when something may have changed. This loop comes by anyway, so they
//! get one that does nothing. Drivers with a runner of their own (the W5500's) still need it run.

mod uart;

pub use uart::PolledUart;

use crate::{Dropped, EthernetDevice, FRAME_BYTES, Full, count};
use core::task::{Context, Waker};
use embassy_net_driver::{Driver, HardwareAddress, LinkState, RxToken, TxToken};

/// A network card behind an `embassy-net-driver` driver.
#[derive(Debug)]
pub struct Polled<D> {
    driver: D,
    dropped: Dropped,
    frame_bytes_max: usize,
}

impl<D: Driver> Polled<D> {
    /// Takes over the driver of an Ethernet card; another kind gets it back.
    ///
    /// # Errors
    /// The driver's frames are not Ethernet's.
    pub fn new(driver: D) -> Result<Self, D> {
        if !matches!(driver.hardware_address(), HardwareAddress::Ethernet(_)) {
            return Err(driver);
        }
        // What these drivers call their MTU counts the Ethernet header.
        let frame_bytes_max = driver.capabilities().max_transmission_unit.min(*FRAME_BYTES.end());
        Ok(Self { driver, dropped: Dropped::default(), frame_bytes_max })
    }

    /// Frames that were not carried, since the start.
    pub const fn dropped(&self) -> Dropped {
        self.dropped
    }
}

impl<D: Driver> EthernetDevice for Polled<D> {
    fn mac(&self) -> [u8; 6] {
        match self.driver.hardware_address() {
            HardwareAddress::Ethernet(mac) => mac,
            // `new` let none in that begins as another kind.
            _ => [0; 6],
        }
    }

    fn carrier(&mut self) -> bool {
        self.driver.link_state(&mut nobody()) == LinkState::Up
    }

    fn can_send(&mut self) -> bool {
        self.driver.transmit(&mut nobody()).is_some()
    }

    fn send(&mut self, frame: &[u8]) -> Result<(), Full> {
        if frame.len() < *FRAME_BYTES.start() || frame.len() > self.frame_bytes_max {
            count(&mut self.dropped.unsendable);
            return Ok(());
        }
        let token = self.driver.transmit(&mut nobody()).ok_or(Full)?;
        token.consume(frame.len(), |place| {
            for (place, byte) in place.iter_mut().zip(frame) {
                *place = *byte;
            }
        });
        Ok(())
    }

    fn receive(&mut self, into: &mut [u8]) -> Option<usize> {
        for _ in 0..FRAMES_PER_CALL {
            let (token, _) = self.driver.receive(&mut nobody())?;
            let fate = token.consume(|frame| {
                if frame.len() < *FRAME_BYTES.start() {
                    return Err(Drop::Runt);
                }
                let place = into.get_mut(..frame.len()).ok_or(Drop::Oversized)?;
                place.copy_from_slice(frame);
                Ok(frame.len())
            });
            match fate {
                Ok(len) => return Some(len),
                Err(Drop::Runt) => count(&mut self.dropped.runt),
                Err(Drop::Oversized) => count(&mut self.dropped.oversized),
            }
        }
        None
    }
}

enum Drop {
    Runt,
    Oversized,
}

/// Wakes nobody.
const fn nobody() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Frames that one call of `receive` drops at most, before it says that there is none.
const FRAMES_PER_CALL: u32 = 16;

#[cfg(test)]
mod tests;
