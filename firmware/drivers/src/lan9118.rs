//! SMSC LAN9118: a network card of registers and two queues, as on ARM's MPS2 boards.
//!
//! ```text
//!  send:     two command words, the frame's words           -> TX data queue -> wire
//!  receive:  status word (RX status queue), then its words  <- RX data queue <- wire
//! ```
//!
//! Frames are read to their end, also those that are dropped: the chip's own way to skip a frame
//! is not modelled well by every emulator. When a status word and the data queue disagree, or
//! the chip reports that it lost step, the queue in question is emptied and counted.
//!
//! The carrier is the PHY's link bit. Asking for it takes a few dozen microseconds on a real
//! chip, so [`EthernetDevice::carrier`] starts a question, and picks up the answer if it is there
//! already, else when it is called next.

mod registers;

use crate::mmio::Registers;
use crate::{Dropped, EthernetDevice, FRAME_BYTES, Full, count};
use registers::*;

/// The card, behind whatever holds its registers ([`Mmio`](crate::mmio::Mmio) on a board).
#[derive(Debug)]
pub struct Lan9118<R> {
    registers: R,
    mac: [u8; 6],
    carrier: Carrier,
    dropped: Dropped,
}

/// Why there is no card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum StartError {
    /// Nothing at this address answers as a LAN9118 does.
    Absent,
    /// Something else does; its identity and revision.
    Unknown(u32),
    /// It did not come out of its reset, or a register of its MAC does not answer.
    Stuck,
}

/// What is known of the cable, and the question to the PHY that is under way.
#[derive(Debug, Default)]
struct Carrier {
    up: bool,
    full_duplex: bool,
    asked: Option<u32>,
}

impl<R: Registers<u32>> Lan9118<R> {
    /// Resets the card and starts it. It takes `mac` for its address, or keeps the one from its
    /// EEPROM.
    ///
    /// # Errors
    /// There is no such card, or it does not work.
    pub fn new(registers: R, mac: Option<[u8; 6]>) -> Result<Self, StartError> {
        let mut card = Self {
            registers,
            mac: [0; 6],
            carrier: Carrier::default(),
            dropped: Dropped::default(),
        };
        card.wait(BYTE_TEST, |value| value == BYTE_TEST_VALUE).ok_or(StartError::Absent)?;
        let identity = card.registers.read(ID_REV);
        if !matches!(identity >> 16, 0x0115..=0x0118) {
            return Err(StartError::Unknown(identity));
        }
        card.start(mac).ok_or(StartError::Stuck)?;
        Ok(card)
    }

    /// Frames that were not carried, since the start.
    pub fn dropped(&mut self) -> Dropped {
        // Reading the chip's own counter clears it.
        let overrun = self.registers.read(RX_DROP);
        self.dropped.overrun = self.dropped.overrun.saturating_add(overrun);
        self.dropped
    }

    fn start(&mut self, mac: Option<[u8; 6]>) -> Option<()> {
        self.registers.write(HW_CFG, SRST);
        self.wait(HW_CFG, |value| value & SRST == 0)?;
        self.wait(BYTE_TEST, |value| value == BYTE_TEST_VALUE)?;
        self.registers.write(HW_CFG, HW_CFG_VALUE);
        // The address is read from the EEPROM meanwhile.
        self.wait(E2P_CMD, |value| value & BUSY == 0)?;
        self.registers.write(INT_EN, 0);
        self.registers.write(INT_STS, u32::MAX);
        if let Some([a, b, c, d, e, f]) = mac {
            self.mac_write(MAC_ADDRL, u32::from_le_bytes([a, b, c, d]))?;
            self.mac_write(MAC_ADDRH, u32::from_le_bytes([e, f, 0, 0]))?;
        }
        let [a, b, c, d] = self.mac_read(MAC_ADDRL)?.to_le_bytes();
        let [e, f, _, _] = self.mac_read(MAC_ADDRH)?.to_le_bytes();
        self.mac = [a, b, c, d, e, f];
        self.mac_write(MII_DATA, NEGOTIATE)?;
        self.mac_write(MII_ACC, PHY | PHY_CONTROL << 6 | MII_WRITE | MII_BUSY)?;
        self.registers.write(TX_CFG, TX_ON);
        self.registers.write(RX_CFG, 0);
        self.run_mac(RUN_TX | RUN_RX)
    }

    /// Reads a register until `done` likes it, for some milliseconds at most.
    fn wait(&mut self, register: u8, done: impl Fn(u32) -> bool) -> Option<()> {
        (0..READS_MAX).find_map(|_| done(self.registers.read(register)).then_some(()))
    }

    fn mac_read(&mut self, register: u32) -> Option<u32> {
        self.registers.write(MAC_CSR_CMD, BUSY | MAC_READ | register);
        self.wait(MAC_CSR_CMD, |value| value & BUSY == 0)?;
        Some(self.registers.read(MAC_CSR_DATA))
    }

    fn mac_write(&mut self, register: u32, value: u32) -> Option<()> {
        self.registers.write(MAC_CSR_DATA, value);
        self.registers.write(MAC_CSR_CMD, BUSY | register);
        self.wait(MAC_CSR_CMD, |value| value & BUSY == 0)
    }

    fn run_mac(&mut self, run: u32) -> Option<()> {
        let duplex = if self.carrier.full_duplex { FULL_DUPLEX } else { 0 };
        self.mac_write(MAC_CR, MULTICAST | duplex | run)
    }

    /// Frames that wait, and the bytes of them.
    fn waiting(&mut self) -> (u32, u32) {
        let waiting = self.registers.read(RX_FIFO_INF);
        (waiting >> 16 & 0xff, waiting & 0xffff)
    }

    /// Takes the next frame out of the queue: its length, or `None` if it was dropped.
    fn take(&mut self, bytes_waiting: u32, into: &mut [u8]) -> Option<usize> {
        let status = self.registers.read(RX_STATUS);
        let bytes = status >> 16 & 0x3fff;
        let words = bytes.div_ceil(4);
        if bytes < CHECKSUM_BYTES || words.saturating_mul(4) > bytes_waiting {
            // This cannot be a frame's status: what follows in the queue has no beginning.
            self.reset_receiver();
            return None;
        }
        let len = bytes.saturating_sub(CHECKSUM_BYTES) as usize;
        let counter = if status & (RX_ERROR | RX_FILTERED) != 0 {
            Some(&mut self.dropped.damaged)
        } else if len < *FRAME_BYTES.start() {
            Some(&mut self.dropped.runt)
        } else if len > into.len() {
            Some(&mut self.dropped.oversized)
        } else {
            None
        };
        let kept = counter.map(count).is_none();
        let frame = if kept { into.get_mut(..len).unwrap_or_default() } else { &mut [] };
        let mut places = frame.chunks_mut(4);
        for _ in 0..words {
            let word = self.registers.read(RX_DATA).to_le_bytes();
            for (place, byte) in places.next().unwrap_or_default().iter_mut().zip(word) {
                *place = byte;
            }
        }
        kept.then_some(len)
    }

    fn reset_receiver(&mut self) {
        count(&mut self.dropped.resets);
        // A chip that does not even stop is tried again with the next frame.
        let _ = self.run_mac(RUN_TX);
        let _ = self.wait(INT_STS, |value| value & RXSTOP != 0);
        self.registers.write(RX_CFG, RX_DUMP);
        let _ = self.wait(RX_CFG, |value| value & RX_DUMP == 0);
        self.registers.write(INT_STS, RXE | RXSTOP);
        let _ = self.run_mac(RUN_TX | RUN_RX);
    }

    fn reset_transmitter(&mut self) {
        count(&mut self.dropped.resets);
        self.registers.write(TX_CFG, TX_DUMP);
        let _ = self.wait(TX_CFG, |value| value & TX_DUMP == 0);
        self.registers.write(INT_STS, TXE);
        self.registers.write(TX_CFG, TX_ON);
    }

    /// Reads what became of frames that were sent; the chip stops when nobody does.
    fn room(&mut self) -> u32 {
        if self.registers.read(INT_STS) & TXE != 0 {
            self.reset_transmitter();
        }
        let room = self.registers.read(TX_FIFO_INF);
        let sent = room >> 16 & 0x3ff;
        for _ in 0..sent.min(STATUSES_PER_CALL) {
            if self.registers.read(TX_STATUS) & TX_ERROR != 0 {
                count(&mut self.dropped.unsent);
            }
        }
        room & 0xffff
    }

    /// The answer to the question that was put to the PHY, if it has come.
    fn answer(&mut self) -> Option<()> {
        let register = self.carrier.asked?;
        if self.mac_read(MII_ACC)? & MII_BUSY != 0 {
            return None;
        }
        let value = self.mac_read(MII_DATA)?;
        self.carrier.asked = None;
        if register == PHY_STATUS {
            let came_up = value & LINK_UP != 0 && !self.carrier.up;
            self.carrier.up = value & LINK_UP != 0;
            return if came_up { self.ask(PHY_PARTNER) } else { Some(()) };
        }
        let full_duplex = full_duplex(value);
        if full_duplex != self.carrier.full_duplex {
            self.carrier.full_duplex = full_duplex;
            self.run_mac(RUN_TX | RUN_RX)?;
        }
        Some(())
    }

    fn ask(&mut self, register: u32) -> Option<()> {
        self.mac_write(MII_ACC, PHY | register << 6 | MII_BUSY)?;
        self.carrier.asked = Some(register);
        Some(())
    }
}

impl<R: Registers<u32>> EthernetDevice for Lan9118<R> {
    fn mac(&self) -> [u8; 6] {
        self.mac
    }

    fn carrier(&mut self) -> bool {
        let _ = self.answer();
        if self.carrier.asked.is_none() {
            let _ = self.ask(PHY_STATUS);
        }
        let _ = self.answer();
        self.carrier.up
    }

    fn can_send(&mut self) -> bool {
        self.room() >= bytes_in_queue(*FRAME_BYTES.end())
    }

    fn send(&mut self, frame: &[u8]) -> Result<(), Full> {
        if !FRAME_BYTES.contains(&frame.len()) {
            count(&mut self.dropped.unsendable);
            return Ok(());
        }
        if self.room() < bytes_in_queue(frame.len()) {
            return Err(Full);
        }
        let bytes = frame.len() as u32;
        self.registers.write(TX_DATA, TX_WHOLE | bytes);
        self.registers.write(TX_DATA, bytes);
        for piece in frame.chunks(4) {
            let mut word = [0; 4];
            for (place, byte) in word.iter_mut().zip(piece) {
                *place = *byte;
            }
            self.registers.write(TX_DATA, u32::from_le_bytes(word));
        }
        Ok(())
    }

    fn receive(&mut self, into: &mut [u8]) -> Option<usize> {
        if self.registers.read(INT_STS) & RXE != 0 {
            self.reset_receiver();
        }
        for _ in 0..FRAMES_PER_CALL {
            let (frames, bytes) = self.waiting();
            if frames == 0 {
                return None;
            }
            if let Some(len) = self.take(bytes, into) {
                return Some(len);
            }
        }
        None
    }
}

/// What a frame takes of the TX data queue: its words and two command words.
const fn bytes_in_queue(len: usize) -> u32 {
    (len as u32).next_multiple_of(4).saturating_add(8)
}

/// What both ends settle on, by what the other end can do: we can do everything.
const fn full_duplex(partner: u32) -> bool {
    let (hundred_full, hundred_half, ten_full) = (1 << 8, 1 << 7, 1 << 6);
    partner & hundred_full != 0 || partner & hundred_half == 0 && partner & ten_full != 0
}

/// Frames that one call of `receive` drops at most, before it says that there is none.
const FRAMES_PER_CALL: u32 = 16;
/// Statuses of sent frames that one call reads at most.
const STATUSES_PER_CALL: u32 = 16;
/// A register is read this often before the chip counts as stuck: milliseconds, when a read takes
/// 100 ns or so.
const READS_MAX: u32 = 50_000;
const CHECKSUM_BYTES: u32 = 4;

#[cfg(test)]
mod tests;
