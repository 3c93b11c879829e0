//! Holes: parts of a file that were never written take no room and read as zeros. Where the system cannot say
//! where they are, all is taken for data; where it cannot make one, zeros are written.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

/// Where the first data from `from` on is, or may be; `None` if there is none up to the end.
pub(super) fn next_data(file: &File, from: u64) -> io::Result<Option<u64>> {
    #[cfg(target_os = "linux")]
    match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(from)) {
        Ok(at) => return Ok(Some(at)),
        Err(rustix::io::Errno::NXIO) => return Ok(None),
        // This file system does not know.
        Err(_) => {}
    }
    Ok((from < file.metadata()?.len()).then_some(from))
}

/// Makes `length` bytes at `at` read as zeros.
pub(super) fn make_zero(mut file: &File, at: u64, length: u64) -> io::Result<()> {
    if next_data(file, at)?.is_none_or(|data| data >= at + length) {
        return Ok(());
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::FallocateFlags;
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        if rustix::fs::fallocate(file, flags, at, length).is_ok() {
            return Ok(());
        }
    }
    file.seek(SeekFrom::Start(at))?;
    let zeros = [0; 4096];
    let mut left = length;
    while left > 0 {
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(zeros.len());
        file.write_all(zeros.get(..room).unwrap_or_default())?;
        left -= room as u64;
    }
    Ok(())
}
