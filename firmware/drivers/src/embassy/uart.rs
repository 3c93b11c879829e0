//! UARTs of embassy's boards, whose interrupts fill and empty a queue, for a loop that polls.
//!
//! They say whether there is something to read, but not whether there is room to write. So a
//! byte at a time waits here, until a write that is tried once takes it.

use super::nobody;
use core::pin::pin;
use core::task::Poll;
use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};

/// A UART with queues, for a [`SerialLine`](crate::serial::SerialLine).
#[derive(Debug)]
pub struct PolledUart<U> {
    uart: U,
    waiting: Option<u8>,
}

impl<U: embedded_io_async::Write> PolledUart<U> {
    /// Takes over a UART whose writes, once dropped before they are done, have written nothing, as
    /// those of embassy's buffered UARTs do.
    pub const fn new(uart: U) -> Self {
        Self { uart, waiting: None }
    }

    /// Writes as much as there is room for.
    fn try_write(&mut self, bytes: &[u8]) -> Result<usize, U::Error> {
        match pin!(self.uart.write(bytes)).poll(&mut nobody()) {
            Poll::Ready(result) => result,
            Poll::Pending => Ok(0),
        }
    }

    /// Whether no byte waits here any more.
    fn settle(&mut self) -> Result<bool, U::Error> {
        if let Some(byte) = self.waiting
            && self.try_write(&[byte])? > 0
        {
            self.waiting = None;
        }
        Ok(self.waiting.is_none())
    }
}

impl<U: ErrorType> ErrorType for PolledUart<U> {
    type Error = U::Error;
}

impl<U: ReadReady> ReadReady for PolledUart<U> {
    fn read_ready(&mut self) -> Result<bool, U::Error> {
        self.uart.read_ready()
    }
}

impl<U: Read> Read for PolledUart<U> {
    /// Waits for a byte; ask [`ReadReady`] first.
    fn read(&mut self, into: &mut [u8]) -> Result<usize, U::Error> {
        self.uart.read(into)
    }
}

impl<U: embedded_io_async::Write> WriteReady for PolledUart<U> {
    fn write_ready(&mut self) -> Result<bool, U::Error> {
        self.settle()
    }
}

impl<U: embedded_io_async::Write> Write for PolledUart<U> {
    /// Waits for room for a byte; ask [`WriteReady`] first.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, U::Error> {
        let Some(first) = bytes.first() else { return Ok(0) };
        while !self.settle()? {}
        match self.try_write(bytes)? {
            0 => {
                self.waiting = Some(*first);
                Ok(1)
            }
            len => Ok(len),
        }
    }

    fn flush(&mut self) -> Result<(), U::Error> {
        while !self.settle()? {}
        let mut flush = pin!(self.uart.flush());
        loop {
            if let Poll::Ready(result) = flush.as_mut().poll(&mut nobody()) {
                return result;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::convert::Infallible;
    use core::future::poll_fn;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// Has room for so many bytes, and gets more when it is found full so many times.
    #[derive(Default)]
    struct Script {
        room: usize,
        found_full: u32,
        sent: Vec<u8>,
    }

    impl ErrorType for Script {
        type Error = Infallible;
    }

    impl embedded_io_async::Write for Script {
        async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
            poll_fn(|_| {
                let len = bytes.len().min(self.room);
                if len == 0 {
                    self.found_full += 1;
                    self.room = if self.found_full.is_multiple_of(3) { 7 } else { 0 };
                    return Poll::Pending;
                }
                self.room -= len;
                self.sent.extend(&bytes[..len]);
                Poll::Ready(Ok(len))
            })
            .await
        }

        async fn flush(&mut self) -> Result<(), Infallible> {
            Ok(())
        }
    }

    #[test]
    fn it_is_not_ready_while_a_byte_waits() {
        let mut uart = PolledUart::new(Script::default());
        assert_eq!(uart.write_ready(), Ok(true));
        assert_eq!(uart.write(&[1, 2]), Ok(1), "one byte always finds room");
        assert_eq!(uart.write_ready(), Ok(false));
        uart.uart.room = 1;
        assert_eq!(uart.write_ready(), Ok(true));
        assert_eq!(uart.uart.sent, [1]);
    }

    proptest! {
        #[test]
        fn no_byte_is_lost_or_doubled(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..20)) {
            let mut uart = PolledUart::new(Script::default());
            for piece in &pieces {
                let mut rest = &piece[..];
                while !rest.is_empty() {
                    if uart.write_ready().unwrap() {
                        let len = uart.write(rest).unwrap();
                        prop_assert!(len > 0);
                        rest = &rest[len..];
                    }
                }
            }
            uart.flush().unwrap();
            prop_assert_eq!(uart.uart.sent, pieces.concat());
        }
    }
}
