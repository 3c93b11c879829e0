//! Cursors over borrowed bytes: one that reads, one that writes. Both are total.

use super::varint;
use crate::storage::copy;
use core::fmt;

/// The bytes break the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Malformed;

/// The value does not fit into what is left of the buffer; nothing of it was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Full;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes break the format")
    }
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the buffer is full")
    }
}

impl core::error::Error for Malformed {}
impl core::error::Error for Full {}

/// Reads values off the front of a slice.
#[derive(Clone, Debug)]
pub struct Reader<'d> {
    rest: &'d [u8],
}

impl<'d> Reader<'d> {
    /// A cursor at the beginning of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'d [u8]) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes are left.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Whether none are left.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The rest, untouched.
    #[must_use]
    pub const fn as_slice(&self) -> &'d [u8] {
        self.rest
    }

    /// One byte.
    ///
    /// # Errors
    /// [`Malformed`] at the end.
    pub const fn u8(&mut self) -> Result<u8, Malformed> {
        match self.rest.split_first() {
            Some((first, rest)) => {
                self.rest = rest;
                Ok(*first)
            }
            None => Err(Malformed),
        }
    }

    /// A byte that is 0 or 1.
    ///
    /// # Errors
    /// [`Malformed`] for any other.
    pub const fn bool(&mut self) -> Result<bool, Malformed> {
        match self.u8() {
            Ok(0) => Ok(false),
            Ok(1) => Ok(true),
            _ => Err(Malformed),
        }
    }

    /// A varint of at most 64 bits.
    ///
    /// # Errors
    /// [`Malformed`] when cut short, too large, or longer than need be.
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        let (value, rest) = varint::decode(self.rest).ok_or(Malformed)?;
        self.rest = rest;
        Ok(value)
    }

    /// A varint of at most 32 bits.
    ///
    /// # Errors
    /// As [`Reader::u64`].
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.u64()?).map_err(|_| Malformed)
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// [`Malformed`] when fewer are left.
    pub fn bytes(&mut self, len: usize) -> Result<&'d [u8], Malformed> {
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(Malformed)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// [`Malformed`] when fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*bytes)
    }

    /// Bytes with their length before them.
    ///
    /// # Errors
    /// As [`Reader::u64`] and [`Reader::bytes`].
    pub fn sized(&mut self) -> Result<&'d [u8], Malformed> {
        let len = usize::try_from(self.u64()?).map_err(|_| Malformed)?;
        self.bytes(len)
    }

    /// Everything that is left.
    pub const fn take_rest(&mut self) -> &'d [u8] {
        let rest = self.rest;
        self.rest = &[];
        rest
    }
}

/// Writes values to the front of a buffer.
#[derive(Debug)]
pub struct Writer<'b> {
    buffer: &'b mut [u8],
    len: usize,
}

impl<'b> Writer<'b> {
    /// A cursor at the beginning of `buffer`.
    #[must_use]
    pub const fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, len: 0 }
    }

    /// Bytes written.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was written.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that still fit.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.buffer.len().saturating_sub(self.len)
    }

    /// What was written.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }

    /// Takes back everything after the first `len` bytes.
    pub fn rollback(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Runs `write`; if it fails, nothing of it stays.
    ///
    /// # Errors
    /// What `write` returned.
    pub fn whole(&mut self, write: impl FnOnce(&mut Self) -> Result<(), Full>) -> Result<(), Full> {
        let before = self.len;
        let result = write(self);
        if result.is_err() {
            self.len = before;
        }
        result
    }

    /// Runs `write`, which may add at most `bytes`.
    pub fn within<T>(&mut self, bytes: usize, write: impl FnOnce(&mut Writer<'_>) -> T) -> T {
        let end = self.len.saturating_add(bytes).min(self.buffer.len());
        let mut inner = Writer::new(self.buffer.get_mut(self.len..end).unwrap_or_default());
        let result = write(&mut inner);
        let written = inner.len;
        self.len = self.len.saturating_add(written);
        result
    }

    /// One byte.
    ///
    /// # Errors
    /// [`Full`].
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub fn put_u8(&mut self, value: u8) -> Result<(), Full> {
        let place = self.buffer.get_mut(self.len).ok_or(Full)?;
        *place = value;
        self.len = self.len.saturating_add(1);
        Ok(())
    }

    /// A varint.
    ///
    /// # Errors
    /// [`Full`].
    pub fn put_u64(&mut self, value: u64) -> Result<(), Full> {
        let room = self.buffer.get_mut(self.len..).ok_or(Full)?;
        let bytes = varint::encode(value, room).ok_or(Full)?;
        self.len = self.len.saturating_add(bytes);
        Ok(())
    }

    /// A varint.
    ///
    /// # Errors
    /// [`Full`].
    pub fn put_u32(&mut self, value: u32) -> Result<(), Full> {
        self.put_u64(value.into())
    }

    /// Bytes as they are.
    ///
    /// # Errors
    /// [`Full`].
    pub fn put_bytes(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let room = self.reserve(bytes.len())?;
        copy(bytes, room);
        Ok(())
    }

    /// Bytes with their length before them.
    ///
    /// # Errors
    /// [`Full`].
    pub fn put_sized(&mut self, bytes: &[u8]) -> Result<(), Full> {
        self.whole(|writer| {
            writer.put_u64(bytes.len() as u64)?;
            writer.put_bytes(bytes)
        })
    }

    /// Changes a byte that was written before.
    pub(super) fn patch_u8(&mut self, at: usize, value: u8) -> Result<(), Full> {
        *self.buffer.get_mut(..self.len).and_then(|bytes| bytes.get_mut(at)).ok_or(Full)? = value;
        Ok(())
    }

    /// The next `len` bytes of the buffer, for the caller to fill.
    ///
    /// # Errors
    /// [`Full`].
    pub fn reserve(&mut self, len: usize) -> Result<&mut [u8], Full> {
        let room = self.buffer.get_mut(self.len..).ok_or(Full)?.get_mut(..len).ok_or(Full)?;
        self.len = self.len.saturating_add(len);
        Ok(room)
    }
}
