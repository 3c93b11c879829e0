//! What boards' links are made of: drivers for network cards and serial lines.
//!
//! ```text
//!  lan9118, virtio, embassy: EthernetDevice      whole Ethernet frames
//!  uart_cmsdk, uart_16550: embedded_io           bytes
//!    serial: SerialLine                          datagrams over any such UART
//!  flash: count_start                            a number for each start of the board
//! ```
//!
//! Everything is polled by one loop: no interrupts, no allocation, nothing that waits, and a
//! bounded amount of work per call. What a line or a peer does wrong is counted, never an error.
//! No network stack is named here; the board's application brings one.

#![no_std]
#![deny(unsafe_code)]

#[cfg(test)]
extern crate std;

#[cfg(feature = "embassy")]
pub mod embassy;
#[cfg(feature = "flash")]
pub mod flash;
#[cfg(feature = "lan9118")]
pub mod lan9118;
pub mod mmio;
pub mod serial;
#[cfg(feature = "uart_16550")]
pub mod uart_16550;
#[cfg(feature = "uart_cmsdk")]
pub mod uart_cmsdk;
#[cfg(feature = "virtio")]
pub mod virtio;

/// A network card: whole Ethernet frames without their checksum. Nothing waits.
pub trait EthernetDevice {
    /// The card's own address.
    fn mac(&self) -> [u8; 6];

    /// Whether the cable is alive. To be asked a few times a second or more often.
    fn carrier(&mut self) -> bool;

    /// Whether [`EthernetDevice::send`] would take a frame of full length.
    fn can_send(&mut self) -> bool;

    /// Sends one frame. One that no card could send (below 14 bytes, above 1518) is dropped and
    /// counted.
    ///
    /// # Errors
    /// Nothing was taken: there is no room at the moment.
    fn send(&mut self, frame: &[u8]) -> Result<(), Full>;

    /// The next frame that came, in front of `into`. One that is longer than `into`, or damaged,
    /// is dropped and counted.
    fn receive(&mut self, into: &mut [u8]) -> Option<usize>;
}

impl<D: EthernetDevice + ?Sized> EthernetDevice for &mut D {
    fn mac(&self) -> [u8; 6] {
        D::mac(self)
    }

    fn carrier(&mut self) -> bool {
        D::carrier(self)
    }

    fn can_send(&mut self) -> bool {
        D::can_send(self)
    }

    fn send(&mut self, frame: &[u8]) -> Result<(), Full> {
        D::send(self, frame)
    }

    fn receive(&mut self, into: &mut [u8]) -> Option<usize> {
        D::receive(self, into)
    }
}

/// A device or a queue has no room at the moment; nothing was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Full;

impl core::fmt::Display for Full {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("no room at the moment")
    }
}

impl core::error::Error for Full {}

/// Frames that a network card did not carry, since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Dropped {
    /// Came while the card had no room for them.
    pub overrun: u32,
    /// Came damaged: a wrong checksum, a collision, a cut-off end.
    pub damaged: u32,
    /// Came longer than the buffer that was offered.
    pub oversized: u32,
    /// Came shorter than an Ethernet header.
    pub runt: u32,
    /// Were asked for with a length that no card sends.
    pub unsendable: u32,
    /// Were taken, and the card reported that they did not get out.
    pub unsent: u32,
    /// Times the card and its driver got out of step and the card's queues were emptied.
    pub resets: u32,
}

/// Counts one more; the last value stays.
pub(crate) fn count(counter: &mut u32) {
    *counter = counter.saturating_add(1);
}

/// Lengths of Ethernet frames without their checksum: a bare header, and full with a VLAN tag.
#[cfg(any(feature = "lan9118", feature = "virtio", feature = "embassy"))]
pub(crate) const FRAME_BYTES: core::ops::RangeInclusive<usize> = 14..=1518;
