//! A pool of equal blocks in lent memory.
//!
//! ```text
//!  block   [ next 4 | one bit for each data byte | data ... ]
//!  free    threaded through `next`; blocks beyond `known` were never used
//! ```
//!
//! Everything that grows with the memory lies in the memory, so the pool itself is five numbers,
//! works over an array as well as over a vector, and takes in a longer slice without being told.
//! The bits are the owner's: received, or acknowledged.

/// Which blocks are free. The memory is lent with each call.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    stride: usize,
    data: usize,
    free: u32,
    free_count: u32,
    known: u32,
}

/// No block.
pub(super) const NONE: u32 = u32::MAX;
const LINK_BYTES: usize = 4;
/// Data is a multiple of this, so that the bits of a block are whole words.
const DATA_STEP: usize = 64;

impl Pool {
    /// A pool of blocks of `stride` bytes, their heads included.
    #[must_use]
    pub const fn new(stride: usize) -> Self {
        // Eight data bytes need one byte of bits.
        let data = stride.saturating_sub(LINK_BYTES) / 9 * 8 / DATA_STEP * DATA_STEP;
        Self { stride, data, free: NONE, free_count: 0, known: 0 }
    }

    /// Bytes of a block, its head included.
    #[must_use]
    pub const fn stride(&self) -> usize {
        self.stride
    }

    /// Data bytes in a block.
    #[must_use]
    pub const fn data_bytes(&self) -> usize {
        self.data
    }

    /// Blocks in the memory, free or not.
    #[must_use]
    pub const fn blocks(&self, memory: &[u8]) -> usize {
        if self.data == 0 {
            return 0;
        }
        match memory.len().checked_div(self.stride) {
            Some(blocks) => blocks,
            None => 0,
        }
    }

    /// Free blocks.
    #[must_use]
    pub const fn available(&self, memory: &[u8]) -> usize {
        let unknown = self.blocks(memory).saturating_sub(self.known as usize);
        unknown.saturating_add(self.free_count as usize)
    }

    /// Whether no block is in use.
    #[must_use]
    pub const fn is_unused(&self) -> bool {
        self.free_count == self.known
    }

    /// With no block in use: forgets where blocks were, so that other memory may take their place.
    /// Returns whether there were any.
    pub fn forget(&mut self) -> bool {
        let any = self.is_unused() && self.known > 0;
        if any {
            *self = Self::new(self.stride);
        }
        any
    }

    /// Takes a block; its bits are clear.
    pub(super) fn take(&mut self, memory: &mut [u8]) -> Option<u32> {
        let index = if self.free == NONE {
            if self.known as usize >= self.blocks(memory) {
                return None;
            }
            self.known = self.known.saturating_add(1);
            self.known.saturating_sub(1)
        } else {
            let index = self.free;
            self.free = self.next(index, memory);
            self.free_count = self.free_count.saturating_sub(1);
            index
        };
        self.set_next(index, NONE, memory);
        self.bits_mut(index, memory)?.fill(0);
        Some(index)
    }

    pub(super) fn put(&mut self, index: u32, memory: &mut [u8]) {
        self.set_next(index, self.free, memory);
        self.free = index;
        self.free_count = self.free_count.saturating_add(1);
    }

    pub(super) fn next(&self, index: u32, memory: &[u8]) -> u32 {
        let link = self.block(index, memory).and_then(|block| block.first_chunk());
        link.map_or(NONE, |link| u32::from_le_bytes(*link))
    }

    pub(super) fn set_next(&self, index: u32, next: u32, memory: &mut [u8]) {
        if let Some(link) = self.block_mut(index, memory).and_then(|b| b.first_chunk_mut()) {
            *link = next.to_le_bytes();
        }
    }

    pub(super) fn bits<'m>(&self, index: u32, memory: &'m [u8]) -> Option<&'m [u8]> {
        self.block(index, memory)?.get(LINK_BYTES..)?.get(..self.data / 8)
    }

    pub(super) fn bits_mut<'m>(&self, index: u32, memory: &'m mut [u8]) -> Option<&'m mut [u8]> {
        self.block_mut(index, memory)?.get_mut(LINK_BYTES..)?.get_mut(..self.data / 8)
    }

    pub(super) fn data<'m>(&self, index: u32, memory: &'m [u8]) -> Option<&'m [u8]> {
        self.block(index, memory)?.get(LINK_BYTES + self.data / 8..)?.get(..self.data)
    }

    pub(super) fn data_mut<'m>(&self, index: u32, memory: &'m mut [u8]) -> Option<&'m mut [u8]> {
        self.block_mut(index, memory)?.get_mut(LINK_BYTES + self.data / 8..)?.get_mut(..self.data)
    }

    fn block<'m>(&self, index: u32, memory: &'m [u8]) -> Option<&'m [u8]> {
        memory.get((index as usize).checked_mul(self.stride)?..)?.get(..self.stride)
    }

    fn block_mut<'m>(&self, index: u32, memory: &'m mut [u8]) -> Option<&'m mut [u8]> {
        memory.get_mut((index as usize).checked_mul(self.stride)?..)?.get_mut(..self.stride)
    }
}
