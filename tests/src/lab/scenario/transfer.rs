//! Files from A to B: how fast, how intact, in how much memory.

use super::super::{Lab, LinkSpec, Node};
use super::Stage;
use super::process::Process;
use core::time::Duration;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The two links that most figures speak of: 100 Mbit/s with 10 ms, 50 Mbit/s with 20 ms.
pub(super) const S1: [LinkSpec; 2] = [LinkSpec::new(100, 10, 256), LinkSpec::new(50, 20, 256)];

pub(super) fn two_links(stage: &mut Stage) -> io::Result<()> {
    let lab = Lab::new(&S1)?;
    let file = stage.make_file(100_000_000)?;
    for run in 1..=10 {
        let mut transfer = stage.begin(&lab, &file)?;
        transfer.finish(Duration::from_secs(60))?;
        let mbit_s = transfer.receiver.number("file", "mbit_s")?;
        stage.at_least(&format!("goodput of `send`, run {run}"), mbit_s, 120.0, "Mbit/s");
        stage.intact(&transfer)?;
    }
    Ok(())
}

pub(super) fn hostile(stage: &mut Stage) -> io::Result<()> {
    let links = S1.map(|link| {
        link.with(|shape| {
            shape.loss = 0.05;
            shape.reorder = 0.10;
            shape.duplicate = 0.05;
            shape.corrupt = 0.01;
        })
    });
    let lab = Lab::new(&links)?;
    let file = stage.make_file(50_000_000)?;
    let mut transfer = stage.begin(&lab, &file)?;
    transfer.finish(Duration::from_secs(120))?;
    let mbit_s = transfer.receiver.number("file", "mbit_s")?;
    // A third of the links' sum: no promise, but less would mean that recovery does not work.
    stage.at_least("goodput", mbit_s, 50.0, "Mbit/s");
    let corrupted: u64 = lab.links().map(|link| link.stats(Node::A).corrupted).sum();
    stage.at_least("packets with a flipped bit", corrupted as f64, 100.0, "");
    stage.intact(&transfer)
}

pub(super) fn memory(stage: &mut Stage) -> io::Result<()> {
    let lab = Lab::new(&[LinkSpec::new(250, 5, 512); 2])?;
    let file = stage.make_file(2 << 30)?;
    let mut transfer = stage.begin(&lab, &file)?;
    transfer.finish(Duration::from_secs(300))?;
    stage.at_most("peak memory of the sender", transfer.sender.memory_mib(), 64.0, "MiB");
    stage.at_most("peak memory of the receiver", transfer.receiver.memory_mib(), 64.0, "MiB");
    stage.intact(&transfer)
}

/// A file underway.
pub(super) struct Transfer {
    pub(super) sender: Process,
    pub(super) receiver: Process,
    source: PathBuf,
    copy: PathBuf,
}

impl Transfer {
    /// Waits until both sides end well, at most for `limit`.
    pub(super) fn finish(&mut self, limit: Duration) -> io::Result<()> {
        let deadline = Instant::now() + limit;
        // Both are looked at in turn, for their memory.
        while Instant::now() < deadline
            && !(self.sender.has_ended()? & self.receiver.has_ended()?)
        {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.sender.finish(deadline)?;
        self.receiver.finish(deadline)
    }
}

impl Stage {
    /// Starts to send `file` from A to an empty folder on B.
    pub(super) fn begin(&self, lab: &Lab, file: &Path) -> io::Result<Transfer> {
        let out = self.folder.join("received");
        let _ = std::fs::remove_dir_all(&out);
        std::fs::create_dir_all(&out)?;
        let (receiver, ticket) = self.answer(lab, &["recv", "--out", &out.to_string_lossy()])?;
        let path = file.to_string_lossy();
        let sender = self.start(lab, Node::A, &["send", &ticket, &path, "--json"])?;
        let copy = out.join(file.file_name().unwrap_or_default());
        Ok(Transfer { sender, receiver, source: file.to_owned(), copy })
    }

    /// A file of `bytes` bytes that no compression makes shorter.
    pub(super) fn make_file(&self, bytes: u64) -> io::Result<PathBuf> {
        let path = self.folder.join("source.bin");
        let mut file = File::create(&path)?;
        let (mut state, mut left) = (bytes | 1, bytes);
        let mut buffer = vec![0; 1 << 20];
        while left > 0 {
            for word in buffer.chunks_exact_mut(8) {
                // Xorshift64 (Marsaglia 2003).
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                word.copy_from_slice(&state.to_le_bytes());
            }
            let len = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            file.write_all(&buffer[..len])?;
            left -= len as u64;
        }
        Ok(path)
    }

    /// Notes whether the copy is the source, byte for byte, and that nothing lies beside it.
    pub(super) fn intact(&mut self, transfer: &Transfer) -> io::Result<()> {
        let same = equal(&transfer.source, &transfer.copy)?;
        let folder = transfer.copy.with_file_name("");
        let alone = std::fs::read_dir(folder)?.count() == 1;
        self.holds("the file is intact, and nothing lies beside it", same && alone);
        Ok(())
    }
}

/// Whether both files hold the same.
pub(super) fn equal(one: &Path, other: &Path) -> io::Result<bool> {
    if std::fs::metadata(one)?.len() != std::fs::metadata(other)?.len() {
        return Ok(false);
    }
    let mut one = BufReader::with_capacity(1 << 20, File::open(one)?);
    let mut other = BufReader::with_capacity(1 << 20, File::open(other)?);
    let (mut left, mut right) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let len = one.read(&mut left)?;
        if len == 0 {
            return Ok(true);
        }
        other.read_exact(&mut right[..len])?;
        if left[..len] != right[..len] {
            return Ok(false);
        }
    }
}
