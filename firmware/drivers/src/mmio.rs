//! Device registers: a trait that drivers are written against, and memory that implements it.
//!
//! Tests put a scripted device in the place of the memory. This is the only file, beside
//! `virtio`, that may say `unsafe`.

#![allow(unsafe_code, reason = "a register is an address that only the board knows")]

use core::ptr::NonNull;

/// Registers of width `W`, named by their byte offset.
pub trait Registers<W> {
    /// Reads one. Reading may change the device: it empties queues and clears flags.
    fn read(&mut self, offset: u8) -> W;

    /// Writes one.
    fn write(&mut self, offset: u8, value: W);
}

/// The 256 bytes from an address on, where a device has its registers.
#[derive(Debug)]
pub struct Mmio<W> {
    base: NonNull<W>,
}

impl<W> Mmio<W> {
    /// # Safety
    /// `base` is the address of a device whose registers of width `W` fill 256 bytes, each of
    /// which may be read and written at any time without harm to Rust's own memory, and nothing
    /// else uses the device. `base` is a multiple of `W`'s size.
    ///
    /// # Panics
    /// `base` is zero.
    #[must_use]
    pub const unsafe fn new(base: usize) -> Self {
        match NonNull::new(core::ptr::with_exposed_provenance_mut(base)) {
            Some(base) => Self { base },
            None => panic!("no device has its registers at zero"),
        }
    }

    /// The register with this offset, rounded down to a whole register.
    const fn register(&self, offset: u8) -> NonNull<W> {
        let index = offset as usize / size_of::<W>();
        // SAFETY: the 256 bytes from `base` on are the device's, and `offset` is at most 255.
        unsafe { self.base.add(index) }
    }
}

impl<W: Copy> Registers<W> for Mmio<W> {
    fn read(&mut self, offset: u8) -> W {
        // SAFETY: `register` is aligned and inside the device, whose registers may be read.
        unsafe { self.register(offset).read_volatile() }
    }

    fn write(&mut self, offset: u8, value: W) {
        // SAFETY: `register` is aligned and inside the device, whose registers may be written.
        unsafe { self.register(offset).write_volatile(value) }
    }
}

// SAFETY: an address may be used from wherever the one owner of the device is.
unsafe impl<W> Send for Mmio<W> {}
