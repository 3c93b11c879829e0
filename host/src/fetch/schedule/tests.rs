//! The schedule against servers that do what servers do: the numbers, and any bad luck.

mod any_order;
mod gives;
mod numbers;
mod world;

use proptest::prelude::*;
use world::{Fault, Millis, Plan, Server, World};

/// A kind of bad luck, with its end.
#[derive(Clone, Debug)]
struct Mishap {
    server: usize,
    at_ms: u64,
    for_ms: u64,
    kind: u8,
}

impl Mishap {
    fn faults(&self) -> [(u64, usize, Fault); 2] {
        let (begin, end) = match self.kind {
            0 => (Fault::Kill { noticed: true }, Fault::Back),
            1 => (Fault::Kill { noticed: false }, Fault::Back),
            _ => (Fault::Freeze, Fault::Thaw),
        };
        [(self.at_ms, self.server, begin), (self.at_ms + self.for_ms, self.server, end)]
    }
}

fn servers() -> impl Strategy<Value = Vec<Server>> {
    let server = (100_u64..30_000, 0_u64..150, 0..4_u8);
    prop::collection::vec(server, 1..5).prop_map(|servers| {
        let server = |(number, (rate, one_way_ms, lie)): (usize, (u64, u64, u8))| {
            // The first one is honest, and slow enough for something to happen.
            let lies_about = (number > 0 && lie == 0).then_some(3);
            let mut server = Server::new(rate * 1_000, one_way_ms);
            server.lies_about = lies_about;
            server
        };
        servers.into_iter().enumerate().map(server).collect()
    })
}

fn mishaps() -> impl Strategy<Value = Vec<Mishap>> {
    let mishap = (0_usize..5, 0_u64..10_000, 1_u64..5_000, 0..3_u8)
        .prop_map(|(server, at_ms, for_ms, kind)| Mishap { server, at_ms, for_ms, kind });
    prop::collection::vec(mishap, 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_all_of_it_comes_and_little_of_it_twice(
        servers in servers(),
        mishaps in mishaps(),
        mebibytes in 1_u64..40,
        small in prop::collection::vec(1_u32..8_192, 0..200),
    ) {
        let count = servers.len();
        let mishaps: Vec<_> = mishaps.into_iter().filter(|mishap| mishap.server < count).collect();
        let faults = mishaps.iter().flat_map(Mishap::faults).collect();
        let bytes = (mebibytes << 20) + 12_345;
        let mut works = world::pieces(0, bytes);
        works.extend(small.iter().zip(1..).flat_map(|(bytes, file)| world::pieces(file, (*bytes).into())));
        let total: u64 = works.iter().map(|work| u64::from(work.bytes)).sum();

        let (honest, liars) = (servers[0].rate, servers.iter().filter(|server| server.lies_about.is_some()).count());
        let on_the_way: u64 = servers.iter().map(Server::on_the_way).sum();
        let (mut world, ended) = World::play(Plan { servers, faults, works });
        let calm = mishaps.iter().map(|mishap| mishap.at_ms + mishap.for_ms).max().unwrap_or(0);
        let patience = 5_000 + 1_000 * count as u64;
        let bound = calm + total * 1_000 / honest * 5 / 4 + patience;
        prop_assert!(ended.as_millis() <= bound, "{} ms, bound {bound}", ended.as_millis());

        // What was begun at a mishap, or by a liar, and at the end a piece each.
        let troubles = (mishaps.len() + liars) as u64;
        let twice_max = troubles * (2 << 20) + (count as u64) * (1 << 20) + on_the_way;
        prop_assert!(world.twice() <= twice_max, "{} twice, bound {twice_max}", world.twice());
        prop_assert_eq!(world.twice(), world.schedule.sources().map(|source| source.counts.wasted).sum::<u64>());
        prop_assert!(world.schedule.is_idle());
    }

    #[test]
    fn the_rates_of_any_servers_add_up(
        servers in prop::collection::vec((50_u64..50_000, 0_u64..50), 1..6),
        mebibytes in 1_u64..60,
    ) {
        let servers: Vec<_> =
            servers.into_iter().map(|(rate, one_way)| Server::new(rate * 1_000, one_way)).collect();
        let sum: u64 = servers.iter().map(|server| server.rate).sum();
        let on_the_way: u64 = servers.iter().map(Server::on_the_way).sum();
        let twice_max = servers.len() as u64 * (1 << 20) + on_the_way;
        let fastest = servers.iter().map(|server| server.rate).max().unwrap();
        let works = world::pieces(0, mebibytes << 20);
        let (mut world, ended) = World::play(Plan { servers, faults: Vec::new(), works });
        // Until each rate is known; and the last piece, which the fastest begins when that is sooner than another's end.
        let last = (1 << 20) * 1_000 / fastest;
        let bound = (mebibytes << 20) * 1_000 / sum * 105 / 100 + last * 5 / 4 + 1_750;
        prop_assert!(ended.as_millis() <= bound, "{} ms, bound {bound}", ended.as_millis());
        prop_assert!(world.twice() <= twice_max, "{} twice, bound {twice_max}", world.twice());
    }
}
