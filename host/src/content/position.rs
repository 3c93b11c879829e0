//! Reading and writing at a place of a file, whatever the file's own position is, so that several
//! threads may use one.

use std::fs::File;
use std::io::{self, Read};

/// A part of a file, to be read from its start to its end.
#[derive(Debug)]
pub struct Section<'f> {
    file: &'f File,
    at: u64,
    end: u64,
}

impl<'f> Section<'f> {
    /// From `at` to `end`, in bytes from the file's start.
    pub(super) const fn new(file: &'f File, at: u64, end: u64) -> Self {
        Self { file, at, end }
    }

    /// What comes next.
    pub(super) const fn at(&self) -> u64 {
        self.at
    }

    pub(super) const fn end(&self) -> u64 {
        self.end
    }

    /// Leaves out the next `bytes`.
    pub(super) const fn skip(&mut self, bytes: u64) {
        self.at = self.at.saturating_add(bytes);
    }
}

/// An error if the file ends before the section does.
impl Read for Section<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let take = room.len().min(left);
        read_exact_at(self.file, self.at, room.get_mut(..take).unwrap_or_default())?;
        self.at += take as u64;
        Ok(take)
    }
}

/// Fills `room` from `offset` on, whatever the file's own position is.
#[cfg(unix)]
pub(super) fn read_exact_at(file: &File, offset: u64, room: &mut [u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, room, offset)
}

/// Writes all of `bytes` at `offset`, whatever the file's own position is.
#[cfg(unix)]
pub(super) fn write_all_at(file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

/// Fills `room` from `offset` on.
#[cfg(windows)]
pub(super) fn read_exact_at(file: &File, mut offset: u64, mut room: &mut [u8]) -> io::Result<()> {
    while !room.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, room, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                room = room.get_mut(read..).unwrap_or_default();
                offset += read as u64;
            }
        }
    }
    Ok(())
}

/// Writes all of `bytes` at `offset`.
#[cfg(windows)]
pub(super) fn write_all_at(file: &File, mut offset: u64, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_write(file, bytes, offset)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => {
                bytes = bytes.get(written..).unwrap_or_default();
                offset += written as u64;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_section_has_a_start_and_an_end() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        let read = |at, end| {
            let mut text = String::new();
            Section::new(&file, at, end).read_to_string(&mut text).map(|_| text)
        };
        assert_eq!(read(2, 5).unwrap(), "234");
        assert_eq!(read(5, 5).unwrap(), "");
        assert_eq!(read(u64::MAX, 5).unwrap(), "");
        assert!(read(8, 11).is_err(), "the file ends before");
    }

    #[test]
    fn what_was_written_at_a_place_is_read_there() {
        let file = tempfile::tempfile().unwrap();
        write_all_at(&file, 7, b"there").unwrap();
        let mut room = [0; 4];
        read_exact_at(&file, 8, &mut room).unwrap();
        assert_eq!(&room, b"here");
        assert!(read_exact_at(&file, 9, &mut room).is_err());
    }
}
