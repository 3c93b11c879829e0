//! ARM's CMSDK APB UART, as on the MPS2 boards: one byte of room each way.
//!
//! It holds a single byte that came, so a loop must come by more often than bytes do, or the chip
//! loses them; it says so, and that is counted.

use crate::count;
use crate::mmio::Registers;
use core::convert::Infallible;
use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};

/// The UART, behind whatever holds its registers ([`Mmio`](crate::mmio::Mmio) on a board).
#[derive(Debug)]
pub struct CmsdkUart<R> {
    registers: R,
    /// Times that bytes came while the one before had not been read.
    pub overruns: u32,
}

impl<R: Registers<u32>> CmsdkUart<R> {
    /// Starts it with 8 data bits, no parity, at the clock's frequency divided by `divisor` (16 at
    /// least) bits a second.
    pub fn new(mut registers: R, divisor: u32) -> Self {
        registers.write(CTRL, 0);
        registers.write(BAUDDIV, divisor.clamp(16, 0xf_ffff));
        registers.write(STATE, TX_OVERRUN | RX_OVERRUN);
        registers.write(CTRL, TX_ENABLE | RX_ENABLE);
        // A byte of the time before is nobody's. QEMU, too, begins to hand out what waits only
        // once this register was read.
        let _ = registers.read(DATA);
        Self { registers, overruns: 0 }
    }

    fn has(&mut self, flag: u32) -> bool {
        let state = self.registers.read(STATE);
        if state & RX_OVERRUN != 0 {
            self.registers.write(STATE, RX_OVERRUN);
            count(&mut self.overruns);
        }
        state & flag != 0
    }
}

impl<R> ErrorType for CmsdkUart<R> {
    type Error = Infallible;
}

impl<R: Registers<u32>> ReadReady for CmsdkUart<R> {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(self.has(RX_FULL))
    }
}

impl<R: Registers<u32>> Read for CmsdkUart<R> {
    /// Waits for a byte; ask [`ReadReady`] first.
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Infallible> {
        let mut len = 0;
        for place in into {
            while !self.has(RX_FULL) {
                if len > 0 {
                    return Ok(len);
                }
            }
            let [byte, ..] = self.registers.read(DATA).to_le_bytes();
            *place = byte;
            len += 1;
        }
        Ok(len)
    }
}

impl<R: Registers<u32>> WriteReady for CmsdkUart<R> {
    fn write_ready(&mut self) -> Result<bool, Infallible> {
        Ok(!self.has(TX_FULL))
    }
}

impl<R: Registers<u32>> Write for CmsdkUart<R> {
    /// Waits for room for a byte; ask [`WriteReady`] first.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let mut len = 0;
        for byte in bytes {
            while self.has(TX_FULL) {
                if len > 0 {
                    return Ok(len);
                }
            }
            self.registers.write(DATA, u32::from(*byte));
            len += 1;
        }
        Ok(len)
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        while self.has(TX_FULL) {}
        Ok(())
    }
}

const DATA: u8 = 0x00;
const STATE: u8 = 0x04;
const CTRL: u8 = 0x08;
const BAUDDIV: u8 = 0x10;

const TX_FULL: u32 = 1;
const RX_FULL: u32 = 1 << 1;
const TX_OVERRUN: u32 = 1 << 2;
const RX_OVERRUN: u32 = 1 << 3;
const TX_ENABLE: u32 = 1;
const RX_ENABLE: u32 = 1 << 1;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::vec::Vec;

    /// A UART whose other end sends a byte of `incoming` at every so many looks at its state.
    #[derive(Default)]
    struct Script {
        incoming: VecDeque<u8>,
        pace: u32,
        looks: u32,
        received: Option<u8>,
        overrun: bool,
        /// Looks at the state until a byte that was written is out.
        slowness: u32,
        sending: u32,
        sent: Vec<u8>,
        lost: u32,
    }

    impl Registers<u32> for &mut Script {
        fn read(&mut self, offset: u8) -> u32 {
            match offset {
                // Once before the first look, to throw away what came before the start.
                DATA if self.looks == 0 => self.received.take().map_or(0, u32::from),
                DATA => u32::from(self.received.take().expect("read when empty")),
                STATE => {
                    let state = if self.sending > 0 { TX_FULL } else { 0 }
                        | if self.received.is_some() { RX_FULL } else { 0 }
                        | if self.overrun { RX_OVERRUN } else { 0 };
                    self.sending = self.sending.saturating_sub(1);
                    self.looks += 1;
                    let due = self.pace > 0 && self.looks.is_multiple_of(self.pace);
                    if let Some(byte) = due.then(|| self.incoming.pop_front()).flatten() {
                        self.overrun |= self.received.replace(byte).is_some();
                    }
                    state
                }
                _ => panic!("{offset:#x} is not read"),
            }
        }

        fn write(&mut self, offset: u8, value: u32) {
            match offset {
                DATA => {
                    self.lost += u32::from(self.sending > 0);
                    self.sending = self.slowness;
                    self.sent.push(value as u8);
                }
                STATE => self.overrun &= value & RX_OVERRUN == 0,
                BAUDDIV => assert!(value >= 16),
                CTRL => {}
                _ => panic!("{offset:#x} is not written"),
            }
        }
    }

    #[test]
    fn bytes_come_as_they_were_sent() {
        let mut script = Script { incoming: (1..=9).collect(), pace: 4, ..Script::default() };
        let mut uart = CmsdkUart::new(&mut script, 0);
        let mut bytes = [0; 16];
        let mut len = 0;
        for _ in 0..80 {
            if uart.read_ready().unwrap() {
                len += uart.read(&mut bytes[len..]).unwrap();
            }
        }
        assert_eq!((&bytes[..len], uart.overruns), (&[1, 2, 3, 4, 5, 6, 7, 8, 9][..], 0));
    }

    #[test]
    fn an_overrun_is_counted_once() {
        let mut script = Script { incoming: [1, 2].into(), pace: 1, ..Script::default() };
        let mut uart = CmsdkUart::new(&mut script, 100);
        for _ in 0..4 {
            uart.write_ready().unwrap();
        }
        assert_eq!(uart.overruns, 1);
        let mut byte = [0];
        assert_eq!((uart.read(&mut byte), byte), (Ok(1), [2]));
        assert_eq!(uart.read_ready(), Ok(false));
    }

    #[test]
    fn nothing_is_written_on_a_full_register() {
        let mut script = Script { slowness: 5, ..Script::default() };
        let mut uart = CmsdkUart::new(&mut script, 100);
        let bytes = [1, 2, 3, 4];
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let len = uart.write(rest).unwrap();
            assert!(len > 0);
            rest = &rest[len..];
        }
        uart.flush().unwrap();
        assert!(uart.write_ready().unwrap());
        assert_eq!((&script.sent, script.lost), (&bytes.to_vec(), 0));
    }
}
