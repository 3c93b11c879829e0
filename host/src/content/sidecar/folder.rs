//! Looking into the sidecar of a folder: any file by the place of its record, and the manifest as content.

use super::{Sidecar, SidecarError, TreeAt, tree_bytes};
use crate::content::manifest::{FileEntry, Records};
use crate::content::piece::{Node, hash_piece};
use crate::content::tree::{FAN_OUT, GroupId, Shape, join};
use std::io::{BufReader, Read};

/// A record of the manifest, and where the first tree is of those that follow from it on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    place: u64,
    tree: TreeAt,
}

/// So many records are between two marks: each look-up reads as many at most.
const MARK_EVERY: usize = 256;

impl Sidecar {
    /// The file of the folder whose record stands at `place` of the manifest, and where its tree is. Whoever asks for it
    /// names its `root` as well. `None` if there is no such file.
    ///
    /// # Errors
    /// When the sidecar cannot be read.
    pub fn file_at(
        &self,
        place: u64,
        root: blake3::Hash,
    ) -> Result<Option<(FileEntry, TreeAt)>, SidecarError> {
        let after = self.marks.partition_point(|mark| mark.place <= place);
        let Some(mark) = after.checked_sub(1).and_then(|at| self.marks.get(at)) else {
            return Ok(None);
        };
        let mut section = self.manifest_section()?;
        section.skip(mark.place);
        let TreeAt(mut tree) = mark.tree;
        for record in Records::new(BufReader::new(section), mark.place) {
            match record? {
                (at, _) if at > place => break,
                (at, Some(entry)) if at == place => {
                    return Ok((entry.root == root).then_some((entry, TreeAt(tree))));
                }
                (_, Some(entry)) => tree = tree.saturating_add(tree_bytes(&entry)),
                (_, None) => {}
            }
        }
        Ok(None)
    }

    /// Fills `room` with what stands at `offset` of the folder's manifest, in bytes.
    ///
    /// # Errors
    /// When it is about no folder, or its manifest is not so long.
    pub fn read_manifest(&self, offset: u64, room: &mut [u8]) -> Result<(), SidecarError> {
        let mut section = self.manifest_section()?;
        section.skip(offset);
        Ok(section.read_exact(room)?)
    }

    /// The way to the tree of any of its files.
    pub(super) fn mark(&self) -> Result<Vec<Mark>, SidecarError> {
        let mut marks = Vec::new();
        let mut steps = self.steps()?;
        for nth in 0.. {
            let Some(step) = steps.next_placed() else { break };
            let (place, _, tree) = step?;
            if nth % MARK_EVERY == 0 {
                marks.push(Mark { place, tree });
            }
        }
        Ok(marks)
    }

    /// The hashes of a group of the manifest's own tree, which is not in the sidecar: the manifest is. `None` if there is no such group.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn manifest_group(&self, id: GroupId) -> Result<Option<Vec<u8>>, SidecarError> {
        let Some(count) = Shape::new(self.item.pieces()).children(id) else { return Ok(None) };
        let first = id.index.saturating_mul(FAN_OUT);
        let mut hashes = Vec::with_capacity(count);
        for child in (first..).take(count) {
            hashes.push(self.manifest_node(id.level, child)?);
        }
        Ok(Some(hashes.as_flattened().to_vec()))
    }

    /// What is below group or piece number `index` of this level, joined.
    fn manifest_node(&self, level: u8, index: u64) -> Result<[u8; 32], SidecarError> {
        let pieces = self.item.pieces();
        let node = match level.checked_sub(1) {
            None => {
                let range = pieces.range(index).ok_or(SidecarError::Damaged)?;
                let mut room = vec![0; (range.end - range.start) as usize];
                self.read_manifest(range.start, &mut room)?;
                hash_piece(pieces, index, &room)
            }
            Some(below) => {
                let group = self.manifest_group(GroupId { level: below, index })?;
                join(group.unwrap_or_default().as_chunks().0, false)
            }
        };
        match node {
            Some(Node::Inner(hash)) => Ok(hash),
            _ => Err(SidecarError::Damaged),
        }
    }
}
