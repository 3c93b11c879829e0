//! Virtio devices on a memory-mapped bus, as on RISC-V's virt machine: network cards and a source
//! of randomness, through `virtio-drivers`.
//!
//! [`Slots`] walks the bus; each slot that holds a device becomes a [`Found`]. Nothing here
//! allocates: the queues' pages come from a static pool, frames from memory that the board lends.
//!
//! The device on the other side of the bus is the machine itself, and is believed: it can write
//! all of the memory anyway.

#![allow(unsafe_code, reason = "the devices read and write memory that they are handed")]

mod net;
mod pages;

pub use net::{NetMemory, VirtioNet};

use core::ptr::{NonNull, with_exposed_provenance_mut};
use pages::Pages;
use virtio_drivers::device::rng::VirtIORng;
use virtio_drivers::transport::mmio::MmioTransport;
use virtio_drivers::transport::{DeviceType, Transport};

/// Slots of a bus, from the first filled on: QEMU fills them from the last address down.
#[derive(Debug)]
pub struct Slots {
    base: usize,
    bytes: usize,
    left: usize,
}

/// A device that there is a driver for.
pub enum Found {
    /// A network card: [`VirtioNet`].
    Net(Slot),
    /// A source of randomness: [`VirtioRandom`].
    Random(Slot),
}

/// A device on its slot, not started.
pub struct Slot {
    transport: MmioTransport<'static>,
    base: NonNull<u8>,
}

/// The device does not do what its kind has to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Broken;

impl Slots {
    /// The bus of QEMU's RISC-V machine `virt`: eight slots.
    ///
    /// # Safety
    /// This is that machine, nothing else uses the slots, and they are walked once.
    #[must_use]
    pub const unsafe fn of_riscv_virt() -> Self {
        Self { base: 0x1000_1000, bytes: 0x1000, left: 8 }
    }
}

impl Iterator for Slots {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        while let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            let base = NonNull::new(with_exposed_provenance_mut(self.base + left * self.bytes))?;
            // SAFETY: whoever made `self` says that slots are there, and that nobody else uses
            // them. The size is the header's and a generous configuration's.
            let Ok(transport) = (unsafe { MmioTransport::new(base.cast(), SLOT_BYTES) }) else {
                continue;
            };
            match transport.device_type() {
                DeviceType::Network => return Some(Found::Net(Slot { transport, base })),
                DeviceType::EntropySource => return Some(Found::Random(Slot { transport, base })),
                _ => {}
            }
        }
        None
    }
}

/// A source of randomness: the host's.
pub struct VirtioRandom {
    device: VirtIORng<Pages, MmioTransport<'static>>,
}

impl VirtioRandom {
    /// Starts the device.
    ///
    /// # Errors
    /// It cannot be started, or all pages for queues are taken.
    pub fn new(slot: Slot) -> Result<Self, Broken> {
        Ok(Self { device: VirtIORng::new(slot.transport).map_err(|_| Broken)? })
    }

    /// Fills `into`; waits for the host to do so.
    ///
    /// # Errors
    /// The device gave less than it was asked for; nothing in `into` may be used.
    pub fn fill(&mut self, into: &mut [u8]) -> Result<(), Broken> {
        let mut filled = 0;
        while let Some(rest) = into.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.device.request_entropy(rest) {
                Ok(len) if (1..=rest.len()).contains(&len) => filled += len,
                _ => return Err(Broken),
            }
        }
        Ok(())
    }
}

const SLOT_BYTES: usize = 0x200;
