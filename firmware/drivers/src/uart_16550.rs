//! The 16550 UART with its queues of 16 bytes, as on RISC-V's virt machine.

use crate::count;
use crate::mmio::Registers;
use core::convert::Infallible;
use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};

/// The UART, behind whatever holds its registers ([`Mmio`](crate::mmio::Mmio) on a board).
#[derive(Debug)]
pub struct Uart16550<R> {
    registers: R,
    /// Bytes that the queue takes when the chip says that it is empty: 1 on chips without one.
    queue_bytes: u8,
    /// Bytes that the queue still takes for sure.
    room: u8,
    /// Times that the chip lost bytes because none had been read in time.
    pub overruns: u32,
    /// Bytes that came with a framing error, and breaks: mostly a wrong baud rate.
    pub malformed: u32,
}

impl<R: Registers<u8>> Uart16550<R> {
    /// Starts it with 8 data bits, no parity, at the clock's frequency divided by 16 times
    /// `divisor` bits a second.
    pub fn new(mut registers: R, divisor: u16) -> Self {
        let [low, high] = divisor.max(1).to_le_bytes();
        registers.write(INTERRUPTS, 0);
        registers.write(LINE_CONTROL, DIVISOR_ACCESS);
        registers.write(DIVISOR_LOW, low);
        registers.write(DIVISOR_HIGH, high);
        registers.write(LINE_CONTROL, EIGHT_BITS);
        registers.write(QUEUES, QUEUES_ON_AND_EMPTY);
        let queues_work = registers.read(QUEUES) & QUEUES_WORK == QUEUES_WORK;
        let queue_bytes = if queues_work { 16 } else { 1 };
        Self { registers, queue_bytes, room: 0, overruns: 0, malformed: 0 }
    }

    /// Whether a byte can be read. Each read of the chip's state shows, and clears, what went wrong.
    fn look(&mut self) -> bool {
        let state = self.registers.read(LINE_STATE);
        if state & OVERRUN != 0 {
            count(&mut self.overruns);
        }
        if state & (FRAMING | BREAK) != 0 {
            count(&mut self.malformed);
        }
        if state & SENT != 0 {
            self.room = self.queue_bytes;
        }
        state & RECEIVED != 0
    }

    fn has_room(&mut self) -> bool {
        if self.room == 0 {
            self.look();
        }
        self.room > 0
    }
}

impl<R> ErrorType for Uart16550<R> {
    type Error = Infallible;
}

impl<R: Registers<u8>> ReadReady for Uart16550<R> {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(self.look())
    }
}

impl<R: Registers<u8>> Read for Uart16550<R> {
    /// Waits for a byte; ask [`ReadReady`] first.
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Infallible> {
        let mut len = 0;
        for place in into {
            while !self.look() {
                if len > 0 {
                    return Ok(len);
                }
            }
            *place = self.registers.read(DATA);
            len += 1;
        }
        Ok(len)
    }
}

impl<R: Registers<u8>> WriteReady for Uart16550<R> {
    fn write_ready(&mut self) -> Result<bool, Infallible> {
        Ok(self.has_room())
    }
}

impl<R: Registers<u8>> Write for Uart16550<R> {
    /// Waits for room for a byte; ask [`WriteReady`] first.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let mut len = 0;
        for byte in bytes {
            while !self.has_room() {
                if len > 0 {
                    return Ok(len);
                }
            }
            self.registers.write(DATA, *byte);
            self.room = self.room.saturating_sub(1);
            len += 1;
        }
        Ok(len)
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        while self.registers.read(LINE_STATE) & IDLE == 0 {}
        Ok(())
    }
}

const DATA: u8 = 0;
const INTERRUPTS: u8 = 1;
/// The queues' settings when written, with what works of them when read.
const QUEUES: u8 = 2;
const LINE_CONTROL: u8 = 3;
const LINE_STATE: u8 = 5;
/// In the places of `DATA` and `INTERRUPTS`, while `DIVISOR_ACCESS` is set.
const DIVISOR_LOW: u8 = 0;
const DIVISOR_HIGH: u8 = 1;

const DIVISOR_ACCESS: u8 = 1 << 7;
const EIGHT_BITS: u8 = 0b11;
const QUEUES_ON_AND_EMPTY: u8 = 0b111;
const QUEUES_WORK: u8 = 0b11 << 6;

const RECEIVED: u8 = 1;
const OVERRUN: u8 = 1 << 1;
const FRAMING: u8 = 1 << 3;
const BREAK: u8 = 1 << 4;
/// The queue of bytes to send is empty; and so is the last of them on the line.
const SENT: u8 = 1 << 5;
const IDLE: u8 = 1 << 6;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::vec::Vec;

    #[derive(Default)]
    struct Script {
        divisor_access: bool,
        divisor: [u8; 2],
        without_queues: bool,
        incoming: VecDeque<u8>,
        flags: u8,
        queue: VecDeque<u8>,
        sent: Vec<u8>,
        lost: u32,
    }

    impl Script {
        fn room(&self) -> usize {
            if self.without_queues { 1 } else { 16 }
        }
    }

    impl Registers<u8> for &mut Script {
        fn read(&mut self, offset: u8) -> u8 {
            match offset {
                DATA => self.incoming.pop_front().expect("read when empty"),
                QUEUES => {
                    if self.without_queues {
                        1
                    } else {
                        QUEUES_WORK | 1
                    }
                }
                LINE_STATE => {
                    // The line carries one byte between two looks.
                    self.sent.extend(self.queue.pop_front());
                    let empty = if self.queue.is_empty() { SENT | IDLE } else { 0 };
                    let received = if self.incoming.is_empty() { 0 } else { RECEIVED };
                    empty | received | core::mem::take(&mut self.flags)
                }
                _ => panic!("{offset:#x} is not read"),
            }
        }

        fn write(&mut self, offset: u8, value: u8) {
            match offset {
                DIVISOR_LOW | DIVISOR_HIGH if self.divisor_access => {
                    self.divisor[usize::from(offset)] = value;
                }
                DATA if self.queue.len() == self.room() => self.lost += 1,
                DATA => self.queue.push_back(value),
                LINE_CONTROL => self.divisor_access = value & DIVISOR_ACCESS != 0,
                INTERRUPTS | QUEUES => {}
                _ => panic!("{offset:#x} is not written"),
            }
        }
    }

    #[test]
    fn the_divisor_is_set_and_put_away() {
        let mut script = Script::default();
        Uart16550::new(&mut script, 0x1234);
        assert_eq!((script.divisor, script.divisor_access), ([0x34, 0x12], false));
    }

    #[test]
    fn what_is_written_fits_the_queue() {
        for without_queues in [false, true] {
            let mut script = Script { without_queues, ..Script::default() };
            let mut uart = Uart16550::new(&mut script, 1);
            let bytes: Vec<u8> = (0..200).collect();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                if uart.write_ready().unwrap() {
                    let len = uart.write(rest).unwrap();
                    assert!(len > 0);
                    rest = &rest[len..];
                }
            }
            uart.flush().unwrap();
            assert_eq!((&script.sent, script.lost), (&bytes, 0));
        }
    }

    #[test]
    fn what_the_line_did_wrong_is_counted() {
        let mut script =
            Script { incoming: [7, 8].into(), flags: OVERRUN | BREAK, ..Script::default() };
        let mut uart = Uart16550::new(&mut script, 1);
        assert!(uart.read_ready().unwrap());
        let mut bytes = [0; 4];
        assert_eq!((uart.read(&mut bytes), bytes), (Ok(2), [7, 8, 0, 0]));
        assert_eq!((uart.overruns, uart.malformed), (1, 1));
        assert!(!uart.read_ready().unwrap());
    }
}
