//! A stream behind the traits of `embedded-io`, for code that only knows readers and writers.
//!
//! The connection never waits. What would have to wait fails with the kind `TimedOut`, and nothing
//! was read or written: try again after [`super::Event::StreamReadable`] or
//! [`super::Event::StreamWritable`]. The end of a stream reads as 0 bytes, as everywhere.

use super::{Storage, Stream};
use crate::crypto::Crypto;
use crate::error::{ReadError, WriteError};
use core::fmt;
use embedded_io::{Error, ErrorKind, ErrorType, Read, Write};

/// Why a stream was not read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum StreamError {
    /// Nothing was read.
    Read(ReadError),
    /// Nothing was written.
    Write(WriteError),
}

impl<S: Storage, C: Crypto> ErrorType for Stream<'_, S, C> {
    type Error = StreamError;
}

impl<S: Storage, C: Crypto> Read for Stream<'_, S, C> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, StreamError> {
        if into.is_empty() {
            return Ok(0);
        }
        match Stream::read(self, into) {
            Err(ReadError::Finished) => Ok(0),
            result => result.map_err(StreamError::Read),
        }
    }
}

impl<S: Storage, C: Crypto> Write for Stream<'_, S, C> {
    fn write(&mut self, data: &[u8]) -> Result<usize, StreamError> {
        Stream::write(self, data).map_err(StreamError::Write)
    }

    /// What was written goes out when the connection is polled; there is nothing to push.
    fn flush(&mut self) -> Result<(), StreamError> {
        Ok(())
    }
}

impl Error for StreamError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Read(ReadError::Blocked) | Self::Write(WriteError::Blocked) => {
                ErrorKind::TimedOut
            }
            Self::Read(ReadError::Reset) => ErrorKind::ConnectionReset,
            Self::Write(WriteError::Finished | WriteError::Stopped) => ErrorKind::BrokenPipe,
            Self::Read(ReadError::Unknown) | Self::Write(WriteError::Unknown) => {
                ErrorKind::NotFound
            }
            Self::Read(ReadError::Finished) => ErrorKind::Other,
        }
    }
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::Write(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for StreamError {}
