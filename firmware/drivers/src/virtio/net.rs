//! A virtio network card: buffers that are lent to the device and come back with a token.

use super::{Broken, Pages, Slot};
use crate::{Dropped, EthernetDevice, FRAME_BYTES, Full, count};
use core::ptr::NonNull;
use virtio_drivers::device::net::VirtIONetRaw;
use virtio_drivers::transport::Transport;
use virtio_drivers::transport::mmio::MmioTransport;

/// Frames that the device holds each way, at most.
const FRAMES: usize = 8;
/// Descriptors of a queue: a power of two, one for each frame.
const DESCRIPTORS: usize = 8;
/// A frame and the header of 12 bytes that virtio has in front, to whole words.
const BUFFER_BYTES: usize = 1_536;

/// What a card's frames wait in: a `static` on a board.
pub struct NetMemory {
    incoming: [Buffer; FRAMES],
    outgoing: [Buffer; FRAMES],
}

/// Memory for a frame, and the token under which the device has it.
struct Buffer {
    bytes: [u8; BUFFER_BYTES],
    len: usize,
    lent: Option<u16>,
}

/// A virtio network card that runs.
pub struct VirtioNet {
    device: VirtIONetRaw<Pages, MmioTransport<'static>, DESCRIPTORS>,
    memory: &'static mut NetMemory,
    /// Where the device says whether the link is up, if it does.
    link_status: Option<NonNull<u16>>,
    dropped: Dropped,
}

impl NetMemory {
    /// Memory that no device has yet. All zero, so that a `static` of it costs no flash.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            incoming: [const { Buffer::new() }; FRAMES],
            outgoing: [const { Buffer::new() }; FRAMES],
        }
    }
}

impl Default for NetMemory {
    fn default() -> Self {
        Self::new()
    }
}

impl Buffer {
    const fn new() -> Self {
        Self { bytes: [0; BUFFER_BYTES], len: 0, lent: None }
    }
}

impl VirtioNet {
    /// Starts the card.
    ///
    /// # Errors
    /// The device cannot be started, or all pages for queues are taken.
    pub fn new(slot: Slot, memory: &'static mut NetMemory) -> Result<Self, Broken> {
        let Slot { mut transport, base } = slot;
        let tells_link = transport.read_device_features() & FEATURE_STATUS != 0;
        // SAFETY: the slot is longer than this.
        let link_status = tells_link.then(|| unsafe { base.byte_add(LINK_STATUS) }.cast());
        let device = VirtIONetRaw::new(transport).map_err(|_| Broken)?;
        let mut card = Self { device, memory, link_status, dropped: Dropped::default() };
        card.device.disable_interrupts();
        for buffer in &mut card.memory.incoming {
            lend(&mut card.device, buffer);
        }
        if card.memory.incoming.iter().all(|buffer| buffer.lent.is_none()) {
            return Err(Broken);
        }
        Ok(card)
    }

    /// Frames that were not carried, since the start.
    #[must_use]
    pub const fn dropped(&self) -> Dropped {
        self.dropped
    }

    /// Takes back the buffers of frames that are out.
    fn reclaim(&mut self) {
        while let Some(token) = self.device.poll_transmit() {
            let Some(buffer) = with(&mut self.memory.outgoing, token) else { return };
            let bytes = buffer.bytes.get(..buffer.len).unwrap_or_default();
            // SAFETY: these are the bytes that the token was given for, untouched since.
            if unsafe { self.device.transmit_complete(token, bytes) }.is_err() {
                return;
            }
            buffer.lent = None;
        }
    }

    fn free(&mut self) -> Option<&mut Buffer> {
        self.memory.outgoing.iter_mut().find(|buffer| buffer.lent.is_none())
    }
}

impl EthernetDevice for VirtioNet {
    fn mac(&self) -> [u8; 6] {
        self.device.mac_address()
    }

    fn carrier(&mut self) -> bool {
        // SAFETY: the register is the device's, inside its slot, aligned, and only read.
        self.link_status.is_none_or(|status| unsafe { status.read_volatile() } & LINK_UP != 0)
    }

    fn can_send(&mut self) -> bool {
        self.reclaim();
        self.free().is_some()
    }

    fn send(&mut self, frame: &[u8]) -> Result<(), Full> {
        if !FRAME_BYTES.contains(&frame.len()) {
            count(&mut self.dropped.unsendable);
            return Ok(());
        }
        self.reclaim();
        let Self { device, memory, .. } = self;
        let buffer = memory.outgoing.iter_mut().find(|buffer| buffer.lent.is_none()).ok_or(Full)?;
        let header = device.fill_buffer_header(&mut buffer.bytes).map_err(|_| Full)?;
        let place = buffer.bytes.get_mut(header..).and_then(|rest| rest.get_mut(..frame.len()));
        place.ok_or(Full)?.copy_from_slice(frame);
        buffer.len = header + frame.len();
        let bytes = buffer.bytes.get(..buffer.len).unwrap_or_default();
        // SAFETY: a buffer that is lent stays as it is until `reclaim` has it back, and its memory
        // lives as long as the image.
        buffer.lent = Some(unsafe { device.transmit_begin(bytes) }.map_err(|_| Full)?);
        Ok(())
    }

    fn receive(&mut self, into: &mut [u8]) -> Option<usize> {
        // Each turn gives a buffer back, so that this ends once it has seen all.
        for _ in 0..FRAMES {
            let token = self.device.poll_receive()?;
            let Self { device, memory, dropped, .. } = self;
            let buffer = with(&mut memory.incoming, token)?;
            // SAFETY: this is the buffer that the token was given for, untouched since.
            let came = unsafe { device.receive_complete(token, &mut buffer.bytes) };
            let frame = came.ok().and_then(|(header, len)| buffer.bytes.get(header..)?.get(..len));
            let fate = match frame {
                None => Err(&mut dropped.damaged),
                Some(frame) if frame.len() < *FRAME_BYTES.start() => Err(&mut dropped.runt),
                Some(frame) => match into.get_mut(..frame.len()) {
                    Some(place) => {
                        place.copy_from_slice(frame);
                        Ok(frame.len())
                    }
                    None => Err(&mut dropped.oversized),
                },
            };
            let fate = fate.map_err(count);
            buffer.lent = None;
            lend(device, buffer);
            if let Ok(len) = fate {
                return Some(len);
            }
        }
        None
    }
}

/// The buffer that the device has under this token.
fn with(buffers: &mut [Buffer; FRAMES], token: u16) -> Option<&mut Buffer> {
    buffers.iter_mut().find(|buffer| buffer.lent == Some(token))
}

/// Gives the device a buffer to receive into.
fn lend(
    device: &mut VirtIONetRaw<Pages, MmioTransport<'static>, DESCRIPTORS>,
    buffer: &mut Buffer,
) {
    // SAFETY: a buffer that is lent stays as it is until it was received, and its memory lives as
    // long as the image.
    buffer.lent = unsafe { device.receive_begin(&mut buffer.bytes) }.ok();
}

/// The device tells whether the link is up (VIRTIO_NET_F_STATUS), here, by this bit.
const FEATURE_STATUS: u64 = 1 << 16;
const LINK_STATUS: usize = 0x106;
const LINK_UP: u16 = 1;
