//! Rank 2: error correction over memory and symbols that may be anything.

use crate::opaque::{Bytes, any, see};
use ropewalk_core::path::elsewhere;
use ropewalk_core::repair::{Decoder, Demand, Encoder, Mixture, Typical};

#[inline(never)]
pub(crate) fn all() {
    let (mut memory, mut bytes) = (Bytes::<64>::new(), Bytes::<64>::new());
    let mut encoder = any(Encoder::new());
    see(any(&mut encoder).push(bytes.any(), memory.any()));
    let mixture = Mixture { first: any(0), count: any(0), key: any(0), len: any(0) };
    see(any(&encoder).mixture(memory.any()));
    any(&mut encoder).mix(&mixture, bytes.any(), memory.any());
    see((any(&encoder).held(), any(&encoder).next()));
    any(&mut encoder).on_settled(any(0));
    any(&mut encoder).on_acked(any(0), any(0));
    any(&mut encoder).on_lost(any(0), any(0));
    see(any(&encoder).lost());
    see(any(&encoder).contents(any(0), memory.any()));

    let mut decoder = any(Decoder::new());
    see(any(&mut decoder).on_source(any(0), bytes.any(), memory.any()));
    any(&mut decoder).on_repair(&mixture, bytes.any(), memory.any());
    see(any(&mut decoder).recovered(memory.any()));

    let mut demand = any(Demand::new());
    demand.on_lost(any(0));
    demand.on_sent(any(0));
    see(any(&demand).due());
    demand.on_repair(any(0));
    see(demand.loss());
    let mut typical = any(Typical::new());
    typical.on_sent(any(0));
    see(typical.longest());
    see(elsewhere(any(&[]), any(None), crate::opaque::now()));
}
