//! Datagrams over a UART: COBS frames with a CRC, queued for 50 ms of the line at most.
//!
//! ```text
//!  send -> queue -> pump -> UART ~~~ line ~~~ UART -> pump -> decoder -> receive
//! ```
//!
//! The queue is short on purpose: what waits here was scheduled too early, and a packet that
//! another link could have carried meanwhile is late. A UART with a queue of its own adds to it, so
//! that one should be short as well. Bytes are taken in only while no whole datagram waits to be
//! received; how long that may take is for the UART's own memory to say.
//!
//! The framing is that of `docs/protocol.md` section 13.

use crate::{Full, count};
use embedded_io::{Read, ReadReady, Write, WriteReady};
use ropewalk_core::wire::serial::{Decoder, encode, encoded_max};

/// Datagrams over the UART `U`, in memory that the caller lends.
#[derive(Debug)]
pub struct SerialLine<'m, U> {
    uart: U,
    decoder: Decoder<'m>,
    /// The length of the datagram in the decoder that nobody has received.
    complete: Option<usize>,
    queue: Queue<'m>,
    queue_bytes_max: usize,
    dropped: u32,
    line_errors: u32,
}

/// What a line did not carry, since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SerialCounters {
    /// Frames that came cut short, too long, or with a wrong CRC.
    pub corrupt: u64,
    /// Datagrams that were too long: to be sent, or for the buffer that was offered.
    pub dropped: u32,
    /// Errors that the UART reported: bytes lost, or sent at another rate.
    pub line_errors: u32,
}

impl<'m, U: Read + ReadReady + Write + WriteReady> SerialLine<'m, U> {
    /// A line of `bits_per_second`, each byte taking ten of them. Datagrams that come may have
    /// `incoming.len() - 4` bytes; those that go, what [`memory_bytes`] says of `outgoing`.
    pub const fn new(
        uart: U,
        bits_per_second: u32,
        incoming: &'m mut [u8],
        outgoing: &'m mut [u8],
    ) -> Self {
        // 50 ms are a twentieth of a second.
        let queue_bytes_max = (bits_per_second / 10 / 20) as usize;
        Self {
            uart,
            decoder: Decoder::new(incoming),
            complete: None,
            queue: Queue { memory: outgoing, sent: 0, len: 0 },
            queue_bytes_max,
            dropped: 0,
            line_errors: 0,
        }
    }

    /// Queues a datagram. One that the memory has no room for even when it is empty is dropped and
    /// counted.
    ///
    /// # Errors
    /// The line has enough to do; nothing was taken.
    pub fn send(&mut self, datagram: &[u8]) -> Result<(), Full> {
        // The core's encoder knows the exact length only afterwards.
        let bytes = memory_bytes(datagram.len());
        if bytes > self.queue.memory.len() {
            count(&mut self.dropped);
            return Ok(());
        }
        let after = self.queue.len().saturating_add(bytes);
        if !self.queue.is_empty() && after > self.queue_bytes_max {
            return Err(Full);
        }
        self.queue.push(datagram)
    }

    /// Moves bytes both ways, a bounded number of them, as far as the line goes along.
    pub fn pump(&mut self) {
        self.give_out();
        self.take_in();
    }

    /// The next datagram that came, in front of `into`. One that is longer is dropped and counted.
    pub fn receive(&mut self, into: &mut [u8]) -> Option<usize> {
        if self.complete.is_none() {
            self.take_in();
        }
        let len = self.complete.take()?;
        let datagram = self.decoder.datagram(len);
        let Some(place) = into.get_mut(..len) else {
            count(&mut self.dropped);
            return None;
        };
        place.copy_from_slice(datagram);
        Some(len)
    }

    /// Bytes that wait for the line.
    #[must_use]
    pub const fn queued(&self) -> usize {
        self.queue.len()
    }

    /// What was not carried, since the start.
    #[must_use]
    pub const fn counters(&self) -> SerialCounters {
        SerialCounters {
            corrupt: self.decoder.corrupt,
            dropped: self.dropped,
            line_errors: self.line_errors,
        }
    }

    /// The UART itself, which may have counters of its own.
    pub const fn uart(&mut self) -> &mut U {
        &mut self.uart
    }

    fn give_out(&mut self) {
        let mut rest = BYTES_PER_CALL;
        while rest > 0 && !self.queue.is_empty() && self.uart.write_ready().unwrap_or(false) {
            let bytes = self.queue.front();
            match self.uart.write(bytes.get(..rest).unwrap_or(bytes)) {
                Ok(0) => return,
                Ok(len) => {
                    self.queue.pop(len);
                    rest = rest.saturating_sub(len);
                }
                Err(_) => return count(&mut self.line_errors),
            }
        }
    }

    fn take_in(&mut self) {
        for _ in 0..BYTES_PER_CALL {
            if self.complete.is_some() {
                return;
            }
            match self.uart.read_ready() {
                Ok(true) => {}
                Ok(false) => return,
                Err(_) => return count(&mut self.line_errors),
            }
            let mut byte = [0];
            match self.uart.read(&mut byte) {
                Ok(0) => return,
                // The frame that the error is in fails its CRC; the next one may be whole.
                Err(_) => count(&mut self.line_errors),
                Ok(_) => {
                    let [byte] = byte;
                    self.complete = self.decoder.push(byte);
                }
            }
        }
    }
}

/// Bytes of outgoing memory that datagrams of `len` bytes need. Twice as much lets the line go on
/// from one to the next without a pause.
#[must_use]
pub const fn memory_bytes(len: usize) -> usize {
    encoded_max(len).saturating_add(1)
}

/// Bytes that wait for the line, in one piece: `memory[sent..sent + len]`.
#[derive(Debug)]
struct Queue<'m> {
    memory: &'m mut [u8],
    sent: usize,
    len: usize,
}

impl Queue<'_> {
    const fn len(&self) -> usize {
        self.len
    }

    const fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn front(&self) -> &[u8] {
        self.memory.get(self.sent..).and_then(|rest| rest.get(..self.len)).unwrap_or_default()
    }

    fn pop(&mut self, bytes: usize) {
        let bytes = bytes.min(self.len);
        self.sent = self.sent.saturating_add(bytes);
        self.len = self.len.saturating_sub(bytes);
    }

    fn push(&mut self, datagram: &[u8]) -> Result<(), Full> {
        // Makes the whole room one piece, behind what waits.
        let waits = self.sent..self.sent.saturating_add(self.len);
        if waits.end <= self.memory.len() {
            self.memory.copy_within(waits, 0);
        }
        self.sent = 0;
        // After a pause, a zero first ends whatever noise the line has made.
        let pause = self.len == 0;
        let mut end = self.len;
        if pause {
            *self.memory.get_mut(end).ok_or(Full)? = 0;
            end = end.saturating_add(1);
        }
        let room = self.memory.get_mut(end..).unwrap_or_default();
        let bytes = encode(datagram, room).ok_or(Full)?;
        self.len = end.saturating_add(bytes);
        Ok(())
    }
}

/// Bytes that one call moves each way at most, so that a turn of the loop stays short.
const BYTES_PER_CALL: usize = 512;

#[cfg(test)]
mod tests;
