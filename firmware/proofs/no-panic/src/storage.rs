//! Rank 0: fixed memory, with a pool whose bookkeeping lies in the lent bytes and may say anything.

use crate::opaque::{Bytes, any, see};
use ropewalk_core::storage::{blocks::Pool, chain::Chain, ranges::Ranges};

#[inline(never)]
pub(crate) fn all() {
    let mut memory = Bytes::<512>::new();
    let mut data = Bytes::<64>::new();
    let mut pool = any(Pool::new(any(76)));
    see((pool.stride(), pool.data_bytes()));
    see((pool.blocks(memory.any()), pool.available(memory.any())));
    let mut chain = any(Chain::new());
    let may_take = |_: &Pool, _: &[u8], _: u64| any(true);
    see(chain.write(any(0), data.any(), &mut pool, memory.any(), may_take));
    any(&mut chain).mark(any(0), any(0), &pool, memory.any());
    see(any(&mut chain).read(any(0), data.any(), &pool, memory.any()));
    see(any(&mut chain).slice(any(0), &pool, memory.any()));
    see(any(&mut chain).next(any(0), any(0), any(true), &pool, memory.any()));
    any(&mut chain).release(any(0), any(&mut pool), memory.any());
    any(&mut chain).clear(any(&mut pool), memory.any());
    see(chain.blocks());

    let mut ranges = any(Ranges::<8>::new());
    ranges.insert_merging(any(0)..any(0));
    see(any(&mut ranges).insert_dropping_lowest(any(0)..any(0)));
    see(any(&mut ranges).remove(any(0)..any(0)));
    any(&mut ranges).remove_below(any(0));
    let seen = any(&mut ranges);
    see((seen.total(), seen.len(), seen.is_empty(), seen.first(), seen.last()));
    see(seen.contains(any(0)));
    seen.iter().for_each(see);
    any(&mut ranges).clear();
}
