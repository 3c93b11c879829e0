//! The journal beside a file under way: which content it is, the groups of hashes that were proved,
//! and which pieces are nothing but zeros.
//!
//! ```text
//! header    magic 8 | root 32 | length u64 | check 8
//! record    check 8 | kind u8 | level u8 | index u64 | bytes u32 | body        little endian, one after another
//! ```
//!
//! It is only ever appended to, and never made durable: it spares work and proves nothing. A check is a
//! BLAKE3 hash under the root as its key, over the record and where it stands. Reading ends at the first
//! record that is not right or cannot be read (a kill in the middle of a write leaves such a one), and what follows is cut
//! off; a header of another content empties it. What is lost is asked for again, and what was read is proved again by whoever
//! uses it.

use super::runs::Runs;
use crate::content::tree::GROUP_BYTES_MAX;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};

/// What the journal was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// There was none.
    New,
    /// Each of its records is right.
    Whole,
    /// It was right up to some place, and cut there.
    Damaged,
    /// It is of another content, or not to be read at all, and was emptied.
    Stale,
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    file: File,
    root: [u8; 32],
    end: u64,
    /// Where the groups' bodies stand: some 50 bytes of memory for 256 MiB of content.
    groups: BTreeMap<(u8, u64), (u64, u32)>,
    zeros: Runs,
}

impl Journal {
    /// Reads the journal of the content with this root and length, and cuts off what is not right.
    pub(super) fn open(file: File, root: [u8; 32], length: u64) -> io::Result<(Self, Found)> {
        let mut journal =
            Self { file, root, end: 0, groups: BTreeMap::new(), zeros: Runs::default() };
        let header = journal.header(length);
        let bytes = journal.file.metadata()?.len();
        journal.file.rewind()?;
        let mut reader = BufReader::new(&journal.file);
        let mut theirs = [0; HEADER_BYTES];
        let is_ours = fill(&mut reader, &mut theirs) && theirs == header;
        if is_ours {
            journal.end = HEADER_BYTES as u64;
            let (groups, zeros, end) = journal.read_records(&mut reader);
            (journal.groups, journal.zeros, journal.end) = (groups, zeros, end);
        }
        drop(reader);
        let found = match () {
            () if bytes == 0 => Found::New,
            () if !is_ours => Found::Stale,
            () if bytes == journal.end => Found::Whole,
            () => Found::Damaged,
        };
        if !is_ours {
            journal.file.set_len(0)?;
            journal.append(&header)?;
        } else if found == Found::Damaged {
            journal.file.set_len(journal.end)?;
        }
        Ok((journal, found))
    }

    /// A group of hashes, as it was put; `None` too if it is not right any more, or cannot be read.
    pub fn group(&mut self, level: u8, index: u64) -> Option<Vec<u8>> {
        let (at, bytes) = self.groups.get(&(level, index)).copied()?;
        self.file.seek(SeekFrom::Start(at)).ok()?;
        let mut record = vec![0; RECORD_BYTES + bytes as usize];
        if !fill(&mut &self.file, &mut record) {
            return None;
        }
        let (check, rest) = record.split_at(CHECK_BYTES);
        let right = check == self.check(at, rest);
        right.then(|| record.split_off(RECORD_BYTES))
    }

    /// Remembers a group of hashes that was proved, of at most [`GROUP_BYTES_MAX`].
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn put_group(&mut self, level: u8, index: u64, body: &[u8]) -> io::Result<()> {
        if body.len() > GROUP_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a group of too many hashes"));
        }
        let (at, bytes) = (self.end, u32::try_from(body.len()).unwrap_or_default());
        self.put(KIND_GROUP, level, index, body)?;
        self.groups.insert((level, index), (at, bytes));
        Ok(())
    }

    /// Remembers that a piece is nothing but zeros. It is a hole in the file, which nobody would look at.
    pub(super) fn put_zeros(&mut self, piece: u64) -> io::Result<()> {
        if !self.zeros.contains(piece) {
            self.put(KIND_ZEROS, 0, piece, &[])?;
            self.zeros.insert(piece);
        }
        Ok(())
    }

    /// The pieces that are said to be nothing but zeros.
    pub(super) const fn zeros(&self) -> &Runs {
        &self.zeros
    }

    fn put(&mut self, kind: u8, level: u8, index: u64, body: &[u8]) -> io::Result<()> {
        let mut rest = vec![kind, level];
        rest.extend(index.to_le_bytes());
        rest.extend(u32::try_from(body.len()).unwrap_or_default().to_le_bytes());
        rest.extend(body);
        let mut record = self.check(self.end, &rest).to_vec();
        record.extend(rest);
        self.append(&record)
    }

    /// In one write, which a kill can cut short: the next opening cuts off such a rest.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.write_all(bytes)?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    fn read_records(&self, reader: &mut impl Read) -> Records {
        let (mut groups, mut zeros, mut end) = (BTreeMap::new(), Runs::default(), self.end);
        let mut head = [0; RECORD_BYTES];
        let mut record = Vec::with_capacity(RECORD_BYTES + GROUP_BYTES_MAX);
        while fill(reader, &mut head) {
            let (check, rest) = head.split_at(CHECK_BYTES);
            let &[kind, level, i0, i1, i2, i3, i4, i5, i6, i7, b0, b1, b2, b3] = rest else {
                break;
            };
            let index = u64::from_le_bytes([i0, i1, i2, i3, i4, i5, i6, i7]);
            let bytes = u32::from_le_bytes([b0, b1, b2, b3]);
            if bytes as usize > GROUP_BYTES_MAX {
                break;
            }
            record.clear();
            record.extend(rest);
            let body = reader.take(bytes.into()).read_to_end(&mut record).ok();
            if body != Some(bytes as usize) || check != self.check(end, &record) {
                break;
            }
            match kind {
                KIND_GROUP => drop(groups.insert((level, index), (end, bytes))),
                // The last number has no successor, and no file has that many pieces.
                KIND_ZEROS if index < u64::MAX => zeros.insert(index),
                _ => break,
            }
            end += (CHECK_BYTES + record.len()) as u64;
        }
        (groups, zeros, end)
    }

    fn header(&self, length: u64) -> [u8; HEADER_BYTES] {
        let mut header = MAGIC.to_vec();
        header.extend(self.root);
        header.extend(length.to_le_bytes());
        header.extend(self.check(0, &header));
        header.try_into().unwrap_or([0; HEADER_BYTES])
    }

    fn check(&self, at: u64, rest: &[u8]) -> [u8; CHECK_BYTES] {
        let mut hasher = blake3::Hasher::new_keyed(&self.root);
        let mut check = [0; CHECK_BYTES];
        hasher.update(&at.to_le_bytes()).update(rest).finalize_xof().fill(&mut check);
        check
    }
}

type Records = (BTreeMap<(u8, u64), (u64, u32)>, Runs, u64);

/// Whether there was enough to fill it.
fn fill(reader: &mut impl Read, room: &mut [u8]) -> bool {
    reader.read_exact(room).is_ok()
}

const MAGIC: [u8; 8] = *b"RWget\0\0\x01";
const CHECK_BYTES: usize = 8;
const HEADER_BYTES: usize = 8 + 32 + 8 + CHECK_BYTES;
const RECORD_BYTES: usize = CHECK_BYTES + 1 + 1 + 8 + 4;
const KIND_GROUP: u8 = 1;
const KIND_ZEROS: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ROOT: [u8; 32] = [7; 32];

    #[derive(Clone, Debug)]
    enum Put {
        Group(u8, u64, Vec<u8>),
        Zeros(u64),
    }

    fn puts() -> impl Strategy<Value = Vec<Put>> {
        let group = (0_u8..3, 0_u64..9, prop::collection::vec(any::<u8>(), 0..99));
        let put = prop_oneof![
            group.prop_map(|(level, index, body)| Put::Group(level, index, body)),
            (0_u64..99).prop_map(Put::Zeros),
        ];
        prop::collection::vec(put, 0..12)
    }

    fn put_all(journal: &mut Journal, puts: &[Put]) {
        for put in puts {
            match put {
                Put::Group(level, index, body) => journal.put_group(*level, *index, body).unwrap(),
                Put::Zeros(index) => journal.put_zeros(*index).unwrap(),
            }
        }
    }

    /// Whether it holds what the first `count` of `puts` leave behind, and nothing else.
    fn holds(journal: &mut Journal, puts: &[Put]) -> bool {
        let (mut groups, mut zeros) = (BTreeMap::new(), Runs::default());
        for put in puts {
            match put {
                Put::Group(level, index, body) => drop(groups.insert((*level, *index), body)),
                Put::Zeros(index) => zeros.insert(*index),
            }
        }
        journal.zeros == zeros
            && journal.groups.len() == groups.len()
            && groups
                .into_iter()
                .all(|((level, index), body)| journal.group(level, index).as_ref() == Some(body))
    }

    fn open(path: &std::path::Path, root: [u8; 32]) -> (Journal, Found) {
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(false).open(path).unwrap();
        Journal::open(file, root, 1_000).unwrap()
    }

    #[test]
    fn another_content_finds_nothing_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut journal, found) = open(&path, ROOT);
        assert_eq!(found, Found::New);
        journal.put_group(0, 3, &[1, 2, 3]).unwrap();
        assert!(journal.put_group(0, 4, &[0; GROUP_BYTES_MAX + 1]).is_err());
        assert_eq!(open(&path, ROOT).1, Found::Whole);
        let (mut other, found) = open(&path, [8; 32]);
        assert_eq!((found, other.group(0, 3)), (Found::Stale, None));
        // Records that stand behind a new header are no more its own.
        assert_eq!(open(&path, ROOT).1, Found::Stale);
    }

    proptest! {
        #[test]
        fn what_is_cut_or_damaged_at_any_byte_is_right_up_to_there(
            before in puts(), after in puts(), place: prop::sample::Index, flip in 0_u8..=255,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("journal");
            put_all(&mut open(&path, ROOT).0, &before);
            let mut bytes = std::fs::read(&path).unwrap();
            let place = place.index(bytes.len());
            // Cut there, or one byte of it changed.
            if flip == 0 { bytes.truncate(place) } else { bytes[place] ^= flip }
            std::fs::write(&path, &bytes).unwrap();

            let (mut journal, found) = open(&path, ROOT);
            let right = (0..=before.len()).rev().find(|count| holds(&mut journal, &before[..*count]));
            let Some(right) = right else { panic!("it holds what was never put") };
            if flip > 0 {
                let expected = if place < HEADER_BYTES { Found::Stale } else { Found::Damaged };
                prop_assert_eq!(found, expected);
            }
            put_all(&mut journal, &after);
            let (mut journal, found) = open(&path, ROOT);
            prop_assert_eq!(found, Found::Whole);
            prop_assert!(holds(&mut journal, &[&before[..right], &after].concat()));
        }
    }
}
